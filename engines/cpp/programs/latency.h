// Statistics of raw latencies: order statistics, spread, and the precision of the median.
//
// The twin of rtseg/benchmarking/statistics.py, which gives the reasons. tests/embedding/test_bench_judgements.py
// compares both.
#ifndef RTSEG_PROGRAMS_LATENCY_H
#define RTSEG_PROGRAMS_LATENCY_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace programs {

// The statistics of one set of samples. The interval of the median has 95 % confidence; it needs at least 6 samples. cv
// is standard deviation / mean; it needs 2 samples. fps is 1 / median; it has no value if the median is 0.
struct LatencySummary {
    size_t count = 0;
    double min_ms = 0, median_ms = 0;
    std::optional<double> median_low_ms, median_high_ms;
    double p90_ms = 0, p99_ms = 0, mean_ms = 0;
    std::optional<double> cv, fps;

    // Return half the interval of the median as a fraction of the median; no value if there is none.
    std::optional<double> median_half_width() const;
};

// Return the statistics of at least one sample, in nanoseconds.
LatencySummary summarize(std::vector<int64_t> samples_ns);

// Return the median of at least one number; for an even count, the mean of the middle two.
double median_of(std::vector<int64_t> numbers);

// Return the rank, from 1, of a percentile among that many ordered samples: the smallest sample that this percentage of
// them does not exceed.
size_t nearest_rank(size_t percent, size_t count);

// Return the ranks, from 1, of the ordered samples that enclose the median with 95 % confidence, for any distribution;
// no value for fewer than 6 samples.
std::optional<std::pair<size_t, size_t>> median_ranks(size_t count);

}  // namespace programs

#endif
