// Image to tensor: resize, reorder the channels and normalise in one pass over the output.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <vector>

#include "bilinear.h"
#include "rtseg_core.h"
#include "target.h"
#include "window.h"
#include "workspace.h"

namespace rtseg {
namespace {

constexpr int kRowsPerTask = 32;

// An rtseg_pixels with checked fields.
struct Image {
    const uint8_t* data;
    int height, width;
    ptrdiff_t row_bytes;
    int pixel_bytes;
    int channel[3];  // where the tensor's channel i lies in a pixel

    explicit Image(const rtseg_pixels& of)
        : data(of.data),
          height(of.height),
          width(of.width),
          row_bytes(of.row_bytes),
          pixel_bytes(of.pixel_bytes),
          channel{of.channel[0], of.channel[1], of.channel[2]} {}

    const uint8_t* row(int y) const { return data + static_cast<ptrdiff_t>(y) * row_bytes; }
};

struct Normalization {
    float scale;
    float mean[3], std[3];

    RTSEG_INLINE float operator()(float value, int channel) const {
        return (value * scale - mean[channel]) / std[channel];
    }
};

// The image's place in the tensor: height x width values per channel, and the distances of planes and rows in values.
struct Target {
    float* data;
    int height, width;
    size_t row, plane;

    float* at(int y) const { return data + static_cast<size_t>(y) * row; }
};

// A byte has 256 values: an image that needs no resizing is converted with a lookup table per channel.
struct Lookup {
    float value[3][256];

