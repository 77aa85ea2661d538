#include "picture_bytes.h"

#include <algorithm>
#include <cctype>
#include <cstring>

namespace programs {
namespace {

bool has(const Bytes& bytes, size_t at, const char* text) {
    const size_t count = std::strlen(text);
    return at <= bytes.size() && bytes.size() - at >= count && std::memcmp(bytes.data() + at, text, count) == 0;
}

// Return an unsigned number of that many bytes; 0 if some are missing.
uint32_t number_at(const Bytes& bytes, size_t at, int count, bool big_endian) {
    uint32_t number = 0;
    if (at > bytes.size() || bytes.size() - at < static_cast<size_t>(count)) return 0;
    for (int i = 0; i < count; ++i) {
        const int place = big_endian ? count - 1 - i : i;
        number |= static_cast<uint32_t>(bytes[at + static_cast<size_t>(i)]) << (8 * place);
    }
    return number;
}

// Return the orientation in EXIF data, which is in the first directory of a TIFF.
int exif_orientation(const uint8_t* begin, const uint8_t* end) {
    constexpr uint32_t kOrientation = 0x0112, kTiff = 42;
    constexpr size_t kEntry = 12;
    const Bytes exif(begin, end);
    const bool big = has(exif, 0, "MM");
    if ((!big && !has(exif, 0, "II")) || number_at(exif, 2, 2, big) != kTiff) return 1;
    const size_t directory = number_at(exif, 4, 4, big);
    const uint32_t count = number_at(exif, directory, 2, big);
    for (size_t i = 0; i < count; ++i) {
        const size_t entry = directory + 2 + i * kEntry;
        if (number_at(exif, entry, 2, big) != kOrientation) continue;
        const uint32_t found = number_at(exif, entry + 8, 2, big);
        return 1 <= found && found <= 8 ? static_cast<int>(found) : 1;
    }
    return 1;
}

bool is_jpeg(const Bytes& bytes) { return has(bytes, 0, "\xff\xd8\xff"); }

bool is_webp(const Bytes& bytes) { return has(bytes, 0, "RIFF") && has(bytes, 8, "WEBP"); }

int jpeg_orientation(const Bytes& bytes) {
    constexpr uint8_t kScan = 0xda, kExif = 0xe1;
    constexpr size_t kHeader = 4, kName = 6;  // the name is "Exif" and two zeros
    for (size_t at = 2; at + kHeader <= bytes.size() && bytes[at] == 0xff && bytes[at + 1] != kScan;) {
        if (bytes[at + 1] == 0xff) {
            ++at;  // padding
            continue;
        }
        const size_t end = std::min<size_t>(at + 2 + number_at(bytes, at + 2, 2, true), bytes.size());
        if (bytes[at + 1] == kExif && has(bytes, at + kHeader, "Exif") && end >= at + kHeader + kName)
            return exif_orientation(bytes.data() + at + kHeader + kName, bytes.data() + end);
        at = std::max(end, at + 2);
    }
    return 1;
}

int webp_orientation(const Bytes& bytes) {
    constexpr size_t kHeader = 12, kChunk = 8;
    for (size_t at = kHeader; at + kChunk <= bytes.size();) {
        const size_t length = number_at(bytes, at + 4, 4, false), begin = at + kChunk;
        if (has(bytes, at, "EXIF"))
            return exif_orientation(bytes.data() + begin, bytes.data() + std::min(begin + length, bytes.size()));
        at = begin + length + length % 2;
    }
    return 1;
}

}  // namespace

bool is_picture(const Bytes& bytes) {
    if (bytes.size() < 3) return false;
    const bool is_tiff = (has(bytes, 0, "II") && (bytes[2] == '*' || bytes[2] == '+')) ||
                         (has(bytes, 0, "MM") && (has(bytes, 3, "*") || has(bytes, 3, "+")));
    return is_tiff || has(bytes, 0, "\x89PNG\r\n\x1a\n") || is_jpeg(bytes) || is_webp(bytes) || has(bytes, 0, "BM") ||
           (bytes[0] == 'P' && '1' <= bytes[1] && bytes[1] <= '6');
}

int declared_maximum(const Bytes& bytes) {
    if (bytes.size() < 3 || bytes[0] != 'P') return 0;
    const bool is_text = bytes[1] == '2' || bytes[1] == '3';
    if (!is_text && bytes[1] != '5' && bytes[1] != '6') return 0;
    size_t at = 2;
    int number = 0;
    for (int field = 0; field < 3; ++field) {  // width, height, maximum
        while (at < bytes.size() && (std::isspace(bytes[at]) || bytes[at] == '#')) {
            if (bytes[at] == '#')
                while (at < bytes.size() && bytes[at] != '\n') ++at;
            else
                ++at;
        }
        number = 0;
        while (at < bytes.size() && std::isdigit(bytes[at]) && number < 1000000) number = 10 * number + bytes[at++] - '0';
    }
    if (is_text && number < 256) return 0;  // OpenCV spreads these over 8 bits by itself
    return std::min(number, 65535);
}

bool is_jpeg_cut_off(const Bytes& bytes) {
    if (!is_jpeg(bytes)) return false;
    for (size_t at = 2; at + 1 < bytes.size();) {
        const uint8_t marker = bytes[at + 1];
        if (bytes[at] != 0xff || marker == 0 || marker == 0xff || marker == 0x01 || (0xd0 <= marker && marker <= 0xd7))
            ++at;  // a byte of the scan, or what belongs to it
        else if (marker == 0xd9)
            return false;
        else
            at += 2 + number_at(bytes, at + 2, 2, true);  // a segment says how long it is
    }
    return true;
}

int stored_orientation(const Bytes& bytes) {
    if (is_jpeg(bytes)) return jpeg_orientation(bytes);
    return is_webp(bytes) ? webp_orientation(bytes) : 0;
}

}  // namespace programs
