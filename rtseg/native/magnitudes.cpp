// Count values into a histogram of their magnitudes; calibration does this with every activation.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <vector>

#include "parallel.h"
#include "rtseg_core.h"
#include "target.h"

namespace rtseg {
namespace {

constexpr size_t kValuesPerTask = 64 * 1024;  // 256 KiB: what one core's own cache holds
constexpr size_t kValuesAtOnce = 512;         // their bin numbers stay in the first cache
// Neighbouring values often fall into the same bin, most of all the zeros of a ReLU. An increment must
// wait for the previous one at the same address, so neighbours count in different histograms.
constexpr size_t kHistograms = 4;
// The distance between histograms is not a multiple of 4 KiB: at that distance processors make a load
// wait for an unrelated store.
constexpr size_t kStride = RTSEG_MAGNITUDE_BINS + 272;

bool is_count(size_t count) { return count >= 1 && static_cast<uint64_t>(count) <= RTSEG_MAX_VALUES; }

int tasks_of(size_t count) { return static_cast<int>((count + kValuesPerTask - 1) / kValuesPerTask); }

size_t end_of(int task, size_t count) { return std::min(count, (static_cast<size_t>(task) + 1) * kValuesPerTask); }

// A float32 as an integer of the same order: compilers can vectorise the minimum of integers.
// NaN lies beyond both infinities.
RTSEG_INLINE int32_t ordered(int32_t bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }

float value_of(int32_t order) {
    const int32_t bits = ordered(order);  // its own inverse
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value + 0.0f;  // no negative zero
}

struct Extremes {
    int32_t least = std::numeric_limits<int32_t>::max();
    int32_t greatest = std::numeric_limits<int32_t>::min();
    uint64_t zeros = 0;

    bool finite() const { return least > ordered(static_cast<int32_t>(0xff800000u)) && greatest < 0x7f800000; }
};

RTSEG_TARGET_CLONES
void look_at(const float* __restrict values, size_t count, Extremes& extremes) {
    int32_t least = extremes.least, greatest = extremes.greatest;
    uint32_t zeros = 0;  // of one task
    for (size_t i = 0; i < count; ++i) {
        int32_t bits;
        std::memcpy(&bits, values + i, sizeof bits);
        const int32_t order = ordered(bits);
        least = std::min(least, order);
        greatest = std::max(greatest, order);
        zeros += (static_cast<uint32_t>(bits) << 1) == 0;
    }
    extremes.least = least;
    extremes.greatest = greatest;
    extremes.zeros += zeros;
}

Extremes extremes_of(const float* values, size_t count, int threads) {
    const int tasks = tasks_of(count);
    const int workers = worker_count(threads, tasks, static_cast<double>(count));
    std::vector<Extremes> found(static_cast<size_t>(workers));
    parallel_for(tasks, workers, [&](int task, int worker) {
        const size_t begin = static_cast<size_t>(task) * kValuesPerTask;
        look_at(values + begin, end_of(task, count) - begin, found[static_cast<size_t>(worker)]);
    });
    Extremes all;
    for (const Extremes& some : found) {
        all.least = std::min(all.least, some.least);
        all.greatest = std::max(all.greatest, some.greatest);
        all.zeros += some.zeros;
    }
    return all;
}

// A product with a power of two is exact, or so small that it is below 1 anyway.
RTSEG_TARGET_CLONES
void bins_of(const float* __restrict values, size_t count, float per_width, uint16_t* __restrict bins) {
    constexpr float last = RTSEG_MAGNITUDE_BINS - 1;
    for (size_t i = 0; i < count; ++i) {
        const float position = std::fabs(values[i]) * per_width;
        bins[i] = static_cast<uint16_t>(static_cast<int32_t>(position < last ? position : last));
    }
}

// RTSEG_MAX_VALUES / kHistograms fits into each counter.
using Histograms = std::vector<uint32_t>;

void count_some(const float* values, size_t count, float per_width, uint32_t* __restrict counts) {
    uint32_t* part[kHistograms];
    for (size_t k = 0; k < kHistograms; ++k) part[k] = counts + k * kStride;
    uint16_t bins[kValuesAtOnce];
    for (size_t begin = 0; begin < count; begin += kValuesAtOnce) {
        const size_t some = std::min(kValuesAtOnce, count - begin);
        bins_of(values + begin, some, per_width, bins);
        size_t i = 0;
        for (; i + kHistograms <= some; i += kHistograms)
            for (size_t k = 0; k < kHistograms; ++k) ++part[k][bins[i + k]];
        for (; i < some; ++i) ++part[0][bins[i]];
    }
}

void count_all(const float* values, size_t count, float per_width, uint64_t* bins, int threads) {
    const int tasks = tasks_of(count);
    const int workers = worker_count(threads, tasks, static_cast<double>(count));
    std::vector<Histograms> counts(static_cast<size_t>(workers), Histograms(kHistograms * kStride));
    parallel_for(tasks, workers, [&](int task, int worker) {
        const size_t begin = static_cast<size_t>(task) * kValuesPerTask;
        count_some(values + begin, end_of(task, count) - begin, per_width, counts[static_cast<size_t>(worker)].data());
    });
    for (const Histograms& some : counts)
        for (size_t k = 0; k < kHistograms; ++k)
            for (size_t i = 0; i < RTSEG_MAGNITUDE_BINS; ++i) bins[i] += some[k * kStride + i];
}

}  // namespace
}  // namespace rtseg

using namespace rtseg;  // the C functions are outside the namespace

int rtseg_value_range(const float* values, size_t count, float* minimum, float* maximum, uint64_t* zeros, int threads) {
    if (values == nullptr || minimum == nullptr || maximum == nullptr || zeros == nullptr) return RTSEG_NULL_POINTER;
    if (!is_count(count)) return RTSEG_BAD_SIZE;
    if (threads < 0) return RTSEG_BAD_VALUE;
    try {
        const Extremes found = extremes_of(values, count, threads);
        if (!found.finite()) return RTSEG_NOT_FINITE;
        *minimum = value_of(found.least);
        *maximum = value_of(found.greatest);
        *zeros = found.zeros;
    } catch (const std::exception&) {  // here the standard library throws only if memory runs out
        return RTSEG_NO_MEMORY;
    }
    return RTSEG_OK;
}

int rtseg_count_magnitudes(const float* values, size_t count, int exponent, uint64_t* bins, int threads) {
    if (values == nullptr || bins == nullptr) return RTSEG_NULL_POINTER;
    if (!is_count(count)) return RTSEG_BAD_SIZE;
    if (threads < 0 || exponent < RTSEG_MIN_BIN_EXPONENT || exponent > RTSEG_MAX_BIN_EXPONENT) return RTSEG_BAD_VALUE;
    try {
        count_all(values, count, std::ldexp(1.0f, -exponent), bins, threads);
    } catch (const std::exception&) {
        return RTSEG_NO_MEMORY;
    }
    return RTSEG_OK;
}
