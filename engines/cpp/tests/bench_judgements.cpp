// Shows tests/embedding/test_bench_judgements.py what rtseg-bench makes of latencies. A request is a line, of which
// every number is its own word and a list is its length first:
//
//     judge RULE SAMPLES               latencies that were taken elsewhere
//     measure RULE COUNT SCRIPT...     steps that take the nanoseconds of their scripts, over and over, and one for
//                                      each place of the step that ran before, by a clock that only they move
//     ranks COUNT                      the ranks around a median, or "-"
//     within SECONDS                   the rule of so many seconds
//
// RULE has its numbers in the order of SamplingRule. Latencies are answered with a line for each step: status, reason,
// warmup_count, the figures in the order of LatencySummary, and the samples, with tabs in between.

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "programs/sampling.h"

namespace {

using namespace programs;

std::string text_of(const std::optional<double>& number) {
    if (!number) return "-";
    char text[64];
    std::snprintf(text, sizeof text, "%.17g", *number);
    return text;
}

SamplingRule rule_of(std::istream& words) {
    SamplingRule rule;
    words >> rule.min_seconds >> rule.max_seconds >> rule.min_samples >> rule.max_samples >> rule.median_tolerance >>
        rule.drift_tolerance >> rule.warmup_seconds >> rule.warmup_window_seconds >> rule.turn_seconds;
    return rule;
}

std::vector<int64_t> list_of(std::istream& words) {
    size_t count = 0;
    words >> count;
    std::vector<int64_t> numbers(count);
    for (int64_t& number : numbers) words >> number;
    return numbers;
}

void print(const Samples& samples) {
    const LatencySummary summary = summarize(samples.samples_ns);
    std::cout << samples.status() << "\t" << samples.reason << "\t" << samples.warmup_count << "\t" << summary.count;
    for (const std::optional<double>& number :
         {std::optional<double>(summary.min_ms), std::optional<double>(summary.median_ms), summary.median_low_ms,
          summary.median_high_ms, std::optional<double>(summary.p90_ms), std::optional<double>(summary.p99_ms),
          std::optional<double>(summary.mean_ms), summary.cv, summary.fps})
        std::cout << "\t" << text_of(number);
    for (const int64_t sample : samples.samples_ns) std::cout << "\t" << sample;
    std::cout << "\n";
}

void measure(std::istream& words) {
    const SamplingRule rule = rule_of(words);
    size_t count = 0;
    words >> count;
    std::vector<std::vector<int64_t>> scripts;
    for (size_t i = 0; i < count; ++i) scripts.push_back(list_of(words));
    int64_t now = 0;
    std::vector<size_t> calls(count, 0);
    std::vector<TimedStep> steps;
    size_t last = 0;  // takes part in how long the next one takes, so that samples show who followed whom
    for (size_t i = 0; i < count; ++i)
        steps.push_back([&, i] {
            now += scripts[i][calls[i]++ % scripts[i].size()] + static_cast<int64_t>(last);
            last = i;
        });
    for (const Samples& samples : measure_interleaved(steps, rule, [&] { return now; })) print(samples);
}

bool answer(std::istream& words) {
    std::string wanted;
    words >> wanted;
    if (wanted == "judge") {
        const SamplingRule rule = rule_of(words);
        print(judged(list_of(words), rule));
    } else if (wanted == "measure") {
        measure(words);
    } else if (wanted == "ranks") {
        size_t count = 0;
        words >> count;
        const auto ranks = median_ranks(count);
        std::cout << (ranks ? std::to_string(ranks->first) + "\t" + std::to_string(ranks->second) : "-") << "\n";
    } else if (wanted == "within") {
        double seconds = 0;
        words >> seconds;
        const SamplingRule rule = SamplingRule::within(seconds);
        std::cout << text_of(rule.min_seconds) << "\t" << text_of(rule.max_seconds) << "\t"
                  << text_of(rule.warmup_seconds) << "\n";
    }
    return !words.fail();
}

}  // namespace

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        if (!answer(words)) return 1;
        std::cout.flush();
    }
    return 0;
}
