// Image to tensor: resize, reorder the channels and normalise in one pass over the output.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <vector>

#include "bilinear.h"
#include "parallel.h"
#include "rtseg_core.h"
#include "target.h"

namespace rtseg {
namespace {

constexpr int kRowsPerTask = 32;

struct Image {
    const uint8_t* data;
    int height, width;
    ptrdiff_t row_bytes;
    int channel[3];  // where the tensor's channel i lies in a pixel

    const uint8_t* row(int y) const { return data + static_cast<ptrdiff_t>(y) * row_bytes; }
};

struct Normalization {
    float scale;
    float mean[3], std[3];

    RTSEG_INLINE float operator()(float value, int channel) const {
        return (value * scale - mean[channel]) / std[channel];
    }
};

// A pixel has 256 values: a channel of an image that needs no resizing is looked up.
struct Lookup {
    float value[3][256];

    explicit Lookup(const Normalization& normalize) {
        for (int c = 0; c < 3; ++c)
            for (int i = 0; i < 256; ++i) value[c][i] = normalize(static_cast<float>(i), c);
    }
};

void look_up_row(const uint8_t* row, const int channel[3], int width, const Lookup& lookup, float* __restrict tensor,
                 size_t plane) {
    const float* __restrict table0 = lookup.value[0];
    const float* __restrict table1 = lookup.value[1];
    const float* __restrict table2 = lookup.value[2];
    const uint8_t* from0 = row + channel[0];
    const uint8_t* from1 = row + channel[1];
    const uint8_t* from2 = row + channel[2];
    for (int x = 0; x < width; ++x) {
        tensor[x] = table0[from0[3 * x]];
        tensor[plane + static_cast<size_t>(x)] = table1[from1[3 * x]];
        tensor[2 * plane + static_cast<size_t>(x)] = table2[from2[3 * x]];
    }
}

// An image row brought to the tensor's width, channels apart: 3 x width.
struct WideRow {
    int y = -1;
    std::vector<float> values;
};

void widen_row(const uint8_t* row, const int channel[3], const Axis& columns, int width, float* __restrict values) {
    const int* near = columns.near.data();
    const int* far = columns.far.data();
    const float* near_weight = columns.near_weight.data();
    const float* far_weight = columns.far_weight.data();
    const uint8_t* from[3] = {row + channel[0], row + channel[1], row + channel[2]};
    float* __restrict to0 = values;
    float* __restrict to1 = values + width;
    float* __restrict to2 = values + 2 * static_cast<ptrdiff_t>(width);
    for (int x = 0; x < width; ++x) {
        const ptrdiff_t a = 3 * static_cast<ptrdiff_t>(near[x]), b = 3 * static_cast<ptrdiff_t>(far[x]);
        const float p = near_weight[x], q = far_weight[x];
        to0[x] = p * from[0][a] + q * from[0][b];
        to1[x] = p * from[1][a] + q * from[1][b];
        to2[x] = p * from[2][a] + q * from[2][b];
    }
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

// The two widened rows around the output row at hand.
class RowPair {
  public:
    explicit RowPair(int width) {
        for (WideRow& row : rows_) row.values.resize(3 * static_cast<size_t>(width));
    }

    const float* row(const Image& image, int y, int kept, const Axis& columns, int width) {
        for (const WideRow& held : rows_)
            if (held.y == y) return held.values.data();
        WideRow& free = rows_[0].y == kept ? rows_[1] : rows_[0];
        widen_row(image.row(y), image.channel, columns, width, free.values.data());
        free.y = y;
        return free.values.data();
    }

  private:
    WideRow rows_[2];
};

void resize(const Image& image, const Normalization& normalize, int height, int width, float* tensor, int threads) {
    const Axis rows(image.height, height, false);
    const Axis columns(image.width, width, false);
    const size_t plane = static_cast<size_t>(height) * static_cast<size_t>(width);
    const int tasks = (height + kRowsPerTask - 1) / kRowsPerTask;
    const int workers = worker_count(threads, tasks, static_cast<double>(plane));
    std::vector<RowPair> scratch(static_cast<size_t>(workers), RowPair(width));
    parallel_for(tasks, workers, [&](int task, int worker) {
        RowPair& pair = scratch[static_cast<size_t>(worker)];
        const int end = std::min(height, (task + 1) * kRowsPerTask);
        for (int i = task * kRowsPerTask; i < end; ++i) {
            const size_t y = static_cast<size_t>(i);
            const float* near = pair.row(image, rows.near[y], rows.far[y], columns, width);
            const float* far = pair.row(image, rows.far[y], rows.near[y], columns, width);
            blend_rows(near, far, rows.near_weight[y], rows.far_weight[y], width, normalize,
                       tensor + y * static_cast<size_t>(width), plane);
        }
    });
}

void look_up(const Image& image, const Normalization& normalize, float* tensor, int threads) {
    const Lookup lookup(normalize);
    const size_t plane = static_cast<size_t>(image.height) * static_cast<size_t>(image.width);
    const int tasks = (image.height + kRowsPerTask - 1) / kRowsPerTask;
    const int workers = worker_count(threads, tasks, static_cast<double>(plane));
    parallel_for(tasks, workers, [&](int task, int) {
        const int end = std::min(image.height, (task + 1) * kRowsPerTask);
        for (int y = task * kRowsPerTask; y < end; ++y)
            look_up_row(image.row(y), image.channel, image.width, lookup,
                        tensor + static_cast<size_t>(y) * static_cast<size_t>(image.width), plane);
    });
}

bool is_usable(const Normalization& normalize) {
    bool usable = std::isfinite(normalize.scale) && normalize.scale > 0;
    for (int c = 0; c < 3; ++c)
        usable = usable && std::isfinite(normalize.mean[c]) && std::isfinite(normalize.std[c]) && normalize.std[c] > 0;
    return usable;
}

}  // namespace
}  // namespace rtseg

using namespace rtseg;  // the C functions lie outside

int rtseg_tensor_from_image(const uint8_t* image, int height, int width, ptrdiff_t row_bytes, int swap_channels,
                            int out_height, int out_width, float scale, const float mean[3], const float std[3],
                            float* tensor, int threads) {
    if (image == nullptr || mean == nullptr || std == nullptr || tensor == nullptr) return RTSEG_NULL_POINTER;
    if (!is_side(height) || !is_side(width) || !is_side(out_height) || !is_side(out_width)) return RTSEG_BAD_SIZE;
    const ptrdiff_t row = 3 * static_cast<ptrdiff_t>(width);
    if (row_bytes < row && row_bytes > -row) return RTSEG_BAD_SIZE;
    const Normalization normalize{scale, {mean[0], mean[1], mean[2]}, {std[0], std[1], std[2]}};
    if (threads < 0 || !is_usable(normalize)) return RTSEG_BAD_VALUE;
    const int first = swap_channels != 0 ? 2 : 0;
    const Image source{image, height, width, row_bytes, {first, 1, 2 - first}};
    try {
        if (height == out_height && width == out_width) {
            look_up(source, normalize, tensor, threads);
        } else {
            resize(source, normalize, out_height, out_width, tensor, threads);
        }
    } catch (const std::exception&) {  // the standard library throws for nothing but want of memory here
        return RTSEG_NO_MEMORY;
    }
    return RTSEG_OK;
}
