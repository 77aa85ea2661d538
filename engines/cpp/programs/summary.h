// summary.json: what was labelled, in the fields of `rtseg run`.
#ifndef RTSEG_PROGRAMS_SUMMARY_H
#define RTSEG_PROGRAMS_SUMMARY_H

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <opencv2/core.hpp>
#include <rtseg/rtseg.hpp>
#include <string>
#include <vector>

#include "inputs.h"

namespace programs {

// The number of pixels with each label.
using Counts = std::array<int64_t, 256>;

void add_labels(const cv::Mat& labels, Counts& counts);

class Summary {
  public:
    Summary(std::string artifact, const rtseg::Model& model, std::vector<Failure> failures);

    void add(const std::string& input, const std::string& labels, const std::string& overlay, int frames,
             const Counts& counts);
    void add_failure(const std::string& input, const std::string& error);

    const std::vector<Failure>& failures() const { return failures_; }
    // Return the file's text.
    std::string text() const;

  private:
    struct Entry {
        std::string input, labels, overlay;
        int frames;
        Counts counts;
        int64_t pixels;
    };

    nlohmann::ordered_json shares(const Counts& counts, int64_t pixels) const;

    std::string artifact_;
    rtseg::Model model_;
    std::vector<Entry> entries_;
    std::vector<Failure> failures_;
};

}  // namespace programs

#endif
