// Preprocessing and postprocessing with contracts, images and label maps of every layout. Each buffer has exactly the
// bytes that its layout needs, so that AddressSanitizer detects a read or write beyond it.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "ends.h"
#include "errors.h"
#include "fuzz_input.h"
#include "manifest.h"

namespace {

using namespace rtseg_internal;

constexpr size_t kMostBytes = size_t{1} << 24;   // of a buffer
constexpr size_t kMostLogits = size_t{1} << 25;  // interpolated for a label map: more takes seconds

// Rows in their own memory, with exactly the bytes that the layout needs.
struct Rows {
    std::vector<uint8_t> bytes;
    uint8_t* top = nullptr;
    ptrdiff_t row_bytes = 0;

    // Whether there is room: height and width are any that are legal.
    bool make(FuzzInput& input, int height, int width, int pixel_bytes) {
        const size_t row = static_cast<size_t>(width) * static_cast<size_t>(pixel_bytes);
        const size_t step = row + (input.flag() ? static_cast<size_t>(input.within(0, 70)) : 0);
        const size_t before = step * static_cast<size_t>(height - 1);
        if (before + row > kMostBytes) return false;
        bytes.assign(before + row, input.any<uint8_t>());
        for (size_t i = 0; i < bytes.size() && !input.empty(); i += 1 + bytes.size() / 64) bytes[i] = input.any<uint8_t>();
        const bool is_bottom_up = input.flag();
        top = bytes.data() + (is_bottom_up ? before : 0);
        row_bytes = is_bottom_up ? -static_cast<ptrdiff_t>(step) : static_cast<ptrdiff_t>(step);
        return true;
    }
};

// A side: mostly small, sometimes any valid one.
int side(FuzzInput& input) {
    const int kind = input.within(0, 15);
    return kind == 0 ? 8388608 : kind == 1 ? input.within(1, 8388608) : input.within(1, 80);
}

ImageContract image_contract(FuzzInput& input) {
    ImageContract contract;
    contract.height = input.within(16, 100);
    contract.width = input.within(16, 100);
    contract.is_bgr = input.flag();
    contract.scale = input.flag() ? 1.0f / 255 : 1.0f;
    for (float& value : contract.std) value = 1;
    contract.mean[0] = static_cast<float>(input.within(-3, 3));
    contract.is_letterbox = input.flag();
    contract.padding = input.within(0, 255);
    return contract;
}

OutputContract output_contract(FuzzInput& input) {
    OutputContract contract;
    const int kind = input.within(0, 15);  // mostly few classes, which are quick
    contract.names.assign(static_cast<size_t>(kind == 0 ? 256 : kind < 8 ? input.within(3, 20) : 2), "class");
    contract.interface = static_cast<Interface>(input.within(0, 2));
    contract.stride = 1 << input.within(0, 5);
    contract.align_corners = input.flag();
    if (contract.names.size() == 2 && input.flag()) contract.threshold = static_cast<float>(input.within(-2, 2));
    return contract;
}

// Return a possible output of a graph: bytes that are classes, or any floats, including infinity and NaN.
std::vector<uint8_t> output_of(FuzzInput& input, const ImageContract& image, const OutputContract& output) {
    const size_t stride = output.interface == Interface::kLogits ? static_cast<size_t>(output.stride) : 1;
    const size_t places = static_cast<size_t>(image.height) / stride * (static_cast<size_t>(image.width) / stride);
    if (output.interface == Interface::kLabels)
        return std::vector<uint8_t>(places, static_cast<uint8_t>(input.any<uint8_t>() % output.names.size()));
    std::vector<uint8_t> bytes(places * static_cast<size_t>(output.channels()) * sizeof(float));
    for (size_t i = 0; i + sizeof(float) <= bytes.size(); i += sizeof(float)) {
        const float value = input.empty() ? static_cast<float>(i % 7) : input.any<float>();
        std::memcpy(&bytes[i], &value, sizeof value);
    }
    return bytes;
}

void require_classes(const rtseg_label_map& labels, size_t classes) {
    for (int y = 0; y < labels.height; y += 1 + labels.height / 50)
        for (int x = 0; x < labels.width; x += 1 + labels.width / 50)
            REQUIRE(labels.data[y * labels.row_bytes + x] < classes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    FuzzInput input(data, size);
    const ImageContract contract = image_contract(input);
    const OutputContract output = output_contract(input);
    Ends ends(contract, output, input.within(1, 2));
    for (int frame = input.within(1, 3); frame > 0; --frame) {  // scratch is kept from frame to frame
        const auto format = static_cast<rtseg_pixel_format>(input.within(0, 4));
        const int height = side(input), width = side(input);
        const size_t places = static_cast<size_t>(height) * static_cast<size_t>(width);
        if (places * static_cast<size_t>(output.channels()) > kMostLogits) continue;
        Rows pixels, labels;
        if (!pixels.make(input, height, width, bytes_of(format)) || !labels.make(input, height, width, 1)) continue;
        const rtseg_image image{pixels.top, height, width, pixels.row_bytes, format};
        const rtseg_label_map map{labels.top, height, width, labels.row_bytes};
        const size_t plane = static_cast<size_t>(contract.height) * static_cast<size_t>(contract.width);
        std::vector<float> tensor(output.interface == Interface::kLabels ? (3 * plane + 3) / 4 : 3 * plane);
        const std::vector<uint8_t> given = output_of(input, contract, output);
        try {
            require_image(&image);
            require_label_map(&map);
            ends.write_input(image, tensor.data());
            if (output.interface != Interface::kLabels)
                for (const float value : tensor) REQUIRE(std::isfinite(value));
            ends.read_labels(given.data(), map);
            require_classes(map, output.names.size());
        } catch (const Error& error) {
            REQUIRE(error.status() == RTSEG_STATUS_INVALID_ARGUMENT);
            // such as logits of less than one row
            REQUIRE(contract.height < output.stride || contract.width < output.stride);
        }
    }
    return 0;
}
