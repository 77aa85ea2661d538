// What raw latencies say: order statistics, spread, and how well the median is known.
//
// The twin of rtseg/benchmarking/statistics.py, which says why. tests/embedding/test_bench_judgements.py compares both.
#ifndef RTSEG_PROGRAMS_LATENCY_H
#define RTSEG_PROGRAMS_LATENCY_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace programs {

// The figures of one set of samples. The interval of the median has 95 % confidence; there is none with fewer than 6
// samples. cv is standard deviation / mean; none for a single sample. fps is one over the median; none where that is 0.
struct LatencySummary {
    size_t count = 0;
    double min_ms = 0, median_ms = 0;
    std::optional<double> median_low_ms, median_high_ms;
    double p90_ms = 0, p99_ms = 0, mean_ms = 0;
    std::optional<double> cv, fps;

    // Return half the interval of the median as a fraction of the median; none where there is no such number.
    std::optional<double> median_half_width() const;
};

// Return the figures of at least one sample, in nanoseconds.
LatencySummary summarize(std::vector<int64_t> samples_ns);

// Return the median of at least one number; of an even count the mean of the middle two.
double median_of(std::vector<int64_t> numbers);

// Return the rank, from 1, of the percentile among that many ordered samples: the smallest that so many percent do not
// exceed.
size_t nearest_rank(size_t percent, size_t count);

// Return the ranks, from 1, of the ordered samples that enclose the median with 95 % confidence, whatever the
// distribution; none with fewer than 6.
std::optional<std::pair<size_t, size_t>> median_ranks(size_t count);

}  // namespace programs

#endif
