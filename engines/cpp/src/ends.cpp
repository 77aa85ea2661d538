#include "ends.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "errors.h"

namespace rtseg_internal {
namespace {

constexpr int kMaxSide = RTSEG_MAX_SIDE;

void require_rows(const char* what, const void* data, int height, int width, ptrdiff_t row_bytes, int pixel_bytes) {
    const std::string name(what);
    if (data == nullptr) throw Error(RTSEG_STATUS_INVALID_ARGUMENT, name + " has no data", "NULL");
    if (height < 1 || width < 1 || height > kMaxSide || width > kMaxSide)
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the size of " + name + " is out of range", size_text(height, width),
                    "sides of 1 to " + std::to_string(kMaxSide));
    const ptrdiff_t row = static_cast<ptrdiff_t>(width) * pixel_bytes;
    if (row_bytes < row && row_bytes > -row)
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the rows of " + name + " overlap",
                    "row_bytes " + std::to_string(row_bytes), std::to_string(row) + " or more");
    if (height == 1) return;  // there is no next row
    // Compared as integers: a pointer outside of memory must not even be computed.
    const uintptr_t first = reinterpret_cast<uintptr_t>(data), steps = static_cast<uintptr_t>(height) - 1;
    const uintptr_t room = row_bytes < 0 ? first : static_cast<uintptr_t>(PTRDIFF_MAX) - static_cast<uintptr_t>(row);
    const uintptr_t step = row_bytes < 0 ? 0 - static_cast<uintptr_t>(row_bytes) : static_cast<uintptr_t>(row_bytes);
    if (step > room / steps || (row_bytes > 0 && step * steps + static_cast<uintptr_t>(row) > UINTPTR_MAX - first))
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the rows of " + name + " lie outside of memory",
                    "row_bytes " + std::to_string(row_bytes));
}

rtseg_pixels pixels_of(const rtseg_image& image, bool is_bgr) {
    const int bytes = bytes_of(image.format);
    const bool given_bgr = image.format == RTSEG_PIXELS_BGR || image.format == RTSEG_PIXELS_BGRA;
    const int first = bytes == 1 || given_bgr == is_bgr ? 0 : 2;
    const int last = bytes == 1 ? 0 : 2 - first;
    return {image.data, image.height, image.width, image.row_bytes, bytes, {first, bytes == 1 ? 0 : 1, last}};
}

// The place of an image in the network's input.
rtseg_window window_of(const ImageContract& contract, int height, int width) {
    rtseg_window window{contract.height, contract.width, 0, 0, contract.height, contract.width};
    if (contract.is_letterbox)
        require_done(rtseg_letterbox_window(height, width, contract.height, contract.width, &window));
    return window;
}

// For each of `made` samples, compute the sample of `given` that lies under its centre: in double, as Python does.
void fill_nearest(int given, int made, std::vector<int>& source) {
    source.resize(static_cast<size_t>(made));
    for (int i = 0; i < made; ++i)
        source[static_cast<size_t>(i)] = std::min(static_cast<int>((i + 0.5) * given / made), given - 1);
}

}  // namespace

std::string size_text(int height, int width) { return std::to_string(height) + "x" + std::to_string(width); }

int bytes_of(const rtseg_pixel_format& format) {
    switch (number_of(format)) {
        case RTSEG_PIXELS_RGB:
        case RTSEG_PIXELS_BGR: return 3;
        case RTSEG_PIXELS_RGBA:
        case RTSEG_PIXELS_BGRA: return 4;
        case RTSEG_PIXELS_GREY: return 1;
    }
    throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "unknown pixel format", std::to_string(number_of(format)),
                "RTSEG_PIXELS_RGB, _BGR, _RGBA, _BGRA or _GREY");
}

void require_image(const rtseg_image* image) {
    if (image == nullptr) throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the image is NULL");
    require_rows("the image", image->data, image->height, image->width, image->row_bytes, bytes_of(image->format));
}

void require_label_map(const rtseg_label_map* labels) {
    if (labels == nullptr) throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the label map is NULL");
    require_rows("the label map", labels->data, labels->height, labels->width, labels->row_bytes, 1);
}

Ends::Ends(const ImageContract& image, const OutputContract& output, int threads)
    : image_(image), output_(output), workspace_(threads) {
    if (output.interface == Interface::kLabels)
        plain_.resize(3 * static_cast<size_t>(image.height) * static_cast<size_t>(image.width));
}

void Ends::write_input(const rtseg_image& image, void* input) {
    if (output_.interface == Interface::kLabels) return write_pixels(image, static_cast<uint8_t*>(input));
    const rtseg_pixels pixels = pixels_of(image, image_.is_bgr);
    const rtseg_window window = window_of(image_, image.height, image.width);
    require_done(rtseg_workspace_tensor(workspace_.get(), &pixels, &window, image_.padding, image_.scale,
                                        image_.mean.data(), image_.std.data(), static_cast<float*>(input)));
}

// The graph normalises: it takes the resized pixels, rounded to nearest, halves to even.
void Ends::write_pixels(const rtseg_image& image, uint8_t* made) {
    static constexpr float kNone[3] = {0, 0, 0}, kOne[3] = {1, 1, 1};
    const rtseg_pixels pixels = pixels_of(image, image_.is_bgr);
    const rtseg_window window = window_of(image_, image.height, image.width);
    require_done(rtseg_workspace_tensor(workspace_.get(), &pixels, &window, image_.padding, 1.0f, kNone, kOne,
                                        plain_.data()));
    const size_t plane = static_cast<size_t>(image_.height) * static_cast<size_t>(image_.width);
    for (size_t i = 0; i < plane; ++i)
        for (size_t c = 0; c < 3; ++c) made[3 * i + c] = static_cast<uint8_t>(std::nearbyint(plain_[c * plane + i]));
}

void Ends::read_labels(const void* output, const rtseg_label_map& labels) {
    if (output_.interface == Interface::kLabels) return take_nearest(static_cast<const uint8_t*>(output), labels);
    const int stride = output_.interface == Interface::kLogits ? output_.stride : 1;
    const int h = image_.height / stride, w = image_.width / stride;
    const rtseg_window window = window_of(image_, labels.height, labels.width);
    const float* const logits = static_cast<const float*>(output);
    require_done(output_.threshold
                     ? rtseg_workspace_mask(workspace_.get(), logits, h, w, *output_.threshold, &window, labels.data,
                                            labels.height, labels.width, labels.row_bytes, output_.align_corners)
                     : rtseg_workspace_labels(workspace_.get(), logits, output_.channels(), h, w, &window, labels.data,
                                              labels.height, labels.width, labels.row_bytes, output_.align_corners));
}

void Ends::take_nearest(const uint8_t* given, const rtseg_label_map& labels) {
    const rtseg_window window = window_of(image_, labels.height, labels.width);
    fill_nearest(window.height, labels.height, source_row_);
    fill_nearest(window.width, labels.width, source_column_);
    for (int y = 0; y < labels.height; ++y) {
        const ptrdiff_t row = static_cast<ptrdiff_t>(window.top) + source_row_[static_cast<size_t>(y)];
        const uint8_t* const from = given + row * image_.width + window.left;
        uint8_t* const to = labels.data + y * labels.row_bytes;
        for (int x = 0; x < labels.width; ++x) to[x] = from[source_column_[static_cast<size_t>(x)]];
    }
}

}  // namespace rtseg_internal
