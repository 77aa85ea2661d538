#include "video_container.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <optional>

#include "program.h"

namespace programs {
namespace {

constexpr size_t kProbed = 1 << 20;  // as far as FFmpeg reads to recognise a file
constexpr size_t kPackets = 12;      // this many packets of a transport stream must begin where they should
const std::string kMatroska("\x1a\x45\xdf\xa3", 4), kMatroskaSegment("\x18\x53\x80\x67", 4);

std::string start_of(const std::string& path, size_t count) {
    std::ifstream file(path, std::ios::binary);
    std::string bytes(count, '\0');
    file.read(&bytes[0], static_cast<std::streamsize>(count));
    if (!file.is_open() || file.bad()) throw InputError("cannot read " + path);
    bytes.resize(static_cast<size_t>(file.gcount()));
    return bytes;
}

bool begins_with(const std::string& bytes, const std::string& start) { return bytes.compare(0, start.size(), start) == 0; }

bool is_one_of(const std::string& word, std::initializer_list<const char*> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_transport_stream(const std::string& bytes, size_t first, size_t size) {
    if (bytes.size() < kPackets * size) return false;
    for (size_t i = 0; i < kPackets; ++i)
        if (bytes[first + i * size] != 'G') return false;
    return true;
}

// Return the next bytes of a file as a number, most significant first.
uint64_t number_of(std::istream& file, int count) {
    uint64_t number = 0;
    for (int i = 0; i < count; ++i) number = number << 8 | static_cast<uint8_t>(file.get());
    return number;
}

// Return the next number of variable length; no value for the one that means "unknown".
std::optional<uint64_t> varying_number(std::istream& file) {
    const int first = file.get();
    if (first <= 0) return std::nullopt;
    int more = 0;
    while ((first & (0x80 >> more)) == 0) ++more;
    const uint64_t value = static_cast<uint64_t>(first & (0x7f >> more)) << (8 * more) | number_of(file, more);
    if (value == (uint64_t{1} << (7 * (more + 1))) - 1) return std::nullopt;
    return value;
}

// Return the end of the last box of an MP4, as the box states it.
uint64_t end_of_boxes(std::istream& file, uint64_t size) {
    uint64_t at = 0;
    while (at + 8 <= size) {
        file.clear();
        file.seekg(static_cast<std::streamoff>(at));
        uint64_t length = number_of(file, 4);
        file.ignore(4);
        if (length == 1) length = number_of(file, 8);
        if (length < 8) return size;  // 0: to the end of the file
        if (length > UINT64_MAX - at) return UINT64_MAX;
        at += length;
    }
    return at;
}

// Return the end of a Matroska file's segment, 0 if it is not stated.
uint64_t end_of_segment(std::istream& file) {
    file.seekg(4);
    const std::optional<uint64_t> header = varying_number(file);
    if (!header || *header > kProbed) return 0;
    file.seekg(static_cast<std::streamoff>(*header), std::ios::cur);
    std::string name(4, '\0');
    file.read(&name[0], 4);
    const std::optional<uint64_t> length = name == kMatroskaSegment ? varying_number(file) : std::nullopt;
    return length && file ? static_cast<uint64_t>(file.tellg()) + *length : 0;
}

}  // namespace

bool is_container(const std::string& path) {
    const std::string bytes = start_of(path, kProbed);
    std::string text = bytes.substr(0, bytes.find('\0'));  // FFmpeg's text probes read no further
    if (text.find("c=IN IP") != std::string::npos) return false;
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char letter) { return std::tolower(letter); });
    if (text.find("<mpd") != std::string::npos) return false;
    const std::string kind = bytes.size() >= 8 ? bytes.substr(4, 4) : "", head = bytes.substr(0, 4096);
    if (bytes[0] == '\0' && is_one_of(kind, {"ftyp", "styp", "free", "skip", "wide", "pnot", "uuid", "moof", "sidx"}))
        return true;
    if (is_one_of(kind, {"moov", "mdat"})) return true;
    if (begins_with(bytes, "RIFF") && bytes.compare(8, 3, "AVI") == 0) return true;
    if (begins_with(bytes, kMatroska) &&
        (head.find("matroska") != std::string::npos || head.find("webm") != std::string::npos))
        return true;
    for (const std::string& start : {std::string("\0\0\1", 3), std::string("\0\0\0\1", 4), std::string("OggS\0", 5),
                                     std::string("FLV\1"), std::string("\x30\x26\xb2\x75\x8e\x66\xcf\x11")})
        if (begins_with(bytes, start)) return true;
    return is_transport_stream(bytes, 0, 188) || is_transport_stream(bytes, 4, 192);
}

std::string missing_part(const std::string& path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    const auto size = static_cast<uint64_t>(std::max<std::streamoff>(file.tellg(), 0));
    const std::string start = start_of(path, 8);
    file.seekg(4);
    uint64_t claimed = 0;
    if (start.size() == 8 && start.compare(4, 4, "ftyp") == 0) {
        claimed = end_of_boxes(file, size);
    } else if (begins_with(start, "RIFF")) {
        for (int i = 0; i < 4; ++i) claimed |= static_cast<uint64_t>(static_cast<uint8_t>(file.get())) << (8 * i);
        claimed += 8;
    } else if (begins_with(start, kMatroska)) {
        claimed = end_of_segment(file);
    }
    return claimed > size ? std::to_string(size) + " bytes of " + std::to_string(claimed) : "";
}

}  // namespace programs
