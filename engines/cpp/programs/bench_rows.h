// The rows of a benchmark as `rtseg bench --json` prints them, so that whoever reads one reads both.
//
// The twin of rtseg/benchmarking/rows.py and of BenchmarkSession.result. What the library cannot know in C++ is stated
// as unknown: mIoU, the paper's figures, the verdict on an engine, the checkout.
#ifndef RTSEG_PROGRAMS_BENCH_ROWS_H
#define RTSEG_PROGRAMS_BENCH_ROWS_H

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sampling.h"

namespace programs {

// Why something has no time: a word or two for a cell of a table, and a sentence.
struct Obstacle {
    std::string word, reason;
};

// A file, as its manifest describes it.
struct BenchSubject {
    std::string path, file;  // the file's name
    std::string kind, network, weights, precision, interface, sha256;
    int height = 0, width = 0;
    nlohmann::ordered_json options = nlohmann::ordered_json::object();

    std::string resolution() const { return std::to_string(height) + "x" + std::to_string(width); }
};

// Read the manifest beside a file. Throws InputError. The file's digest is compared where a model is opened.
BenchSubject read_subject(const std::string& path);

// A boundary of one subject behind one backend. Without samples the obstacle says why.
struct BenchRow {
    BenchSubject subject;
    std::string boundary, backend, device;
    std::optional<Samples> samples;
    std::optional<double> vs_first;
    Obstacle obstacle;
};

// Return the boundaries that a graph of that interface lets one time. Throws InputError for an unknown one.
std::vector<std::string> boundaries_of(const std::string& interface);

// Return what a boundary is, in words.
std::string boundary_text(const std::string& boundary);

nlohmann::ordered_json to_json(const LatencySummary& summary);
nlohmann::ordered_json to_json(const BenchRow& row);

// Return rule, environment, boundaries and rows. picture says what was timed on.
nlohmann::ordered_json bench_document(const SamplingRule& rule, const nlohmann::ordered_json& environment,
                                      const std::string& picture, const std::vector<BenchRow>& rows);

}  // namespace programs

#endif
