// Preprocessing and tail of a segmentation frame on the GPU: the same as rtseg_core on the CPU, bit for bit.
//
//     rtseg_front_resize_*     uint8 image of any size   ->  normalised tensor, channels first
//     rtseg_front_normalize_*  the same for an image that has the tensor's size
//     rtseg_letterbox_*        the same for an image that covers a window of the tensor, and its padding
//     rtseg_tail_cells_*       logits  ->  uint8 label map no smaller than the logits along either axis
//     rtseg_tail_pixels_*      logits  ->  uint8 label map of any size; meant for smaller ones
//     rtseg_tail_argmax_*      logits  ->  uint8 label map of the logits' size
//     rtseg_mask_*             logits of one channel and a threshold  ->  uint8 label map of any size
//     rtseg_overlay            image and labels  ->  uint8 image with the class colours blended over it
//
// with _f32 or _f16 for the tensor's or the logits' type.
//
// Compiling. By nvcc into a program or by NVRTC from Python: CUDA 11.4 or newer, C++14, compute capability
// 7.0 or newer. No header is included, so NVRTC needs no include path. Not with -use_fast_math (or
// -ftz=true): results would differ from the CPU's.
//
// Launching. Every kernel takes blocks of (kLanes, kWarps) threads and a one-dimensional grid with one block
// for each tile of its output: ceil(width / tile width) * ceil(height / tile height), the tile sizes being
// the constants of kTile... below. No dynamic shared memory. The kernels check nothing: rtseg_core.h defines the
// arguments and their limits; rtseg/runners/cuda/ends.py checks them and computes the grid.
//
// Exactness. Sums and products are written as __fadd_rn and __fmul_rn, which no compiler contracts into
// fused multiply-adds: three roundings for x * a + y * b, as in bilinear.h, lanes.h and preprocess.cpp. A
// float16 logit becomes a float32 first, exactly; a float16 tensor is the float32 one rounded to nearest.

namespace rtseg {

constexpr int kLanes = 32;  // blockDim.x: one warp is one row of threads
constexpr int kWarps = 8;   // blockDim.y
constexpr int kThreads = kLanes * kWarps;

constexpr int kTileResizeWidth = 2 * kLanes, kTileResizeHeight = 4 * kWarps;
constexpr int kTileStreamWidth = 4 * kLanes, kTileStreamHeight = kWarps;  // normalize, argmax, mask, overlay
constexpr int kTileCellsWidth = 128, kTileCellsHeight = 32;
constexpr int kTilePixelsWidth = kLanes, kTilePixelsHeight = kWarps;

constexpr unsigned kWholeWarp = 0xffffffffu;
constexpr float kMaxLogit = 1e30f;      // RTSEG_MAX_LOGIT
constexpr float kBelowLogits = -3e38f;  // less than any clamped logit and any blend of them

typedef unsigned char Byte;
struct Half {
    unsigned short bits;
};

#ifdef __CUDACC__  // nvcc and NVRTC; the tests, which run this file on the CPU, bring their own
__device__ __forceinline__ float float_of(Half half) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half.bits));
    return value;
}

__device__ __forceinline__ Half half_of(float value) {
    Half half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half.bits) : "f"(value));
    return half;
}
#else
__device__ float float_of(Half half);
__device__ Half half_of(float value);
#endif

__device__ __forceinline__ float float_of(float value) { return value; }
__device__ __forceinline__ void assign(float& to, float value) { to = value; }
__device__ __forceinline__ void assign(Half& to, float value) { to = half_of(value); }

// Neighbours in memory, read or written by one instruction.
template <class T, int count>
struct alignas(count * sizeof(T)) Pack {
    T value[count];
};

template <int bytes>
__device__ __forceinline__ bool is_aligned(const void* address) {
    return reinterpret_cast<unsigned long long>(address) % bytes == 0;
}

__device__ __forceinline__ int thread_in_block() { return static_cast<int>(threadIdx.y * kLanes + threadIdx.x); }

// The origin of the block's tile in a width x height output.
struct Origin {
    int x, y;
};

template <int tile_width, int tile_height>
__device__ __forceinline__ Origin tile_origin(int width) {
    const int across = (width + tile_width - 1) / tile_width;
    const int tile = static_cast<int>(blockIdx.x);
    return {tile % across * tile_width, tile / across * tile_height};
}

// x * a + y * b in three roundings.
__device__ __forceinline__ float weigh(float x, float a, float y, float b) {
    return __fadd_rn(__fmul_rn(x, a), __fmul_rn(y, b));
}

// Sampling along one axis: the rule of bilinear.h.
struct Sample {
    int near, far;
    float near_weight, far_weight;
};

struct Axis {
    int inputs;
    bool align_corners;
    float ratio, shift;

