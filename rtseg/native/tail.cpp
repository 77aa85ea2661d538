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
#include <utility>
#include <vector>

#include "bilinear.h"
#include "lanes.h"
#include "parallel.h"
#include "rtseg_core.h"
#include "target.h"
#include "window.h"

namespace rtseg {
namespace {

constexpr size_t kLongestCell = 64;  // longer cells are cut, so that few large ones still spread over threads
constexpr size_t kRowsPerTask = 64;  // output rows, about: cells are not cut for it
constexpr size_t kCacheLine = 16;    // in floats

// A run of output samples, along one axis, that lie between the same two logits.
struct Cell {
    size_t near, far;   // equal at the edge
    size_t begin, end;  // at most kLongestCell apart
};

std::vector<Cell> cells_of(const Axis& axis) {
    std::vector<Cell> cells;
    for (size_t i = 0; i < axis.near.size(); ++i) {
        const size_t near = static_cast<size_t>(axis.near[i]);
        if (cells.empty() || cells.back().near != near || i - cells.back().begin == kLongestCell)
            cells.push_back({near, static_cast<size_t>(axis.far[i]), i, i});
        cells.back().end = i + 1;
    }
    return cells;
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

// One row of the logits, clamped, with its argmax.
struct LogitRow {
    static constexpr size_t kNone = static_cast<size_t>(-1);

    size_t y = kNone;
    std::vector<float> values;  // kept classes x padded_row()
    std::vector<float> best;
    std::vector<int32_t> winner;
    std::vector<uint8_t> labels;

    LogitRow(const Logits& logits, int kept_classes)
        : values(static_cast<size_t>(kept_classes) * logits.padded_row()),
          best(static_cast<size_t>(logits.w)),
          winner(static_cast<size_t>(logits.w)),
          labels(static_cast<size_t>(logits.w)) {}
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

// The same for one channel: where it is above the threshold there is label 1.
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
                      const Axis& columns, const Cell& row, const Cell& column, uint8_t* labels, size_t width) {
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
            store(winner, labels + y * width + x, in_use);
        }
    }
}

// The same for one channel. Only what is greater beats the threshold.
RTSEG_TARGET_CLONES
void interpolate_mask_cell(const float* top, const float* bottom, float threshold, const Axis& rows,
                           const Axis& columns, const Cell& row, const Cell& column, uint8_t* labels, size_t width) {
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
            store(winner, labels + y * width + x, in_use);
        }
    }
}

constexpr int kMixed = -1;

// Return the class that all four corners of a cell agree on, or kMixed.
inline int agreed_label(const uint8_t* top, const uint8_t* bottom, const Cell& cell) {
    const uint8_t label = top[cell.near];
    return top[cell.far] == label && bottom[cell.near] == label && bottom[cell.far] == label ? label : kMixed;
}

// What makes labels: the argmax over classes, or one channel and a threshold.
enum class Rule { kArgmax, kThreshold };

// The two rows of logits around the output rows at hand; going down, the lower one becomes the upper.
template <Rule rule>
class RowPair {
  public:
    explicit RowPair(const Logits& logits)
        : logits_(logits), rows_{{logits, logits.classes}, {logits, logits.classes}} {}

    // Return row y, reading it unless it is held; row `kept`, if held, stays.
    const LogitRow& row(size_t y, size_t kept) {
        for (const LogitRow& held : rows_)
            if (held.y == y) return held;
        LogitRow& free = rows_[rows_[0].y == kept ? 1 : 0];
        if constexpr (rule == Rule::kThreshold) {
            read_mask_row(logits_.row(y), logits_.w, logits_.threshold, free.values.data(), free.labels.data());
        } else {
            read_row(logits_.row(y), logits_.plane(), logits_.classes, logits_.w, logits_.padded_row(),
                     free.values.data(), free.best.data(), free.winner.data(), free.labels.data());
        }
        free.y = y;
        return free;
    }

  private:
    const Logits& logits_;
    LogitRow rows_[2];
};

// The whole resize, shared by the threads.
struct Upsampling {
    const Logits& logits;
    Axis rows, columns;
    std::vector<Cell> row_cells, column_cells;
    uint8_t* labels;

    size_t width() const { return columns.near.size(); }
};

// Label the output rows that lie between the same two rows of logits.
template <Rule rule>
void label_rows(const Upsampling& job, const Cell& row, RowPair<rule>& pair) {
    const LogitRow& top = pair.row(row.near, row.far);
    const LogitRow& bottom = pair.row(row.far, row.near);
    const auto end = job.column_cells.end();
    for (auto cell = job.column_cells.begin(); cell != end;) {
        const int label = agreed_label(top.labels.data(), bottom.labels.data(), *cell);
        if (label == kMixed) {
            if constexpr (rule == Rule::kThreshold) {
                interpolate_mask_cell(top.values.data(), bottom.values.data(), job.logits.threshold, job.rows,
                                      job.columns, row, *cell, job.labels, job.width());
            } else {
                interpolate_cell(top.values.data(), bottom.values.data(), job.logits.padded_row(), job.logits.classes,
                                 job.rows, job.columns, row, *cell, job.labels, job.width());
            }
            ++cell;
            continue;
        }
        const size_t first = cell->begin;
        size_t past = cell->end;
        for (++cell; cell != end && agreed_label(top.labels.data(), bottom.labels.data(), *cell) == label; ++cell)
            past = cell->end;
        for (size_t y = row.begin; y < row.end; ++y)
            std::memset(job.labels + y * job.width() + first, label, past - first);
    }
}

