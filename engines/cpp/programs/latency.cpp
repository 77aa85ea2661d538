#include "latency.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace programs {
namespace {

constexpr double kConfidence = 0.95, kNsPerMs = 1e6;

double median_of_ordered(const std::vector<int64_t>& ordered) {
    const size_t middle = ordered.size() / 2;
    const auto upper = static_cast<double>(ordered[middle]);
    return ordered.size() % 2 == 1 ? upper : (static_cast<double>(ordered[middle - 1]) + upper) / 2;
}

// Return the probability of that many heads in `count` throws of a fair coin.
double binomial_half(size_t count, size_t successes) {
    const auto n = static_cast<double>(count), k = static_cast<double>(successes);
    return std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) - n * std::log(2));
}

// Return the standard deviation of a sample.
double deviation(const std::vector<int64_t>& samples, double mean) {
    long double squares = 0;
    for (const int64_t sample : samples) {
        const long double off = static_cast<long double>(sample) - mean;
        squares += off * off;
    }
    return static_cast<double>(std::sqrt(squares / static_cast<long double>(samples.size() - 1)));
}

}  // namespace

std::optional<double> LatencySummary::median_half_width() const {
    if (!median_low_ms || !median_high_ms || median_ms == 0) return std::nullopt;
    return (*median_high_ms - *median_low_ms) / 2 / median_ms;
}

double median_of(std::vector<int64_t> numbers) {
    std::sort(numbers.begin(), numbers.end());
    return median_of_ordered(numbers);
}

size_t nearest_rank(size_t percent, size_t count) { return std::max<size_t>(1, (percent * count + 99) / 100); }

std::optional<std::pair<size_t, size_t>> median_ranks(size_t count) {
    constexpr double kTailLimit = (1 - kConfidence) / 2;
    auto below = static_cast<int64_t>((count - 1) / 2);
    // P(X <= below) by symmetry: a half, minus half of the middle term if the count is even.
    double tail = count % 2 == 0 ? (1 - binomial_half(count, count / 2)) / 2 : 0.5;
    while (below >= 0 && tail > kTailLimit) {
        tail -= binomial_half(count, static_cast<size_t>(below));
        --below;
    }
    if (below < 0) return std::nullopt;
    return std::make_pair(static_cast<size_t>(below) + 1, count - static_cast<size_t>(below));
}

LatencySummary summarize(std::vector<int64_t> samples_ns) {
    std::sort(samples_ns.begin(), samples_ns.end());
    const size_t count = samples_ns.size();
    const auto ms_of_rank = [&](size_t rank) { return static_cast<double>(samples_ns[rank - 1]) / kNsPerMs; };
    const int64_t sum = std::accumulate(samples_ns.begin(), samples_ns.end(), int64_t{0});
    const double mean_ns = static_cast<double>(sum) / static_cast<double>(count);
    LatencySummary summary;
    summary.count = count;
    summary.min_ms = ms_of_rank(1);
    summary.median_ms = median_of_ordered(samples_ns) / kNsPerMs;
    if (const auto ranks = median_ranks(count)) {
        summary.median_low_ms = ms_of_rank(ranks->first);
        summary.median_high_ms = ms_of_rank(ranks->second);
    }
    summary.p90_ms = ms_of_rank(nearest_rank(90, count));
    summary.p99_ms = ms_of_rank(nearest_rank(99, count));
    summary.mean_ms = mean_ns / kNsPerMs;
    if (count > 1 && mean_ns > 0) summary.cv = deviation(samples_ns, mean_ns) / mean_ns;
    if (summary.median_ms > 0) summary.fps = 1000 / summary.median_ms;
    return summary;
}

}  // namespace programs