    // The whole by half-pixel centres: what an image is resized by.
    __device__ Axis(int inputs_, int outputs)
        : inputs(inputs_),
          align_corners(false),
          ratio(__fdiv_rn(__int2float_rn(inputs_), __int2float_rn(outputs))),
          shift(0.0f) {}

    // Of ratio_and_shift in rtseg/frame/bilinear.py, as the host has double.
    __device__ Axis(int inputs_, bool align_corners_, float ratio_, float shift_)
        : inputs(inputs_), align_corners(align_corners_), ratio(ratio_), shift(shift_) {}

    __device__ __forceinline__ float source(int output) const {
        const float index = __int2float_rn(output);
        if (align_corners) return __fadd_rn(__fmul_rn(ratio, index), shift);
        const float from_whole = __fsub_rn(__fmul_rn(ratio, __fadd_rn(index, 0.5f)), 0.5f);
        return fmaxf(__fadd_rn(from_whole, shift), 0.0f);
    }

    __device__ __forceinline__ int near(int output) const { return min(__float2int_rz(source(output)), inputs - 1); }

    __device__ __forceinline__ Sample operator()(int output) const {
        const float position = source(output);
        const int near = min(__float2int_rz(position), inputs - 1);
        const float far_weight = fminf(__fsub_rn(position, __int2float_rn(near)), 1.0f);
        return {near, min(near + 1, inputs - 1), __fsub_rn(1.0f, far_weight), far_weight};
    }
};

// ---------------------------------------------------------------------------------------------- front

struct Image {
    const Byte* data;
    int height, width;
    long long row_bytes;
    bool swap_channels;

    __device__ __forceinline__ const Byte* row(int y) const { return data + y * row_bytes; }
    __device__ __forceinline__ int channel(int i) const { return swap_channels ? 2 - i : i; }
};

struct Normalization {
    float scale, mean[3], std[3];

    __device__ __forceinline__ float operator()(float value, int channel) const {
        return __fdiv_rn(__fsub_rn(__fmul_rn(value, scale), mean[channel]), std[channel]);
    }
};

// Two neighbouring output columns of one image row, brought to the tensor's width.
struct WideRow {
    float value[2][3];

    __device__ __forceinline__ void read(const Image& image, int y, const Sample (&column)[2]) {
        const Byte* row = image.row(y);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const Byte* near = row + 3ll * column[i].near;
            const Byte* far = row + 3ll * column[i].far;
#pragma unroll
            for (int c = 0; c < 3; ++c) {
                const int at = image.channel(c);
                value[i][c] = weigh(column[i].near_weight, __int2float_rn(near[at]), column[i].far_weight,
                                    __int2float_rn(far[at]));
            }
        }
    }
};

// The part of the tensor that the image covers. Around it is padding.
struct Window {
    int top, left, height, width;
    float padding;
};

// A thread makes 2 columns x 4 rows of the tensor. The lanes of a warp lie side by side, so that they read
// an image row without gaps and write rows of each plane without gaps. Going down, the lower of the two
// image rows becomes the upper: at about the same size each is read and widened once, not twice.
// Where it is not letterboxed, the window is the tensor.
template <class T, bool letterboxed>
__device__ __forceinline__ void front_resize(const Image& image, const Normalization& normalize, T* tensor, int height,
                                             int width, const Window& window) {
    const Origin origin = tile_origin<kTileResizeWidth, kTileResizeHeight>(width);
    const int x = origin.x + 2 * static_cast<int>(threadIdx.x);
    if (x >= width) return;
    const Axis rows(image.height, window.height), columns(image.width, window.width);
    int across[2] = {x, x + 1};  // one beyond the width still lies inside
    bool covered[2] = {true, true};
    if (letterboxed) {
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            across[k] -= window.left;
            covered[k] = across[k] >= 0 && across[k] < window.width;
            across[k] = max(0, min(across[k], window.width - 1));
        }
    }
    const Sample column[2] = {columns(across[0]), columns(across[1])};
    const bool in_pairs = width % 2 == 0 && is_aligned<2 * sizeof(T)>(tensor);
    const long long plane = static_cast<long long>(height) * width;
    const int first = origin.y + 4 * static_cast<int>(threadIdx.y);
    WideRow upper, lower;
    int upper_y = -1, lower_y = -1;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int y = first + i;
        if (y >= height) break;
        const int down = letterboxed ? max(0, min(y - window.top, window.height - 1)) : y;
        const bool covered_row = !letterboxed || down == y - window.top;
        const Sample row = rows(down);
        if (row.near == lower_y) {
            upper = lower;
        } else if (row.near != upper_y) {
            upper.read(image, row.near, column);
        }
        if (row.far == row.near) {
            lower = upper;
        } else if (row.far != lower_y) {
            lower.read(image, row.far, column);
        }
        upper_y = row.near;
        lower_y = row.far;
