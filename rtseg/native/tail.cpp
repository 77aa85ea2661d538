// Logits to labels: upsample and argmax, or compare with a threshold, in one pass, interpolating only where it can
// matter.
//
// Bilinear interpolation is a convex combination of the four logits around a pixel. So between four
// logits' pixels (a cell) whose argmax is the same class, that class wins everywhere: the cell is
// filled. In the others, a class whose largest corner is below some other class's smallest corner
// wins nowhere and is left out. Rounding is monotone, so both hold in float32 too, up to ties.
//
// With one channel and a threshold the same holds: between four values above it every value is above it, between four
// that are not none is. Such a cell is filled by that, which is what real numbers give. Float32 need not: a sum of
// rounded products can be a step beyond both values, as four times 0.1 weighted at some pixels is more than 0.1. So the
// corners decide, in every twin, and not the sum. Where they disagree, a label can be another than in real numbers only
// where the interpolated value is within rounding of the threshold.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <vector>

#include "bilinear.h"
#include "lanes.h"
#include "rtseg_core.h"
#include "target.h"
#include "window.h"
#include "workspace.h"

namespace rtseg {
namespace {

constexpr size_t kRowsPerTask = 64;  // output rows, about: cells are not cut for it
constexpr size_t kCacheLine = 16;    // in floats

static_assert(Axis::kSpare >= kLanes, "weights are read in whole lanes");

// Fit an axis, and find its cells if it differs from the last one.
void fit(Axis& axis, std::vector<Cell>& cells, int inputs, int outputs, bool align_corners, const Part& part) {
    if (axis.fit(inputs, outputs, align_corners, part)) cells.clear();
    if (!cells.empty()) return;
    try {
        for (size_t i = 0; i < axis.outputs(); ++i) {
            const size_t near = static_cast<size_t>(axis.near[i]);
            if (cells.empty() || cells.back().near != near || i - cells.back().begin == Cell::kLongest)
                cells.push_back({near, static_cast<size_t>(axis.far[i]), i, i});
            cells.back().end = i + 1;
        }
    } catch (...) {  // a kept workspace must not mistake some cells for all
        cells.clear();
        throw;
    }
}

struct Logits {
    const float* data;
    int classes, h, w;
    float threshold;  // where `classes` is 1

    size_t plane() const { return static_cast<size_t>(h) * static_cast<size_t>(w); }
    const float* row(size_t y) const { return data + y * static_cast<size_t>(w); }
    // An odd number of cache lines, so that a pixel's classes do not all fall into the same cache sets.
    size_t padded_row() const { return ((static_cast<size_t>(w) + kCacheLine - 1) / kCacheLine | 1) * kCacheLine; }
};

// The destination of the labels; row_bytes is the distance between rows.
struct LabelMap {
    uint8_t* data;
    int height, width;
    ptrdiff_t row_bytes;

