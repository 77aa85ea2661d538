// Calls steps until their medians are known: warms up, samples in turns, and says whether the result is reliable.
//
// The twin of rtseg/benchmarking/sampling.py, whose SamplingRule gives the reason for each rule.
// tests/embedding/test_bench_judgements.py lets both measure the same scripted steps.
#ifndef RTSEG_PROGRAMS_SAMPLING_H
#define RTSEG_PROGRAMS_SAMPLING_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "latency.h"

namespace programs {

// When warm-up and sampling end, and what makes a result STABLE. Seconds are wall-clock time per step.
struct SamplingRule {
    double min_seconds = 1, max_seconds = 10;
    size_t min_samples = 6, max_samples = 100000;
    double median_tolerance = 0.01, drift_tolerance = 0.05;
    double warmup_seconds = 3, warmup_window_seconds = 0.1, turn_seconds = 0.1;

    // Return the rule that spends at most that time on a step: a quarter to warm up, the rest to sample.
    static SamplingRule within(double seconds);
};

// The latencies of one step, in the order measured, and whether the rule was met; reason says why not.
struct Samples {
    std::vector<int64_t> samples_ns;
    size_t warmup_count = 0;
    bool is_stable = false;
    std::string reason;

    const char* status() const { return is_stable ? "STABLE" : "UNSTABLE"; }
};

using Clock = std::function<int64_t()>;  // nanoseconds
using TimedStep = std::function<void()>;

// Return the nanoseconds of a monotonic clock.
int64_t steady_ns();

// Return the latencies of at least one step, measured in turns so that disturbances affect all of them. Exceptions of a
// step pass through.
std::vector<Samples> measure_interleaved(const std::vector<TimedStep>& steps, const SamplingRule& rule,
                                         const Clock& clock = steady_ns);

// Judge latencies by the rule's noise criterion, as if a warm-up had settled.
Samples judged(std::vector<int64_t> samples_ns, const SamplingRule& rule);

}  // namespace programs

#endif