#pragma unroll
        for (int c = 0; c < 3; ++c) {
            Pack<T, 2> pair;
#pragma unroll
            for (int k = 0; k < 2; ++k) {
                const float value = weigh(row.near_weight, upper.value[k][c], row.far_weight, lower.value[k][c]);
                assign(pair.value[k], normalize(covered_row && covered[k] ? value : window.padding, c));
            }
            T* to = tensor + c * plane + static_cast<long long>(y) * width + x;
            if (in_pairs) {
                *reinterpret_cast<Pack<T, 2>*>(to) = pair;
            } else {
                to[0] = pair.value[0];
                if (x + 1 < width) to[1] = pair.value[1];
            }
        }
    }
}

// Four pixels, 12 bytes: read as three words if the row's alignment allows it.
struct FourPixels {
    Byte value[12];

    __device__ __forceinline__ void read(const Byte* from, int count) {
        if (count == 4 && is_aligned<4>(from)) {
#pragma unroll
            for (int i = 0; i < 3; ++i) {
                const unsigned word = reinterpret_cast<const unsigned*>(from)[i];
#pragma unroll
                for (int k = 0; k < 4; ++k) value[4 * i + k] = static_cast<Byte>(word >> (8 * k));
            }
        } else {
#pragma unroll
            for (int i = 0; i < 12; ++i) value[i] = i < 3 * count ? from[i] : static_cast<Byte>(0);
        }
    }

    __device__ __forceinline__ void write(Byte* to, int count) const {
        if (count == 4 && is_aligned<4>(to)) {
#pragma unroll
            for (int i = 0; i < 3; ++i)
                reinterpret_cast<unsigned*>(to)[i] = value[4 * i] | static_cast<unsigned>(value[4 * i + 1]) << 8 |
                                                     static_cast<unsigned>(value[4 * i + 2]) << 16 |
                                                     static_cast<unsigned>(value[4 * i + 3]) << 24;
        } else {
#pragma unroll
            for (int i = 0; i < 12; ++i)
                if (i < 3 * count) to[i] = value[i];
        }
    }
};

// A thread makes 4 neighbouring pixels; a warp reads 384 bytes and writes 128 values of each plane in a row.
template <class T>
__device__ __forceinline__ void front_normalize(const Image& image, const Normalization& normalize, T* tensor) {
    const int height = image.height, width = image.width;
    const Origin origin = tile_origin<kTileStreamWidth, kTileStreamHeight>(width);
    const int x = origin.x + 4 * static_cast<int>(threadIdx.x), y = origin.y + static_cast<int>(threadIdx.y);
    if (x >= width || y >= height) return;
    const int count = min(4, width - x);
    FourPixels pixels;
    pixels.read(image.row(y) + 3ll * x, count);
    const long long plane = static_cast<long long>(height) * width;
    const bool in_fours = width % 4 == 0 && is_aligned<4 * sizeof(T)>(tensor);
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        Pack<T, 4> four;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const Byte value = image.swap_channels ? pixels.value[3 * i + 2 - c] : pixels.value[3 * i + c];
            assign(four.value[i], normalize(__int2float_rn(value), c));
        }
        T* to = tensor + c * plane + static_cast<long long>(y) * width + x;
        if (in_fours) {
            *reinterpret_cast<Pack<T, 4>*>(to) = four;
        } else {
#pragma unroll
            for (int i = 0; i < 4; ++i)
                if (i < count) to[i] = four.value[i];
        }
    }
}

// ----------------------------------------------------------------------------------------------- tail

// Class c at row y and column x lies at c * class_stride + y * row_stride + x * column_stride: (h * w, w, 1) for
// contiguous NCHW; (1, w * p, p) for TensorRT's HWC8, p being the classes rounded up to a multiple of 8.
template <class T>
struct Logits {
    const T* data;
    int classes, h, w;
    long long class_stride, row_stride, column_stride;

    __device__ __forceinline__ const T* at(int y, int x) const {
        return data + y * row_stride + x * column_stride;
    }
};

// fmaxf gives the number where the other is NaN.
__device__ __forceinline__ float clamped(float logit) { return fminf(fmaxf(logit, -kMaxLogit), kMaxLogit); }

struct Best {
    float value = kBelowLogits;
    int label = 0;

    // An equal value leaves the earlier class.
    __device__ __forceinline__ void take_better(float other, int other_label) {
        label = other > value ? other_label : label;
        value = fmaxf(other, value);
    }
};

// Classes are visited in ascending order; unrolled, several loads are under way at once.
template <class T>
__device__ __forceinline__ int argmax_at(const Logits<T>& logits, int y, int x) {
    const T* from = logits.at(y, x);
    Best best;
#pragma unroll 8
    for (int c = 0; c < logits.classes; ++c, from += logits.class_stride)
        best.take_better(clamped(float_of(*from)), c);
    return best.label;
}

