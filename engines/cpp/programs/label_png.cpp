#include "label_png.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <opencv2/imgcodecs.hpp>
#include <vector>

#include "written_file.h"

namespace programs {
namespace {

// A PNG begins with 8 bytes, then the header: length 4, name 4, width 4, height 4, depth 1, colour type 1, 3 more, sum 4.
constexpr size_t kHeader = 8, kColourType = kHeader + 8 + 9, kHeaderEnd = kHeader + 8 + 13 + 4;
constexpr uint8_t kIndexed = 3;

uint32_t sum_of(const uint8_t* bytes, size_t count) {
    uint32_t sum = 0xffffffffu;
    for (size_t i = 0; i < count; ++i) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ (0xedb88320u & (0u - (sum & 1u)));
    }
    return ~sum;
}

void put_number(uint32_t number, uint8_t* to) {
    for (int i = 0; i < 4; ++i) to[i] = static_cast<uint8_t>(number >> (24 - 8 * i));
}

// Return the palette chunk for all 256 labels.
std::vector<uint8_t> palette_chunk(const rtseg::Model& model) {
    constexpr size_t kBytes = 256 * 3;
    std::vector<uint8_t> chunk(4 + 4 + kBytes + 4);
    put_number(kBytes, chunk.data());
    std::memcpy(&chunk[4], "PLTE", 4);
    for (int label = 0; label < 256; ++label) {
        const std::array<uint8_t, 3> colour = model.class_colour(label);
        std::memcpy(&chunk[8 + 3 * static_cast<size_t>(label)], colour.data(), 3);
    }
    put_number(sum_of(&chunk[4], 4 + kBytes), &chunk[8 + kBytes]);
    return chunk;
}

}  // namespace

// OpenCV writes no palette. But 8-bit pixels are stored in the same way for grey and for indices, so this changes the
// header of a grey PNG and inserts the palette after it.
void write_label_png(const std::string& path, const cv::Mat& labels, const rtseg::Model& model) {
    std::vector<uint8_t> png;
    if (!cv::imencode(".png", labels, png) || png.size() < kHeaderEnd || png[kColourType] != 0)
        throw WriteError("OpenCV cannot encode the label map " + path);
    png[kColourType] = kIndexed;
    put_number(sum_of(&png[kHeader + 4], 4 + 13), &png[kHeaderEnd - 4]);
    const std::vector<uint8_t> palette = palette_chunk(model);
    png.insert(png.begin() + kHeaderEnd, palette.begin(), palette.end());
    write_bytes(path, png.data(), png.size());
}

}  // namespace programs
