// Files behind backends, loaded, and timed in turns.
//
// The twin of benchmark_rows in rtseg/benchmarking/rows.py.
#ifndef RTSEG_PROGRAMS_CONTESTANTS_H
#define RTSEG_PROGRAMS_CONTESTANTS_H

#include <deque>
#include <memory>
#include <opencv2/core.hpp>
#include <rtseg/rtseg.hpp>
#include <string>
#include <vector>

#include "bench_rows.h"
#include "sampling.h"

namespace programs {

// A file behind a backend, loaded or not, and the picture of the network's size that it is timed on. Without a session
// the obstacle says why.
struct Contestant {
    BenchSubject subject;
    std::string backend, device;
    std::unique_ptr<rtseg::Session> session;
    cv::Mat picture, labels;
    Obstacle obstacle;
};

// Whether a backend runs files of a kind.
bool takes(const std::string& backend, const std::string& kind);

// Load a file with a backend, "" for the library's choice. Throws InputError for a file that is not what its manifest
// tells of; whatever else keeps it from running is its obstacle.
Contestant opened(const BenchSubject& subject, const std::string& backend, int threads, const cv::Mat& picture);

// Return a row for each boundary of each contestant, those of one boundary beside each other. All that have a boundary
// are measured in turns, so that their ratio is that of the files; one that fails costs its own row alone.
std::vector<BenchRow> timed_rows(std::deque<Contestant>& contestants, const SamplingRule& rule);

}  // namespace programs

#endif