// One class at the four corners of a cell. Without a class: below everything.
struct Corners {
    float near_near = kBelowLogits, near_far = kBelowLogits, far_near = kBelowLogits, far_far = kBelowLogits;

    // from: the upper left corner; down and right: from there to the others, in elements.
    template <class T>
    __device__ __forceinline__ void read(const T* from, long long down, long long right) {
        near_near = clamped(float_of(from[0]));
        near_far = clamped(float_of(from[right]));
        far_near = clamped(float_of(from[down]));
        far_far = clamped(float_of(from[down + right]));
    }

    __device__ __forceinline__ float highest() const {
        return fmaxf(fmaxf(near_near, near_far), fmaxf(far_near, far_far));
    }

    __device__ __forceinline__ float lowest() const {
        return fminf(fminf(near_near, near_far), fminf(far_near, far_far));
    }

    __device__ __forceinline__ Corners of_lane(int lane) const {
        Corners others;
        others.near_near = __shfl_sync(kWholeWarp, near_near, lane);
        others.near_far = __shfl_sync(kWholeWarp, near_far, lane);
        others.far_near = __shfl_sync(kWholeWarp, far_near, lane);
        others.far_far = __shfl_sync(kWholeWarp, far_far, lane);
        return others;
    }
};

// A pixel of a cell: its position between the corners, and the best class so far.
struct Pixel {
    float near_y, far_y, near_x, far_x;
    Best best;

    __device__ Pixel(float far_weight_y, float far_weight_x)
        : near_y(__fsub_rn(1.0f, far_weight_y)),
          far_y(far_weight_y),
          near_x(__fsub_rn(1.0f, far_weight_x)),
          far_x(far_weight_x) {}

    __device__ __forceinline__ float value(const Corners& corners) const {
        const float upper = weigh(near_x, corners.near_near, far_x, corners.near_far);
        const float lower = weigh(near_x, corners.far_near, far_x, corners.far_far);
        return weigh(near_y, upper, far_y, lower);
    }

    __device__ __forceinline__ void consider(const Corners& corners, int label) {
        best.take_better(value(corners), label);
    }
};

// The cells along one axis of a tile: runs of samples between the same two logits. Where nothing shrinks, one
// sample's logit is at most one beyond the last sample's, so cell k begins at logit first + k. Rounding may move
// a sample of a huge map by one logit: then a cell is empty, and there may be two more cells than samples.
template <int length>
struct Cells {
    float far_weight[length];  // of each sample
    short cell[length];        // that each sample lies in
    short begin[length + 3];   // first sample of each cell; the next cell's is one past its last

    // By all threads of the block; to be read after __syncthreads.
    __device__ __forceinline__ void lay_out(const Axis& axis, int first, int samples) {
        const int first_logit = axis.near(first);
        for (int i = thread_in_block(); i < samples; i += kThreads) {
            const Sample sample = axis(first + i);
            const int here = sample.near - first_logit;
            const int before = i == 0 ? -1 : axis.near(first + i - 1) - first_logit;
            far_weight[i] = sample.far_weight;
            cell[i] = static_cast<short>(here);
            for (int k = before + 1; k <= here; ++k) begin[k] = static_cast<short>(i);
            if (i == samples - 1) begin[here + 1] = static_cast<short>(samples);
        }
    }
};

struct Tile {
    alignas(16) Byte labels[kTileCellsHeight][kTileCellsWidth];
    Byte winner[kTileCellsHeight + 3][kTileCellsWidth + 3];  // the argmax of each logit around the cells
    Cells<kTileCellsWidth> columns;
    Cells<kTileCellsHeight> rows;

    // Return whether the four corners of a cell have different winners, and the cell has pixels.
    __device__ __forceinline__ bool is_mixed(int row, int column) const {
        const Byte label = winner[row][column];
        const bool agreed = winner[row][column + 1] == label && winner[row + 1][column] == label &&
                            winner[row + 1][column + 1] == label;
        return !agreed && rows.begin[row] < rows.begin[row + 1] && columns.begin[column] < columns.begin[column + 1];
    }
};