    explicit Lookup(const Normalization& normalize) {
        for (int c = 0; c < 3; ++c)
            for (int i = 0; i < 256; ++i) value[c][i] = normalize(static_cast<float>(i), c);
    }
};

template <ptrdiff_t kPixelBytes>
void look_up_pixels(const uint8_t* row, const int channel[3], int width, const Lookup& lookup, float* __restrict tensor,
                    size_t plane) {
    const float* __restrict table0 = lookup.value[0];
    const float* __restrict table1 = lookup.value[1];
    const float* __restrict table2 = lookup.value[2];
    const uint8_t* from0 = row + channel[0];
    const uint8_t* from1 = row + channel[1];
    const uint8_t* from2 = row + channel[2];
    for (int x = 0; x < width; ++x) {
        tensor[x] = table0[from0[kPixelBytes * x]];
        tensor[plane + static_cast<size_t>(x)] = table1[from1[kPixelBytes * x]];
        tensor[2 * plane + static_cast<size_t>(x)] = table2[from2[kPixelBytes * x]];
    }
}

template <ptrdiff_t kPixelBytes>
void widen_pixels(const uint8_t* row, const int channel[3], const Axis& columns, int width, float* __restrict values) {
    const int* near = columns.near.data();
    const int* far = columns.far.data();
    const float* near_weight = columns.near_weight.data();
    const float* far_weight = columns.far_weight.data();
    const uint8_t* from[3] = {row + channel[0], row + channel[1], row + channel[2]};
    float* __restrict to0 = values;
    float* __restrict to1 = values + width;
    float* __restrict to2 = values + 2 * static_cast<ptrdiff_t>(width);
    for (int x = 0; x < width; ++x) {
        const ptrdiff_t a = kPixelBytes * near[x], b = kPixelBytes * far[x];
        const float p = near_weight[x], q = far_weight[x];
        to0[x] = p * from[0][a] + q * from[0][b];
        to1[x] = p * from[1][a] + q * from[1][b];
        to2[x] = p * from[2][a] + q * from[2][b];
    }
}

// Compiled for each pixel size, so that the distance between pixels is a constant.
void look_up_row(const Image& image, int y, const Lookup& lookup, float* tensor, size_t plane) {
    const auto of_pixels = image.pixel_bytes == 3   ? look_up_pixels<3>
                           : image.pixel_bytes == 4 ? look_up_pixels<4>
                                                    : look_up_pixels<1>;
    of_pixels(image.row(y), image.channel, image.width, lookup, tensor, plane);
}

void widen_row(const Image& image, int y, const Axis& columns, int width, float* values) {
    const auto of_pixels = image.pixel_bytes == 3   ? widen_pixels<3>
                           : image.pixel_bytes == 4 ? widen_pixels<4>
                                                    : widen_pixels<1>;
    of_pixels(image.row(y), image.channel, columns, width, values);
}

RTSEG_TARGET_CLONES
void blend_rows(const float* __restrict near, const float* __restrict far, float near_y, float far_y, int width,
                const Normalization& normalize, float* __restrict tensor, size_t plane) {
    for (int c = 0; c < 3; ++c) {
        const float* __restrict a = near + static_cast<ptrdiff_t>(c) * width;
        const float* __restrict b = far + static_cast<ptrdiff_t>(c) * width;
        float* __restrict to = tensor + static_cast<size_t>(c) * plane;
        const float scale = normalize.scale, mean = normalize.mean[c], std = normalize.std[c];
        for (int x = 0; x < width; ++x) to[x] = ((near_y * a[x] + far_y * b[x]) * scale - mean) / std;
    }
}

// Return row y of the image, widened: the stored one, or else computed in the buffer that does not hold row `kept`.
const float* widened(TensorScratch::Rows& rows, const Image& image, int y, int kept, const Axis& columns, int width) {
    for (const WideRow& held : rows.row)
        if (held.y == y) return held.values.data();
    WideRow& free = rows.row[rows.row[0].y == kept ? 1 : 0];
    widen_row(image, y, columns, width, free.values.data());
    free.y = y;
    return free.values.data();
}

int tasks_of(int height) { return (height + kRowsPerTask - 1) / kRowsPerTask; }

void resize(const Image& image, const Normalization& normalize, const Target& target, rtseg_workspace& workspace) {
    const int height = target.height, width = target.width;
    TensorScratch& scratch = workspace.tensor;
    scratch.rows.fit(image.height, height, false);
    scratch.columns.fit(image.width, width, false);
    const int tasks = tasks_of(height);
    const int workers = workspace.workers.count(tasks, static_cast<double>(height) * width);
    make_room(scratch.of_worker, static_cast<size_t>(workers));
    for (int worker = 0; worker < workers; ++worker) {
        for (WideRow& row : scratch.of_worker[static_cast<size_t>(worker)].row) {
            make_room(row.values, 3 * static_cast<size_t>(width));
            row.y = -1;
        }
    }
    const Axis& rows = scratch.rows;
    const Axis& columns = scratch.columns;
    workspace.workers.run(tasks, workers, [&](int task, int worker) {
        TensorScratch::Rows& held = scratch.of_worker[static_cast<size_t>(worker)];
        const int end = std::min(height, (task + 1) * kRowsPerTask);
        for (int i = task * kRowsPerTask; i < end; ++i) {
            const size_t y = static_cast<size_t>(i);
            const float* near = widened(held, image, rows.near[y], rows.far[y], columns, width);
            const float* far = widened(held, image, rows.far[y], rows.near[y], columns, width);
            blend_rows(near, far, rows.near_weight[y], rows.far_weight[y], width, normalize, target.at(i),
                       target.plane);
        }
    });
}

void look_up(const Image& image, const Normalization& normalize, const Target& target, Workers& workers) {
    const Lookup lookup(normalize);
    const int tasks = tasks_of(image.height);
    const int count = workers.count(tasks, static_cast<double>(image.height) * image.width);
    workers.run(tasks, count, [&](int task, int) {
        const int end = std::min(image.height, (task + 1) * kRowsPerTask);
        for (int y = task * kRowsPerTask; y < end; ++y) look_up_row(image, y, lookup, target.at(y), target.plane);
    });
}

// Write the value around the window; any of its four sides may have nothing beyond it.
void pad(float* tensor, const rtseg_window& window, const Normalization& normalize, int padding, Workers& workers) {
    const int height = window.canvas_height, width = window.canvas_width;
    const int bottom = window.top + window.height, right = window.left + window.width;
    const size_t across = static_cast<size_t>(width);
    const int tasks = tasks_of(height);
    workers.run(tasks, workers.count(tasks, static_cast<double>(height) * width), [&](int task, int) {
        const int end = std::min(height, (task + 1) * kRowsPerTask);
        for (int c = 0; c < 3; ++c) {
            const float value = normalize(static_cast<float>(padding), c);
            const Target plane{tensor + static_cast<size_t>(c) * static_cast<size_t>(height) * across, height, width,
                               across, 0};
            for (int y = task * kRowsPerTask; y < end; ++y) {
                float* const row = plane.at(y);
                const bool covered = y >= window.top && y < bottom;
                std::fill(row, row + (covered ? window.left : width), value);
                if (covered) std::fill(row + right, row + width, value);
            }
        }
    });
}

// Round a side to whole pixels: halves to even, in any rounding mode.
int scaled(int side, double factor, int most) {
    const double length = side * factor, below = std::floor(length), over = length - below;
    const bool up = over > 0.5 || (over == 0.5 && std::fmod(below, 2.0) != 0);
    return std::min(std::max(static_cast<int>(below) + up, 1), most);
}

bool is_usable(const Normalization& normalize) {
    bool usable = std::isfinite(normalize.scale) && normalize.scale > 0;
    for (int c = 0; c < 3; ++c)
        usable = usable && std::isfinite(normalize.mean[c]) && std::isfinite(normalize.std[c]) && normalize.std[c] > 0;
    return usable;
}

bool is_pixel(const rtseg_pixels& image) {
    bool good = image.pixel_bytes == 1 || image.pixel_bytes == 3 || image.pixel_bytes == 4;
    for (int channel : image.channel) good = good && channel >= 0 && channel < image.pixel_bytes;
    return good;
}

// A job with pointers that are not NULL.
struct Job {
    const rtseg_pixels& image;
    const rtseg_window& window;
    int padding;
    Normalization normalize;
    float* tensor;