    RTSEG_INLINE uint8_t* row(size_t y) const { return data + static_cast<ptrdiff_t>(y) * row_bytes; }
};

RTSEG_INLINE float clamped(float logit) {
    const float above = logit > -RTSEG_MAX_LOGIT ? logit : -RTSEG_MAX_LOGIT;  // NaN compares false
    return above < RTSEG_MAX_LOGIT ? above : RTSEG_MAX_LOGIT;
}

// Read one row: clamp it to `values` (class c at c * stride; all over the first where stride is 0) and take its argmax.
RTSEG_TARGET_CLONES
void read_row(const float* __restrict logits, size_t plane, int classes, int w, size_t stride, float* __restrict values,
              float* __restrict best, int32_t* __restrict winner, uint8_t* __restrict labels) {
    for (int x = 0; x < w; ++x) {
        best[x] = values[x] = clamped(logits[x]);
        winner[x] = 0;
    }
    for (int c = 1; c < classes; ++c) {
        const float* __restrict from = logits + static_cast<size_t>(c) * plane;
        float* __restrict to = values + static_cast<size_t>(c) * stride;
        for (int x = 0; x < w; ++x) {
            const float value = clamped(from[x]);
            to[x] = value;
            winner[x] = value > best[x] ? c : winner[x];
            best[x] = value > best[x] ? value : best[x];
        }
    }
    for (int x = 0; x < w; ++x) labels[x] = static_cast<uint8_t>(winner[x]);
}

// The same for one channel: label 1 above the threshold.
RTSEG_TARGET_CLONES
void read_mask_row(const float* __restrict channel, int w, float threshold, float* __restrict values,
                   uint8_t* __restrict labels) {
    for (int x = 0; x < w; ++x) {
        values[x] = clamped(channel[x]);
        labels[x] = values[x] > threshold;
    }
}

// Label the pixels of one cell by interpolating the classes that can win in it.
RTSEG_TARGET_CLONES
void interpolate_cell(const float* top, const float* bottom, size_t stride, int classes, const Axis& rows,
                      const Axis& columns, const Cell& row, const Cell& column, LabelMap labels) {
    float corner[RTSEG_MAX_CLASSES][4], highest[RTSEG_MAX_CLASSES];
    float certain = -std::numeric_limits<float>::infinity();  // every pixel's winner has at least this
    for (int c = 0; c < classes; ++c) {
        const size_t offset = static_cast<size_t>(c) * stride;
        const float a = top[offset + column.near], b = top[offset + column.far];
        const float d = bottom[offset + column.near], e = bottom[offset + column.far];
        corner[c][0] = a, corner[c][1] = b, corner[c][2] = d, corner[c][3] = e;
        highest[c] = std::max(std::max(a, b), std::max(d, e));
        certain = std::max(certain, std::min(std::min(a, b), std::min(d, e)));
    }
    int candidates[RTSEG_MAX_CLASSES];
    int count = 0;
    for (int c = 0; c < classes; ++c) {
        candidates[count] = c;
        count += highest[c] >= certain;
    }
    Lanes upper[RTSEG_MAX_CLASSES], lower[RTSEG_MAX_CLASSES];
    for (size_t x = column.begin; x < column.end; x += kLanes) {
        Lanes near_x, far_x;
        load(near_x, &columns.near_weight[x]);
        load(far_x, &columns.far_weight[x]);
        for (int k = 0; k < count; ++k) {
            const float* at = corner[candidates[k]];
            weigh(upper[k], near_x, at[0], far_x, at[1]);
            weigh(lower[k], near_x, at[2], far_x, at[3]);
        }
        const int in_use = static_cast<int>(std::min<size_t>(kLanes, column.end - x));
        for (size_t y = row.begin; y < row.end; ++y) {
            const float near_y = rows.near_weight[y], far_y = rows.far_weight[y];
            Lanes best, value;
            ClassLanes winner;
            weigh(best, upper[0], near_y, lower[0], far_y);
            repeat(winner, candidates[0]);
            for (int k = 1; k < count; ++k) {
                weigh(value, upper[k], near_y, lower[k], far_y);
                take_better(best, winner, value, candidates[k]);
            }
            store(winner, labels.row(y) + x, in_use);
        }
    }
}

// The same for one channel. Only what is greater beats the threshold.
RTSEG_TARGET_CLONES
void interpolate_mask_cell(const float* top, const float* bottom, float threshold, const Axis& rows,
                           const Axis& columns, const Cell& row, const Cell& column, LabelMap labels) {
    for (size_t x = column.begin; x < column.end; x += kLanes) {
        Lanes near_x, far_x, upper, lower;
        load(near_x, &columns.near_weight[x]);
        load(far_x, &columns.far_weight[x]);
        weigh(upper, near_x, top[column.near], far_x, top[column.far]);
        weigh(lower, near_x, bottom[column.near], far_x, bottom[column.far]);
        const int in_use = static_cast<int>(std::min<size_t>(kLanes, column.end - x));
        for (size_t y = row.begin; y < row.end; ++y) {
            Lanes best, value;
            ClassLanes winner;
            repeat(best, threshold);
            repeat(winner, 0);
            weigh(value, upper, rows.near_weight[y], lower, rows.far_weight[y]);
            take_better(best, winner, value, 1);
            store(winner, labels.row(y) + x, in_use);
        }
    }
}

constexpr int kMixed = -1;

// Return the class that all four corners of a cell agree on, or kMixed.
inline int agreed_label(const uint8_t* top, const uint8_t* bottom, const Cell& cell) {
    const uint8_t label = top[cell.near];
    return top[cell.far] == label && bottom[cell.near] == label && bottom[cell.far] == label ? label : kMixed;
}

// The rule for labels: argmax over classes, or one channel and a threshold.
enum class Rule { kArgmax, kThreshold };

// Allocate one row of logits; it holds none yet.
void prepare(LogitRow& row, const Logits& logits, int kept_classes) {
    const size_t across = static_cast<size_t>(logits.w);
    make_room(row.values, static_cast<size_t>(kept_classes) * logits.padded_row());
    make_room(row.best, across);
    make_room(row.winner, across);
    make_room(row.labels, across);
    row.y = LogitRow::kNone;
}

// Return row y of the logits: the stored one, or else read into the buffer that does not hold row `kept`. So, going
// down, the lower row becomes the upper.
template <Rule rule>
const LogitRow& read(LabelScratch::Rows& rows, const Logits& logits, size_t y, size_t kept) {
    for (const LogitRow& held : rows.row)
        if (held.y == y) return held;
    LogitRow& free = rows.row[rows.row[0].y == kept ? 1 : 0];
    if constexpr (rule == Rule::kThreshold) {
        read_mask_row(logits.row(y), logits.w, logits.threshold, free.values.data(), free.labels.data());
    } else {
        read_row(logits.row(y), logits.plane(), logits.classes, logits.w, logits.padded_row(), free.values.data(),
                 free.best.data(), free.winner.data(), free.labels.data());
    }
    free.y = y;
    return free;
}

// Label the output rows that lie between the same two rows of logits.
template <Rule rule>
void label_rows(const Logits& logits, const LabelScratch& scratch, const Cell& row, LabelScratch::Rows& held,
                const LabelMap& labels) {
    const LogitRow& top = read<rule>(held, logits, row.near, row.far);
    const LogitRow& bottom = read<rule>(held, logits, row.far, row.near);
    const auto end = scratch.column_cells.end();
    for (auto cell = scratch.column_cells.begin(); cell != end;) {
        const int label = agreed_label(top.labels.data(), bottom.labels.data(), *cell);
        if (label == kMixed) {
            if constexpr (rule == Rule::kThreshold) {
                interpolate_mask_cell(top.values.data(), bottom.values.data(), logits.threshold, scratch.rows,
                                      scratch.columns, row, *cell, labels);
            } else {
                interpolate_cell(top.values.data(), bottom.values.data(), logits.padded_row(), logits.classes,
                                 scratch.rows, scratch.columns, row, *cell, labels);
            }
            ++cell;
            continue;
        }
        const size_t first = cell->begin;
        size_t past = cell->end;
        for (++cell; cell != end && agreed_label(top.labels.data(), bottom.labels.data(), *cell) == label; ++cell)
            past = cell->end;
        for (size_t y = row.begin; y < row.end; ++y) std::memset(labels.row(y) + first, label, past - first);
    }
}

template <Rule rule>
void upsample(const Logits& logits, const Parts& parts, const LabelMap& labels, bool align_corners,
              rtseg_workspace& workspace) {
    LabelScratch& scratch = workspace.label;
    fit(scratch.rows, scratch.row_cells, logits.h, labels.height, align_corners, parts.rows);
    fit(scratch.columns, scratch.column_cells, logits.w, labels.width, align_corners, parts.columns);
    const size_t cells = scratch.row_cells.size();
    const size_t per_task = std::max<size_t>(1, cells * kRowsPerTask / static_cast<size_t>(labels.height));
    const int tasks = static_cast<int>((cells + per_task - 1) / per_task);
    const int workers = workspace.workers.count(tasks, static_cast<double>(labels.height) * labels.width);
    make_room(scratch.of_worker, static_cast<size_t>(workers));
    for (int worker = 0; worker < workers; ++worker)
        for (LogitRow& row : scratch.of_worker[static_cast<size_t>(worker)].row) prepare(row, logits, logits.classes);
    workspace.workers.run(tasks, workers, [&](int task, int worker) {
        const size_t begin = static_cast<size_t>(task) * per_task, end = std::min(cells, begin + per_task);
        for (size_t i = begin; i < end; ++i)
            label_rows<rule>(logits, scratch, scratch.row_cells[i], scratch.of_worker[static_cast<size_t>(worker)],
                             labels);
    });
}

// The output has the logits' size: no pixel lies between them.
template <Rule rule>
void label_logits(const Logits& logits, const LabelMap& labels, rtseg_workspace& workspace) {
    LabelScratch& scratch = workspace.label;
    const int workers = workspace.workers.count(logits.h, static_cast<double>(logits.plane()));
    make_room(scratch.of_worker, static_cast<size_t>(workers));
    for (int worker = 0; worker < workers; ++worker)
        prepare(scratch.of_worker[static_cast<size_t>(worker)].row[0], logits, 1);
    workspace.workers.run(logits.h, workers, [&](int i, int worker) {
        LogitRow& row = scratch.of_worker[static_cast<size_t>(worker)].row[0];
        const size_t y = static_cast<size_t>(i);
        if constexpr (rule == Rule::kThreshold) {
            read_mask_row(logits.row(y), logits.w, logits.threshold, row.values.data(), labels.row(y));
        } else {
            read_row(logits.row(y), logits.plane(), logits.classes, logits.w, 0, row.values.data(), row.best.data(),
                     row.winner.data(), labels.row(y));
        }
    });
}

// Return RTSEG_OK, or the error code for the arguments that both rules share.
int refusal(const Logits& logits, const rtseg_window* window, const LabelMap& labels) {
    if (logits.data == nullptr || labels.data == nullptr) return RTSEG_NULL_POINTER;
    if (!is_side(logits.h) || !is_side(logits.w) || !is_side(labels.height) || !is_side(labels.width))
        return RTSEG_BAD_SIZE;
    if (labels.row_bytes < labels.width && labels.row_bytes > -labels.width) return RTSEG_BAD_SIZE;
    return window != nullptr && !is_inside(*window) ? RTSEG_BAD_SIZE : RTSEG_OK;
}

// The common part of all functions, after their arguments were checked.
template <Rule rule>
int label(rtseg_workspace& workspace, const Logits& logits, const rtseg_window* window, const LabelMap& labels,
          int align_corners) {
    const Parts parts = parts_of(window);
    try {
        if (parts.are_whole() && logits.h == labels.height && logits.w == labels.width) {
            label_logits<rule>(logits, labels, workspace);
        } else {
            upsample<rule>(logits, parts, labels, align_corners != 0, workspace);
        }
    } catch (const std::exception&) {  // here the standard library throws only if memory runs out
        return RTSEG_NO_MEMORY;
    }
    return RTSEG_OK;
}

template <Rule rule>
int label_once(const Logits& logits, const rtseg_window* window, const LabelMap& labels, int align_corners,
               int threads) {
    const int code = refusal(logits, window, labels);
    if (code != RTSEG_OK) return code;
    if (threads < 0) return RTSEG_BAD_VALUE;
    rtseg_workspace workspace(threads, Lifetime::kOneCall);
    return label<rule>(workspace, logits, window, labels, align_corners);
}

template <Rule rule>
int label_in(rtseg_workspace* workspace, const Logits& logits, const rtseg_window* window, const LabelMap& labels,
             int align_corners) {
    if (workspace == nullptr) return RTSEG_NULL_POINTER;
    const int code = refusal(logits, window, labels);
    return code != RTSEG_OK ? code : label<rule>(*workspace, logits, window, labels, align_corners);
}

bool are_classes(int classes) { return classes >= RTSEG_MIN_CLASSES && classes <= RTSEG_MAX_CLASSES; }

bool is_threshold(float threshold) { return threshold >= -RTSEG_MAX_LOGIT && threshold <= RTSEG_MAX_LOGIT; }  // nor NaN

}  // namespace
}  // namespace rtseg