// Label pixels of a mixed cell, by a whole warp: slice `slice` of `slices`, each 64 pixels, then every so many.
// First a lane stands for a class: all classes' corners are read at once (33 and more classes: in turns), and
// a ballot shows which can win. A class whose largest corner is below some other class's smallest corner wins
// nowhere. Then a lane stands for two pixels, and the corners of each candidate come from its lane.
template <class T>
__device__ __forceinline__ void interpolate(const Logits<T>& logits, int y, int x, Tile& tile, int row, int column,
                                            int slice, int slices) {
    const int lane = static_cast<int>(threadIdx.x);
    const T* const from = logits.at(y, x) + lane * logits.class_stride;
    const long long down = y + 1 < logits.h ? logits.row_stride : 0;
    const long long right = x + 1 < logits.w ? logits.column_stride : 0;

    // The loops stay loops: unrolled, they would take more registers than let a processor hold four blocks.
    Corners first_classes;
    float certain = kBelowLogits;  // every pixel's winner has at least this
#pragma unroll 1
    for (int first = 0; first < logits.classes; first += kLanes) {
        Corners corners;
        if (first + lane < logits.classes) corners.read(from + first * logits.class_stride, down, right);
        if (first == 0) first_classes = corners;
        certain = fmaxf(certain, corners.lowest());
    }
#pragma unroll
    for (int distance = kLanes / 2; distance > 0; distance /= 2)
        certain = fmaxf(certain, __shfl_xor_sync(kWholeWarp, certain, distance));

    const int top = tile.rows.begin[row], left = tile.columns.begin[column];
    const int cell_width = tile.columns.begin[column + 1] - left;
    const int pixels = (tile.rows.begin[row + 1] - top) * cell_width;
#pragma unroll 1
    for (int start = 2 * kLanes * slice; start < pixels; start += 2 * kLanes * slices) {
        const int one = start + lane, other = one + kLanes;
        const int one_y = top + min(one, pixels - 1) / cell_width, one_x = left + min(one, pixels - 1) % cell_width;
        const int other_y = top + min(other, pixels - 1) / cell_width;
        const int other_x = left + min(other, pixels - 1) % cell_width;
        Byte* const one_label = &tile.labels[one_y][one_x];
        Byte* const other_label = &tile.labels[other_y][other_x];
        Pixel one_pixel(tile.rows.far_weight[one_y], tile.columns.far_weight[one_x]);
        Pixel other_pixel(tile.rows.far_weight[other_y], tile.columns.far_weight[other_x]);
#pragma unroll 1
        for (int first = 0; first < logits.classes; first += kLanes) {
            Corners corners = first_classes;
            if (first > 0) {
                corners = Corners();
                if (first + lane < logits.classes) corners.read(from + first * logits.class_stride, down, right);
            }
            unsigned candidates = __ballot_sync(kWholeWarp, corners.highest() >= certain);
            while (candidates != 0) {
                const int candidate = __ffs(static_cast<int>(candidates)) - 1;
                candidates &= candidates - 1;
                const Corners those = corners.of_lane(candidate);
                one_pixel.consider(those, first + candidate);
                other_pixel.consider(those, first + candidate);
            }
        }
        if (one < pixels) *one_label = static_cast<Byte>(one_pixel.best.label);
        if (other < pixels) *other_label = static_cast<Byte>(other_pixel.best.label);
    }
}

