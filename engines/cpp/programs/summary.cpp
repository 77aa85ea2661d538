#include "summary.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace programs {

using nlohmann::ordered_json;

void add_labels(const cv::Mat& labels, Counts& counts) {
    for (int y = 0; y < labels.rows; ++y)
        for (int x = 0; x < labels.cols; ++x) ++counts[labels.ptr<uchar>(y)[x]];
}

Summary::Summary(std::string artifact, const rtseg::Model& model, std::vector<Failure> failures)
    : artifact_(std::move(artifact)), model_(model), failures_(std::move(failures)) {}

void Summary::add(const std::string& input, const std::string& labels, const std::string& overlay, int frames,
                  const Counts& counts) {
    int64_t pixels = 0;
    for (const int64_t count : counts) pixels += count;
    entries_.push_back({input, labels, overlay, frames, counts, pixels});
}

void Summary::add_failure(const std::string& input, const std::string& error) {
    failures_.push_back({input, error.find(input) == std::string::npos ? input + ": " + error : error});
}

ordered_json Summary::shares(const Counts& counts, int64_t pixels) const {
    ordered_json found = ordered_json::object();
    for (int label = 0; label < model_.classes(); ++label)
        found[model_.class_name(label)] =
            pixels == 0 ? 0.0 : static_cast<double>(counts[static_cast<size_t>(label)]) / static_cast<double>(pixels);
    return found;
}

std::string Summary::text() const {
    Counts total{};
    int64_t pixels = 0;
    ordered_json inputs = ordered_json::array(), failures = ordered_json::array();
    for (const Entry& entry : entries_) {
        for (size_t label = 0; label < total.size(); ++label) total[label] += entry.counts[label];
        pixels += entry.pixels;
        inputs.push_back({{"input", entry.input},
                          {"labels", entry.labels},
                          {"overlay", entry.overlay},
                          {"frames", entry.frames},
                          {"pixels", entry.pixels},
                          {"class_share", shares(entry.counts, entry.pixels)}});
    }
    for (const Failure& failure : failures_) failures.push_back({{"input", failure.input}, {"error", failure.error}});
    const ordered_json document = {{"artifact", artifact_},
                                   {"backend", model_.info().backend},
                                   {"device", model_.info().device},
                                   {"pixels", pixels},
                                   {"class_share", shares(total, pixels)},
                                   {"inputs", inputs},
                                   {"failures", failures}};
    return document.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace programs