using namespace rtseg;  // the C functions are outside the namespace

int rtseg_labels_from_logits(const float* logits, int classes, int h, int w, uint8_t* labels, int height, int width,
                             int align_corners, int threads) {
    return rtseg_labels_in_window(logits, classes, h, w, nullptr, labels, height, width, align_corners, threads);
}

int rtseg_labels_in_window(const float* logits, int classes, int h, int w, const rtseg_window* window, uint8_t* labels,
                           int height, int width, int align_corners, int threads) {
    if (!are_classes(classes)) return RTSEG_BAD_CLASSES;
    return label_once<Rule::kArgmax>({logits, classes, h, w, 0}, window, {labels, height, width, width}, align_corners,
                                     threads);
}

int rtseg_mask_from_logits(const float* logits, int h, int w, float threshold, const rtseg_window* window,
                           uint8_t* labels, int height, int width, int align_corners, int threads) {
    if (!is_threshold(threshold)) return RTSEG_BAD_VALUE;
    return label_once<Rule::kThreshold>({logits, 1, h, w, threshold}, window, {labels, height, width, width},
                                        align_corners, threads);
}

int rtseg_workspace_labels(rtseg_workspace* workspace, const float* logits, int classes, int h, int w,
                           const rtseg_window* window, uint8_t* labels, int height, int width,
                           ptrdiff_t label_row_bytes, int align_corners) {
    if (!are_classes(classes)) return RTSEG_BAD_CLASSES;
    return label_in<Rule::kArgmax>(workspace, {logits, classes, h, w, 0}, window,
                                   {labels, height, width, label_row_bytes}, align_corners);
}