// A block makes 128 x 32 labels, in shared memory, and never looks at a score of full resolution:
//
// 1. One thread per logit around the tile takes the argmax over classes, neighbours by neighbours. At stride 8
//    these are 18 x 6 positions for 16 x 4 in the tile: DRAM gives each logit once (1.2 MB in float16 for 19
//    classes at 1024 x 2048), the rim comes again from the L2 cache.
// 2. Every cell is filled with its first corner's winner: a word of 4 labels is put together once for a row of
//    cells and stored to all its rows of pixels. For the cells whose corners agree this is the result.
// 3. The other cells, some 5 to 20 %, are shared out among the warps, neighbours to different ones as they lie
//    along borders, and interpolated; their logits are in the L1 cache since step 1.
// 4. The tile goes out, 16 bytes a thread and 128 bytes a row: 2 MB in all.
template <class T>
__device__ __forceinline__ void tail_cells(const Logits<T>& logits, Byte* labels, int height, int width,
                                           const Axis& rows, const Axis& columns) {
    __shared__ Tile tile;
    const Origin origin = tile_origin<kTileCellsWidth, kTileCellsHeight>(width);
    const int tile_width = min(kTileCellsWidth, width - origin.x);
    const int tile_height = min(kTileCellsHeight, height - origin.y);
    const int thread = thread_in_block();

    const int y = rows.near(origin.y), x = columns.near(origin.x);
    const int cell_rows = rows.near(origin.y + tile_height - 1) - y + 1;
    const int cell_columns = columns.near(origin.x + tile_width - 1) - x + 1;
    tile.rows.lay_out(rows, origin.y, tile_height);
    tile.columns.lay_out(columns, origin.x, tile_width);
    for (int i = thread; i < (cell_rows + 1) * (cell_columns + 1); i += kThreads) {
        const int row = i / (cell_columns + 1), column = i % (cell_columns + 1);
        const int label = argmax_at(logits, min(y + row, logits.h - 1), min(x + column, logits.w - 1));
        tile.winner[row][column] = static_cast<Byte>(label);
    }
    __syncthreads();

    constexpr int kWords = kTileCellsWidth / 4;
    for (int i = thread; i < cell_rows * kWords; i += kThreads) {
        const int row = i / kWords, word = i % kWords;
        Pack<Byte, 4> four;
#pragma unroll
        for (int k = 0; k < 4; ++k)
            four.value[k] = tile.winner[row][tile.columns.cell[min(4 * word + k, tile_width - 1)]];
        for (int to = tile.rows.begin[row]; to < tile.rows.begin[row + 1]; ++to)
            *reinterpret_cast<Pack<Byte, 4>*>(&tile.labels[to][4 * word]) = four;
    }
    __syncthreads();

    const int cells = cell_rows * cell_columns;
    const int slices = max(1, tile_width * tile_height / (cells * 4 * kLanes));  // large cells: for several warps
    const int items = cells * slices;
    for (int base = 0; base < items; base += kThreads) {
        const int item = base + static_cast<int>(threadIdx.x * kWarps + threadIdx.y);
        const int cell = item / slices;
        const bool mixed = item < items && tile.is_mixed(cell / cell_columns, cell % cell_columns);
        unsigned waiting = __ballot_sync(kWholeWarp, mixed);
        while (waiting != 0) {
            const int next = base + (__ffs(static_cast<int>(waiting)) - 1) * kWarps + static_cast<int>(threadIdx.y);
            waiting &= waiting - 1;
            const int row = next / slices / cell_columns, column = next / slices % cell_columns;
            interpolate(logits, y + row, x + column, tile, row, column, next % slices, slices);
        }
    }
    __syncthreads();

    typedef Pack<unsigned, 4> Sixteen;
    if (width % 16 == 0 && is_aligned<16>(labels)) {
        for (int i = thread; i < kTileCellsWidth / 16 * tile_height; i += kThreads) {
            const int row = i / (kTileCellsWidth / 16), column = i % (kTileCellsWidth / 16) * 16;
            Byte* to = labels + static_cast<long long>(origin.y + row) * width + origin.x + column;
            if (column < tile_width)
                *reinterpret_cast<Sixteen*>(to) = *reinterpret_cast<const Sixteen*>(&tile.labels[row][column]);
        }
    } else {
        for (int i = thread; i < kTileCellsWidth * tile_height; i += kThreads) {
            const int row = i / kTileCellsWidth, column = i % kTileCellsWidth;
            if (column < tile_width)
                labels[static_cast<long long>(origin.y + row) * width + origin.x + column] = tile.labels[row][column];
        }
    }
}

// A thread makes one label from its own four logits of each class: the same rule without cells. For maps smaller
// than their logits, where neighbouring pixels share nothing.
template <class T>
__device__ __forceinline__ void tail_pixels(const Logits<T>& logits, Byte* labels, int height, int width,
                                            const Axis& rows, const Axis& columns) {
    const Origin origin = tile_origin<kTilePixelsWidth, kTilePixelsHeight>(width);
    const int x = origin.x + static_cast<int>(threadIdx.x), y = origin.y + static_cast<int>(threadIdx.y);
    if (x >= width || y >= height) return;
    const Sample row = rows(y), column = columns(x);
    const T* const from = logits.at(row.near, column.near);
    const long long down = (row.far - row.near) * logits.row_stride;
    const long long right = (column.far - column.near) * logits.column_stride;
    Best near_near, near_far, far_near, far_far;
    float certain = kBelowLogits;
#pragma unroll 4
    for (int c = 0; c < logits.classes; ++c) {
        Corners corners;
        corners.read(from + c * logits.class_stride, down, right);
        near_near.take_better(corners.near_near, c);
        near_far.take_better(corners.near_far, c);
        far_near.take_better(corners.far_near, c);
        far_far.take_better(corners.far_far, c);
        certain = fmaxf(certain, corners.lowest());
    }
    int label = near_near.label;
    if (near_far.label != label || far_near.label != label || far_far.label != label) {
        Pixel pixel(row.far_weight, column.far_weight);
        for (int c = 0; c < logits.classes; ++c) {
            Corners corners;
            corners.read(from + c * logits.class_stride, down, right);
            if (corners.highest() >= certain) pixel.consider(corners, c);
        }
        label = pixel.best.label;
    }
    labels[static_cast<long long>(y) * width + x] = static_cast<Byte>(label);
}

