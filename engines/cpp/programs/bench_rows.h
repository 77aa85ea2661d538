// The rows of a benchmark in the form of `rtseg bench --json`, so that one reader reads both.
//
// The twin of rtseg/benchmarking/rows.py and of BenchmarkSession.result. Facts that the C++ library does not have are
// stated as unknown: mIoU, the paper's figures, the verdict on an engine, the checkout.
#ifndef RTSEG_PROGRAMS_BENCH_ROWS_H
#define RTSEG_PROGRAMS_BENCH_ROWS_H

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sampling.h"

namespace programs {

// Why something has no time: one or two words for a table cell, and a sentence.
struct Obstacle {
    std::string word, reason;
};

// A file, as its manifest describes it.
struct BenchSubject {
    std::string path, file;  // the file's name
    std::string kind, network, weights, precision, interface, sha256;
    int height = 0, width = 0;
    std::map<std::string, std::string> options;

    std::string resolution() const { return std::to_string(height) + "x" + std::to_string(width); }
};

// Read the manifest beside a file. Throws InputError. Opening a model compares the file's digest.
BenchSubject read_subject(const std::string& path);

// One subject at one boundary with one backend. Without samples, the obstacle says why.
struct BenchRow {
    BenchSubject subject;
    std::string boundary, backend, device;
    std::optional<Samples> samples;
    std::optional<double> vs_first;
    Obstacle obstacle;
};

// Return the boundaries that can be timed for a graph of that interface. Throws InputError for an unknown interface.
std::vector<std::string> boundaries_of(const std::string& interface);

// Return the description of a boundary.
std::string boundary_text(const std::string& boundary);

nlohmann::ordered_json to_json(const LatencySummary& summary);
nlohmann::ordered_json to_json(const BenchRow& row);

// Return rule, environment, boundaries and rows. picture describes the picture that was timed.
nlohmann::ordered_json bench_document(const SamplingRule& rule, const nlohmann::ordered_json& environment,
                                      const std::string& picture, const std::vector<BenchRow>& rows);

}  // namespace programs

#endif
