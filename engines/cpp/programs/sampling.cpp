#include "sampling.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

namespace programs {
namespace {

constexpr size_t kWarmupWindowCalls = 3;         // the fewest calls whose median shrugs off one outlier
constexpr size_t kWarmupWindowMaxCalls = 10000;  // a window this full needs no more time
constexpr double kNsPerS = 1e9;

using Column = std::vector<int64_t>;

template <class... Values>
std::string formatted(const char* form, Values... values) {
    char text[256];
    std::snprintf(text, sizeof text, form, values...);
    return text;
}

bool agree(double first, double second, double tolerance) {
    return std::fabs(first - second) <= tolerance * std::min(first, second);
}

size_t fewest_of(const std::vector<Column>& columns) {
    size_t fewest = columns.front().size();
    for (const Column& column : columns) fewest = std::min(fewest, column.size());
    return fewest;
}

double seconds_between(int64_t begin, int64_t end) { return static_cast<double>(end - begin) / kNsPerS; }

// Return why the samples fail the noise criterion; "" if they meet it.
std::string doubt(const Column& samples, const SamplingRule& rule) {
    const LatencySummary summary = summarize(samples);
    if (summary.median_ms == 0) return "the clock is too coarse for this step: its median is 0 ns";
    const std::optional<double> half_width = summary.median_half_width();
    if (!half_width) return formatted("%zu samples cannot bound a median, 6 can", summary.count);
    if (*half_width > rule.median_tolerance)
        return formatted("the median of %zu samples lies between %.4g and %.4g ms, +-%.2f%%; wanted +-%.2f%%",
                         summary.count, *summary.median_low_ms, *summary.median_high_ms, 100 * *half_width,
                         100 * rule.median_tolerance);
    const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
    const double first = summarize(Column(samples.begin(), middle)).median_ms;
    const double second = summarize(Column(middle, samples.end())).median_ms;
    if (!agree(first, second, rule.drift_tolerance))
        return formatted("the median drifted from %.4g ms in the first half to %.4g ms in the second; "
                         "wanted within %.2f%%",
                         first, second, 100 * rule.drift_tolerance);
    return "";
}

Samples judgement(Column samples, const SamplingRule& rule, size_t warmup_count, bool settled) {
    Samples made;
    const std::string held_against = doubt(samples, rule);
    made.is_stable = held_against.empty();
    made.reason = !made.is_stable
                      ? held_against
                      : formatted("the median is known within +-%.2f%% and does not drift",
                                  100 * *summarize(samples).median_half_width());
    if (warmup_count != 0 && !settled)
        made.reason += formatted("; the warm-up ended unsettled, after %zu calls", warmup_count);
    made.samples_ns = std::move(samples);
    made.warmup_count = warmup_count;
    return made;
}

// Steps that are measured in turns. A single step takes turns of one call, so that the rule is checked after each.
class Turns {
  public:
    Turns(const std::vector<TimedStep>& steps, const SamplingRule& rule, const Clock& clock)
        : steps_(steps), rule_(rule), clock_(clock), turn_ns_(steps.size() > 1 ? rule.turn_seconds * kNsPerS : 0) {}

    // Return how many calls each step got. *settled becomes whether all steps settled.
    std::vector<size_t> warm_up(bool* settled) {
        const auto count = static_cast<double>(steps_.size());
        const double bound_ns = rule_.warmup_seconds * kNsPerS * count;
        const double window_ns = rule_.warmup_window_seconds * kNsPerS * count;
        std::vector<size_t> counts(steps_.size(), 0);
        std::vector<Column> window(steps_.size());
        std::vector<double> before;
        const int64_t started = clock_();
        int64_t window_started = started, now = started;
        *settled = false;
        for (size_t rounds = 0; static_cast<double>(now - started) < bound_ns; ++rounds) {
            run_round(window, rounds, kWarmupWindowMaxCalls);
            now = clock_();
            const size_t calls = fewest_of(window);
            const bool is_long = static_cast<double>(now - window_started) >= window_ns;
            if (calls < kWarmupWindowMaxCalls && !(calls >= kWarmupWindowCalls && is_long)) continue;
            std::vector<double> medians;
            for (const Column& column : window) medians.push_back(median_of(column));
            lengthen(counts, window);
            if (!before.empty() && all_agree(before, medians)) {
                *settled = true;
                return counts;
            }
            before = medians;
            window.assign(steps_.size(), {});
            window_started = now;
        }
        lengthen(counts, window);
        return counts;
    }

    // Return the latencies of each step.
    std::vector<Column> sample() {
        std::vector<Column> columns(steps_.size());
        size_t next_look = rule_.min_samples;
        const int64_t started = clock_();
        for (size_t rounds = 0;; ++rounds) {
            run_round(columns, rounds, rule_.max_samples);
            const size_t fewest = fewest_of(columns);
            const double seconds = seconds_between(started, clock_()) / static_cast<double>(steps_.size());
            if (fewest < rule_.min_samples) continue;
            if (fewest >= rule_.max_samples || seconds >= rule_.max_seconds) return columns;
            if (fewest < next_look || seconds < rule_.min_seconds) continue;
            const auto is_known = [&](const Column& column) { return doubt(column, rule_).empty(); };
            if (std::all_of(columns.begin(), columns.end(), is_known)) return columns;
            // If the interval were checked after every sample, chance would sooner or later make it narrow.
            next_look = fewest + 1 + fewest / 10;
        }
    }

  private:
    // Each round begins one step later than the one before, so that no step always follows the same other step.
    void run_round(std::vector<Column>& columns, size_t rounds, size_t most) {
        for (size_t turn = 0; turn < steps_.size(); ++turn) {
            const size_t index = (rounds + turn) % steps_.size();
            int64_t used_ns = 0;
            while (columns[index].size() < most) {
                const int64_t started = clock_();
                steps_[index]();
                const int64_t ended = clock_();
                columns[index].push_back(ended - started);
                used_ns += ended - started;
                if (static_cast<double>(used_ns) >= turn_ns_) break;
            }
        }
    }

    bool all_agree(const std::vector<double>& before, const std::vector<double>& medians) const {
        for (size_t i = 0; i < medians.size(); ++i)
            if (!agree(before[i], medians[i], rule_.drift_tolerance)) return false;
        return true;
    }

    static void lengthen(std::vector<size_t>& counts, const std::vector<Column>& columns) {
        for (size_t i = 0; i < counts.size(); ++i) counts[i] += columns[i].size();
    }

    const std::vector<TimedStep>& steps_;
    const SamplingRule& rule_;
    const Clock& clock_;
    const double turn_ns_;
};

}  // namespace

SamplingRule SamplingRule::within(double seconds) {
    SamplingRule rule;
    rule.max_seconds = 0.75 * seconds;
    rule.min_seconds = std::min(1.0, rule.max_seconds);
    rule.warmup_seconds = std::min(3.0, 0.25 * seconds);
    return rule;
}

int64_t steady_ns() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

std::vector<Samples> measure_interleaved(const std::vector<TimedStep>& steps, const SamplingRule& rule,
                                         const Clock& clock) {
    Turns turns(steps, rule, clock);
    bool settled = false;
    const std::vector<size_t> counts = turns.warm_up(&settled);
    std::vector<Column> columns = turns.sample();
    std::vector<Samples> measured;
    for (size_t i = 0; i < columns.size(); ++i)
        measured.push_back(judgement(std::move(columns[i]), rule, counts[i], settled));
    return measured;
}

Samples judged(std::vector<int64_t> samples_ns, const SamplingRule& rule) {
    return judgement(std::move(samples_ns), rule, 0, true);
}

}  // namespace programs