// A thread makes 4 neighbouring labels: at full size the logits are most of the work, and are read once, wide.
template <class T>
__device__ __forceinline__ void tail_argmax(const Logits<T>& logits, Byte* labels) {
    const int height = logits.h, width = logits.w;
    const Origin origin = tile_origin<kTileStreamWidth, kTileStreamHeight>(width);
    const int x = origin.x + 4 * static_cast<int>(threadIdx.x), y = origin.y + static_cast<int>(threadIdx.y);
    if (x >= width || y >= height) return;
    Byte* to = labels + static_cast<long long>(y) * width + x;
    const bool in_fours = width % 4 == 0 && logits.column_stride == 1 && logits.row_stride % 4 == 0 &&
                          logits.class_stride % 4 == 0 && is_aligned<4 * sizeof(T)>(logits.data) &&
                          is_aligned<4>(labels);
    if (in_fours) {
        const T* from = logits.at(y, x);
        Best best[4];
#pragma unroll 4
        for (int c = 0; c < logits.classes; ++c, from += logits.class_stride) {
            const Pack<T, 4> four = *reinterpret_cast<const Pack<T, 4>*>(from);
#pragma unroll
            for (int i = 0; i < 4; ++i) best[i].take_better(clamped(float_of(four.value[i])), c);
        }
        Pack<Byte, 4> four;
#pragma unroll
        for (int i = 0; i < 4; ++i) four.value[i] = static_cast<Byte>(best[i].label);
        *reinterpret_cast<Pack<Byte, 4>*>(to) = four;
    } else {
        for (int i = 0; i < min(4, width - x); ++i) to[i] = static_cast<Byte>(argmax_at(logits, y, x + i));
    }
}

// A thread makes 4 neighbouring labels of one channel, each from its own four values, mostly in the L1 cache: one
// channel is so little that nothing is gained by cells. As there, what all four corners agree on is the label: tail.cpp
// says why.
template <class T>
__device__ __forceinline__ void mask(const Logits<T>& logits, Byte* labels, int height, int width, const Axis& rows,
                                     const Axis& columns, float threshold) {
    const Origin origin = tile_origin<kTileStreamWidth, kTileStreamHeight>(width);
    const int x = origin.x + 4 * static_cast<int>(threadIdx.x), y = origin.y + static_cast<int>(threadIdx.y);
    if (x >= width || y >= height) return;
    const Sample row = rows(y);
    const long long down = (row.far - row.near) * logits.row_stride;
    Pack<Byte, 4> four;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const Sample column = columns(min(x + i, width - 1));
        Corners corners;
        corners.read(logits.at(row.near, column.near), down, (column.far - column.near) * logits.column_stride);
        const Pixel pixel(row.far_weight, column.far_weight);
        const bool all = corners.lowest() > threshold, some = corners.highest() > threshold;
        four.value[i] = static_cast<Byte>(all || (some && pixel.value(corners) > threshold));
    }
    Byte* to = labels + static_cast<long long>(y) * width + x;
    if (width % 4 == 0 && is_aligned<4>(labels)) {
        *reinterpret_cast<Pack<Byte, 4>*>(to) = four;
    } else {
#pragma unroll
        for (int i = 0; i < 4; ++i)
            if (i < width - x) to[i] = four.value[i];
    }
}

// -------------------------------------------------------------------------------------------- overlay

// A thread makes 4 neighbouring pixels. Halves are rounded to even, as NumPy's rint does.
__device__ __forceinline__ void lay_over(const Image& image, const Byte* labels, const Byte* palette, Byte* overlay,
                                         float opacity) {
    const int height = image.height, width = image.width;
    const Origin origin = tile_origin<kTileStreamWidth, kTileStreamHeight>(width);
    const int x = origin.x + 4 * static_cast<int>(threadIdx.x), y = origin.y + static_cast<int>(threadIdx.y);
    if (x >= width || y >= height) return;
    const int count = min(4, width - x);
    const long long at = static_cast<long long>(y) * width + x;
    const float rest = __fsub_rn(1.0f, opacity);
    FourPixels pixels, blended;
    pixels.read(image.row(y) + 3ll * x, count);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const Byte* colour = palette + 3 * static_cast<int>(labels[at + min(i, count - 1)]);
#pragma unroll
        for (int c = 0; c < 3; ++c) {
            const Byte value = image.swap_channels ? pixels.value[3 * i + 2 - c] : pixels.value[3 * i + c];
            const float sum = weigh(__int2float_rn(value), rest, __int2float_rn(colour[c]), opacity);
            blended.value[3 * i + c] = static_cast<Byte>(__float2int_rn(sum));
        }
    }
    blended.write(overlay + 3 * at, count);
}

}  // namespace rtseg

// -------------------------------------------------------------------------------------------- kernels

// image: height rows of width pixels, RGB (BGR: swap_channels), the next row row_bytes further on.
// tensor: 3 x out_height x out_width, contiguous. mean and std in the tensor's order of channels.
// front_normalize: out_height and out_width are the image's.
#define RTSEG_FRONT_ARGUMENTS(T)                                                                                    \
    const unsigned char *__restrict__ image, int height, int width, long long row_bytes, int swap_channels,         \
        T *__restrict__ tensor, int out_height, int out_width, float scale, float mean0, float mean1, float mean2,  \
        float std0, float std1, float std2