template <Rule rule>
void upsample(const Logits& logits, const Parts& parts, uint8_t* labels, int height, int width, bool align_corners,
              int threads) {
    Axis rows(logits.h, height, align_corners, 0, parts.rows);
    Axis columns(logits.w, width, align_corners, kLanes, parts.columns);
    std::vector<Cell> row_cells = cells_of(rows), column_cells = cells_of(columns);
    const Upsampling job{logits, std::move(rows), std::move(columns), std::move(row_cells), std::move(column_cells),
                         labels};
    const size_t cells = job.row_cells.size();
    const size_t per_task = std::max<size_t>(1, cells * kRowsPerTask / static_cast<size_t>(height));
    const int tasks = static_cast<int>((cells + per_task - 1) / per_task);
    const int workers = worker_count(threads, tasks, static_cast<double>(height) * width);
    std::vector<RowPair<rule>> scratch(static_cast<size_t>(workers), RowPair<rule>(logits));
    parallel_for(tasks, workers, [&](int task, int worker) {
        const size_t begin = static_cast<size_t>(task) * per_task, end = std::min(cells, begin + per_task);
        for (size_t i = begin; i < end; ++i)
            label_rows<rule>(job, job.row_cells[i], scratch[static_cast<size_t>(worker)]);
    });
}

// The output has the logits' size: no pixel lies between them.
template <Rule rule>
void label_logits(const Logits& logits, uint8_t* labels, int threads) {
    const int workers = worker_count(threads, logits.h, static_cast<double>(logits.plane()));
    std::vector<LogitRow> scratch(static_cast<size_t>(workers), LogitRow(logits, 1));
    parallel_for(logits.h, workers, [&](int y, int worker) {
        LogitRow& row = scratch[static_cast<size_t>(worker)];
        const size_t start = static_cast<size_t>(y) * static_cast<size_t>(logits.w);
        if constexpr (rule == Rule::kThreshold) {
            read_mask_row(logits.data + start, logits.w, logits.threshold, row.values.data(), labels + start);
        } else {
            read_row(logits.data + start, logits.plane(), logits.classes, logits.w, 0, row.values.data(),
                     row.best.data(), row.winner.data(), labels + start);
        }
    });
}

// What both functions do once their own arguments are known to be good.
template <Rule rule>
int label(const Logits& logits, const rtseg_window* window, uint8_t* labels, int height, int width, int align_corners,
          int threads) {
    if (logits.data == nullptr || labels == nullptr) return RTSEG_NULL_POINTER;
    if (!is_side(logits.h) || !is_side(logits.w) || !is_side(height) || !is_side(width)) return RTSEG_BAD_SIZE;
    if (window != nullptr && !is_inside(*window)) return RTSEG_BAD_SIZE;
    if (threads < 0) return RTSEG_BAD_VALUE;
    const Parts parts = parts_of(window);
    try {
        if (parts.are_whole() && logits.h == height && logits.w == width) {
            label_logits<rule>(logits, labels, threads);
        } else {
            upsample<rule>(logits, parts, labels, height, width, align_corners != 0, threads);
        }
    } catch (const std::exception&) {  // the standard library throws for nothing but want of memory here
        return RTSEG_NO_MEMORY;
    }
    return RTSEG_OK;
}

}  // namespace
}  // namespace rtseg

using namespace rtseg;  // the C functions lie outside

int rtseg_labels_from_logits(const float* logits, int classes, int h, int w, uint8_t* labels, int height, int width,
                             int align_corners, int threads) {
    return rtseg_labels_in_window(logits, classes, h, w, nullptr, labels, height, width, align_corners, threads);
}

int rtseg_labels_in_window(const float* logits, int classes, int h, int w, const rtseg_window* window, uint8_t* labels,
                           int height, int width, int align_corners, int threads) {
    if (classes < RTSEG_MIN_CLASSES || classes > RTSEG_MAX_CLASSES) return RTSEG_BAD_CLASSES;
    return label<Rule::kArgmax>({logits, classes, h, w, 0}, window, labels, height, width, align_corners, threads);
}

int rtseg_mask_from_logits(const float* logits, int h, int w, float threshold, const rtseg_window* window,
                           uint8_t* labels, int height, int width, int align_corners, int threads) {
    if (!(threshold >= -RTSEG_MAX_LOGIT && threshold <= RTSEG_MAX_LOGIT)) return RTSEG_BAD_VALUE;  // nor NaN
    return label<Rule::kThreshold>({logits, 1, h, w, threshold}, window, labels, height, width, align_corners, threads);
}

int rtseg_core_abi_version(void) { return RTSEG_CORE_ABI_VERSION; }

const char* rtseg_core_message(int code) {
    switch (code) {
        case RTSEG_OK: return "done";
        case RTSEG_NULL_POINTER: return "a pointer is NULL";
        case RTSEG_BAD_SIZE:
            return "a height, width or count is out of range, the image's rows overlap, or the window is not inside";
        case RTSEG_BAD_CLASSES: return "the number of classes is outside 2 to 256";
        case RTSEG_BAD_VALUE:
            return "threads is negative, or scale, mean, std, threshold, padding or exponent is not a usable number";
        case RTSEG_NO_MEMORY: return "out of memory";
        case RTSEG_NOT_FINITE: return "a value is not finite";
        default: return "unknown code";
    }
}
