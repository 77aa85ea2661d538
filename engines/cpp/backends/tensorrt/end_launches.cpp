#include "end_launches.h"

#include <algorithm>
#include <cmath>

#include "errors.h"

namespace rtseg_internal {

namespace {

constexpr int64_t kMostBlocks = (int64_t{1} << 31) - 1;
// For tail_cells with a window, the largest size of logits and labels. Up to this size, rounding moves a sample by less
// than one logit, so a tile has room for its cells.
constexpr int kMostWindowedSide = 1 << 18;

// The part of the output that one block computes.
struct Tile {
    int width, height;
};
constexpr Tile kResize = {64, 32}, kStream = {128, 8}, kCells = {128, 32}, kPixels = {32, 8};

// The part of the input that the output covers: `length` samples from `begin` on, out of the `canvas` that the input
// covers.
struct Part {
    int canvas, begin, length;

    bool is_whole() const { return length == canvas; }
};

// The part of the network's input that an image covers, and whether it is letterboxed at all.
struct Window {
    Part rows, columns;
    bool is_letterboxed;
};

// The twin of rtseg_letterbox_window in rtseg/native/preprocess.cpp: computed in double, halves rounded to even.
Window window_of(const ImageContract& contract, int height, int width) {
    const Window whole = {{2, 0, 2}, {2, 0, 2}, false};
    if (!contract.is_letterbox) return whole;
    const double factor = std::min(static_cast<double>(contract.height) / height,
                                   static_cast<double>(contract.width) / width);
    const auto part = [factor](int canvas, int side) {
        const int covered = std::min(std::max(static_cast<int>(std::nearbyint(side * factor)), 1), canvas);
        return Part{canvas, (canvas - covered) / 2, covered};
    };
    const Window window = {part(contract.height, height), part(contract.width, width), true};
    return window.rows.is_whole() && window.columns.is_whole() ? whole : window;
}

// The distance between two output samples, in input samples, and the position of the part's first one: ratio_and_shift
// of rtseg/frame/bilinear.py. Products of two sizes are exact in double.
struct RatioAndShift {
    float ratio, shift;

    RatioAndShift(int inputs, int outputs, bool align_corners, Part part) {
        if (part.is_whole()) part = {2, 0, 2};
        const int less = align_corners ? 1 : 0;
        const double reach = inputs - less, canvas = part.canvas - less;
        ratio = outputs > less ? static_cast<float>(reach * (part.length - less) / (canvas * (outputs - less))) : 0.0f;
        shift = static_cast<float>(reach * part.begin / canvas);
    }
};

bool grows(int inputs, int outputs, const Part& part) {
    return static_cast<int64_t>(inputs) * part.length <= static_cast<int64_t>(outputs) * part.canvas &&
           std::max(inputs, outputs) <= kMostWindowedSide;
}

unsigned blocks_for(Tile tile, int height, int width) {
    const int64_t across = (static_cast<int64_t>(width) + tile.width - 1) / tile.width;
    const int64_t down = (static_cast<int64_t>(height) + tile.height - 1) / tile.height;
    if (across * down > kMostBlocks)
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the image is too large for one launch on the GPU",
                    std::to_string(height) + "x" + std::to_string(width),
                    "at most " + std::to_string(kMostBlocks) + " blocks");
    return static_cast<unsigned>(across * down);
}

std::string kernel_name(const char* work, bool is_half) {
    return std::string("rtseg_") + work + (is_half ? "_f16" : "_f32");
}

}  // namespace

Launch front_launch(const DeviceImage& image, uint64_t tensor, bool is_half, const ImageContract& contract) {
    const Window window = window_of(contract, image.height, image.width);
    Launch launch;
    launch.arguments = {Argument(image.pointer),
                        Argument(int32_t{image.height}),
                        Argument(int32_t{image.width}),
                        Argument(int64_t{3} * image.width),
                        Argument(int32_t{image.is_bgr != contract.is_bgr}),
                        Argument(tensor),
                        Argument(int32_t{contract.height}),
                        Argument(int32_t{contract.width}),
                        Argument(contract.scale)};
    for (const float mean : contract.mean) launch.arguments.emplace_back(mean);
    for (const float deviation : contract.std) launch.arguments.emplace_back(deviation);
    const char* work = "letterbox";
    Tile tile = kResize;
    if (window.is_letterboxed) {
        for (const int32_t value :
             {window.rows.begin, window.columns.begin, window.rows.length, window.columns.length})
            launch.arguments.emplace_back(value);
        launch.arguments.emplace_back(static_cast<float>(contract.padding));
    } else if (image.height == contract.height && image.width == contract.width) {
        work = "front_normalize";
        tile = kStream;
    } else {
        work = "front_resize";
    }
    launch.kernel = kernel_name(work, is_half);
    launch.blocks = blocks_for(tile, contract.height, contract.width);
    return launch;
}

Launch tail_launch(const DeviceLogits& logits, uint64_t labels, int height, int width, const ImageContract& image,
                   const OutputContract& output) {
    const Window window = window_of(image, height, width);
    const RatioAndShift rows(logits.h, height, output.align_corners, window.rows);
    const RatioAndShift columns(logits.w, width, output.align_corners, window.columns);
    int64_t of_class = int64_t{logits.h} * logits.w, of_row = logits.w, of_column = 1;
    if (const int multiple = logits.channel_multiple; multiple > 0) {
        const int64_t padded = (logits.c + multiple - 1) / multiple * multiple;
        of_class = 1;
        of_row = logits.w * padded;
        of_column = padded;
    }
    Launch launch;
    launch.arguments = {Argument(logits.pointer),
                        Argument(int32_t{logits.c}),
                        Argument(int32_t{logits.h}),
                        Argument(int32_t{logits.w}),
                        Argument(of_class),
                        Argument(of_row),
                        Argument(of_column),
                        Argument(labels),
                        Argument(int32_t{height}),
                        Argument(int32_t{width}),
                        Argument(int32_t{output.align_corners}),
                        Argument(rows.ratio),
                        Argument(rows.shift),
                        Argument(columns.ratio),
                        Argument(columns.shift)};
    const char* work = "tail_pixels";
    Tile tile = kPixels;
    const bool is_larger = window.is_letterboxed
                               ? grows(logits.h, height, window.rows) && grows(logits.w, width, window.columns)
                               : logits.h <= height && logits.w <= width;
    if (output.threshold) {
        work = "mask";
        tile = kStream;
        launch.arguments.emplace_back(*output.threshold);
    } else if (!window.is_letterboxed && logits.h == height && logits.w == width) {
        work = "tail_argmax";
        tile = kStream;
    } else if (is_larger) {
        work = "tail_cells";
        tile = kCells;
    }
    launch.kernel = kernel_name(work, logits.is_half);
    launch.blocks = blocks_for(tile, height, width);
    return launch;
}

}  // namespace rtseg_internal
