// Files loaded with backends, and timed in turns.
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

// A file with a backend, loaded or not, and the picture of the network's size that is timed. Without a session, the
// obstacle says why.
struct Contestant {
    BenchSubject subject;
    std::string backend, device;
    std::unique_ptr<rtseg::Session> session;
    cv::Mat picture, labels;
    Obstacle obstacle;
};

// Whether a backend runs files of a kind.
bool takes(const std::string& backend, const std::string& kind);

// Load a file with a backend, "" for the library's choice. Throws InputError for a file that does not match its
// manifest; any other failure becomes its obstacle.
Contestant opened(const BenchSubject& subject, const std::string& backend, int threads, const cv::Mat& picture);

// Return a row for each boundary of each contestant, grouped by boundary. All contestants of a boundary are measured in
// turns, so that their times can be compared; a failure only loses the row of its contestant.
std::vector<BenchRow> timed_rows(std::deque<Contestant>& contestants, const SamplingRule& rule);

}  // namespace programs

#endif