int rtseg_workspace_mask(rtseg_workspace* workspace, const float* logits, int h, int w, float threshold,
                         const rtseg_window* window, uint8_t* labels, int height, int width, ptrdiff_t label_row_bytes,
                         int align_corners) {
    if (!is_threshold(threshold)) return RTSEG_BAD_VALUE;
    return label_in<Rule::kThreshold>(workspace, {logits, 1, h, w, threshold}, window,
                                      {labels, height, width, label_row_bytes}, align_corners);
}

int rtseg_core_abi_version(void) { return RTSEG_CORE_ABI_VERSION; }

const char* rtseg_core_message(int code) {
    switch (code) {
        case RTSEG_OK: return "done";
        case RTSEG_NULL_POINTER: return "a pointer is NULL";
        case RTSEG_BAD_SIZE:
            return "a height, width or count is out of range, rows overlap, or the window is not inside";
        case RTSEG_BAD_CLASSES: return "the number of classes is outside 2 to 256";
        case RTSEG_BAD_VALUE:
            return "threads is negative, or scale, mean, std, threshold, padding, exponent or the layout of a pixel is not usable";
        case RTSEG_NO_MEMORY: return "out of memory";
        case RTSEG_NOT_FINITE: return "a value is not finite";
        default: return "unknown code";
    }
}