    // Return RTSEG_OK, or what is wrong with it.
    int refusal() const {
        if (!is_side(image.height) || !is_side(image.width) || !is_inside(window)) return RTSEG_BAD_SIZE;
        if (!is_pixel(image)) return RTSEG_BAD_VALUE;
        const ptrdiff_t row = static_cast<ptrdiff_t>(image.pixel_bytes) * image.width;
        if (image.row_bytes < row && image.row_bytes > -row) return RTSEG_BAD_SIZE;
        return padding < 0 || padding > 255 || !is_usable(normalize) ? RTSEG_BAD_VALUE : RTSEG_OK;
    }

    int done_in(rtseg_workspace& workspace) const {
        const Image source(image);
        const size_t across = static_cast<size_t>(window.canvas_width);
        const size_t before = static_cast<size_t>(window.top) * across + static_cast<size_t>(window.left);
        const Target target{tensor + before, window.height, window.width, across,
                            static_cast<size_t>(window.canvas_height) * across};
        try {
            if (image.height == target.height && image.width == target.width) {
                look_up(source, normalize, target, workspace.workers);
            } else {
                resize(source, normalize, target, workspace);
            }
            if (!parts_of(&window).are_whole()) pad(tensor, window, normalize, padding, workspace.workers);
        } catch (const std::exception&) {  // here the standard library throws only if memory runs out
            return RTSEG_NO_MEMORY;
        }
        return RTSEG_OK;
    }
};

}  // namespace
}  // namespace rtseg

using namespace rtseg;  // the C functions are outside the namespace

int rtseg_tensor_from_image(const uint8_t* image, int height, int width, ptrdiff_t row_bytes, int swap_channels,
                            int out_height, int out_width, float scale, const float mean[3], const float std[3],
                            float* tensor, int threads) {
    const rtseg_window whole{out_height, out_width, 0, 0, out_height, out_width};
    return rtseg_letterbox_from_image(image, height, width, row_bytes, swap_channels, &whole, 0, scale, mean, std,
                                      tensor, threads);
}

int rtseg_letterbox_from_image(const uint8_t* image, int height, int width, ptrdiff_t row_bytes, int swap_channels,
                               const rtseg_window* window, int padding, float scale, const float mean[3],
                               const float std[3], float* tensor, int threads) {
    if (image == nullptr || window == nullptr || mean == nullptr || std == nullptr || tensor == nullptr)
        return RTSEG_NULL_POINTER;
    const int first = swap_channels != 0 ? 2 : 0;
    const rtseg_pixels pixels{image, height, width, row_bytes, 3, {first, 1, 2 - first}};
    const Job job{pixels, *window, padding, {scale, {mean[0], mean[1], mean[2]}, {std[0], std[1], std[2]}}, tensor};
    const int refusal = job.refusal();
    if (refusal != RTSEG_OK) return refusal;
    if (threads < 0) return RTSEG_BAD_VALUE;
    rtseg_workspace workspace(threads, Lifetime::kOneCall);
    return job.done_in(workspace);
}

int rtseg_workspace_tensor(rtseg_workspace* workspace, const rtseg_pixels* image, const rtseg_window* window,
                           int padding, float scale, const float mean[3], const float std[3], float* tensor) {
    if (workspace == nullptr || image == nullptr || image->data == nullptr || window == nullptr || mean == nullptr ||
        std == nullptr || tensor == nullptr)
        return RTSEG_NULL_POINTER;
    const Job job{*image, *window, padding, {scale, {mean[0], mean[1], mean[2]}, {std[0], std[1], std[2]}}, tensor};
    const int refusal = job.refusal();
    return refusal != RTSEG_OK ? refusal : job.done_in(*workspace);
}

int rtseg_letterbox_window(int height, int width, int canvas_height, int canvas_width, rtseg_window* window) {
    if (window == nullptr) return RTSEG_NULL_POINTER;
    if (!is_side(height) || !is_side(width) || !is_side(canvas_height) || !is_side(canvas_width)) return RTSEG_BAD_SIZE;
    const double down = static_cast<double>(canvas_height) / height, across = static_cast<double>(canvas_width) / width;
    const int rows = scaled(height, std::min(down, across), canvas_height);
    const int columns = scaled(width, std::min(down, across), canvas_width);
    *window = {canvas_height, canvas_width, (canvas_height - rows) / 2, (canvas_width - columns) / 2, rows, columns};
    return RTSEG_OK;
}