// The image covers height x width values from row top and column left on. padding: a pixel value.
#define RTSEG_WINDOW_ARGUMENTS int top, int left, int window_height, int window_width, float padding

// logits: classes x h x w, strides in elements. labels: height x width, contiguous. Ratios and shifts are those of
// ratio_and_shift in rtseg/frame/bilinear.py.
// tail_cells: no ratio above 1. tail_argmax: h == height and w == width. mask: of one channel.
#define RTSEG_TAIL_ARGUMENTS(T)                                                                                     \
    const T *__restrict__ logits, int classes, int h, int w, long long class_stride, long long row_stride,          \
        long long column_stride, unsigned char *__restrict__ labels, int height, int width, int align_corners,      \
        float row_ratio, float row_shift, float column_ratio, float column_shift

#define RTSEG_AXES {h, align_corners != 0, row_ratio, row_shift}, {w, align_corners != 0, column_ratio, column_shift}

#define RTSEG_KERNEL(name) extern "C" __global__ void __launch_bounds__(rtseg::kThreads) rtseg_##name

#define RTSEG_KERNELS_OF(suffix, T)                                                                                 \
    RTSEG_KERNEL(front_resize_##suffix)(RTSEG_FRONT_ARGUMENTS(T)) {                                                 \
        rtseg::front_resize<T, false>({image, height, width, row_bytes, swap_channels != 0},                        \
                                      {scale, {mean0, mean1, mean2}, {std0, std1, std2}}, tensor, out_height,       \
                                      out_width, {0, 0, out_height, out_width, 0.0f});                              \
    }                                                                                                               \
    RTSEG_KERNEL(front_normalize_##suffix)(RTSEG_FRONT_ARGUMENTS(T)) {                                              \
        rtseg::front_normalize<T>({image, out_height, out_width, row_bytes, swap_channels != 0},                    \
                                  {scale, {mean0, mean1, mean2}, {std0, std1, std2}}, tensor);                      \
    }                                                                                                               \
    RTSEG_KERNEL(letterbox_##suffix)(RTSEG_FRONT_ARGUMENTS(T), RTSEG_WINDOW_ARGUMENTS) {                            \
        rtseg::front_resize<T, true>({image, height, width, row_bytes, swap_channels != 0},                         \
                                     {scale, {mean0, mean1, mean2}, {std0, std1, std2}}, tensor, out_height,        \
                                     out_width, {top, left, window_height, window_width, padding});                 \
    }                                                                                                               \
    RTSEG_KERNEL(tail_cells_##suffix)(RTSEG_TAIL_ARGUMENTS(T)) {                                                    \
        rtseg::tail_cells<T>({logits, classes, h, w, class_stride, row_stride, column_stride}, labels, height,      \
                             width, RTSEG_AXES);                                                                    \
    }                                                                                                               \
    RTSEG_KERNEL(tail_pixels_##suffix)(RTSEG_TAIL_ARGUMENTS(T)) {                                                   \
        rtseg::tail_pixels<T>({logits, classes, h, w, class_stride, row_stride, column_stride}, labels, height,     \
                              width, RTSEG_AXES);                                                                   \
    }                                                                                                               \
    RTSEG_KERNEL(tail_argmax_##suffix)(RTSEG_TAIL_ARGUMENTS(T)) {                                                   \
        rtseg::tail_argmax<T>({logits, classes, h, w, class_stride, row_stride, column_stride}, labels);            \
    }                                                                                                               \
    RTSEG_KERNEL(mask_##suffix)(RTSEG_TAIL_ARGUMENTS(T), float threshold) {                                         \
        rtseg::mask<T>({logits, classes, h, w, class_stride, row_stride, column_stride}, labels, height, width,     \
                       RTSEG_AXES, threshold);                                                                      \
    }

RTSEG_KERNELS_OF(f32, float)
RTSEG_KERNELS_OF(f16, rtseg::Half)

// image as above, of the labels' size. palette: 256 RGB colours, 3 bytes each. overlay: height x width x 3, RGB,
// contiguous. opacity: 0 (the image) to 1 (the colours).
RTSEG_KERNEL(overlay)
(const unsigned char* __restrict__ image, int height, int width, long long row_bytes, int swap_channels,
 const unsigned char* __restrict__ labels, const unsigned char* __restrict__ palette,
 unsigned char* __restrict__ overlay, float opacity) {
    rtseg::lay_over({image, height, width, row_bytes, swap_channels != 0}, labels, palette, overlay, opacity);
}
