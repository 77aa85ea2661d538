#include "bench_rows.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "program.h"

namespace programs {

using nlohmann::ordered_json;

namespace {

struct Boundary {
    const char *name, *text;
};

constexpr Boundary kBoundaries[] = {
    {"network", "normalised tensor -> full-resolution scores, what the papers time"},
    {"engine", "normalised tensor -> logits at the head's own stride"},
    {"frame", "uint8 image -> uint8 label map, both in host memory"},
};

template <class Value>
ordered_json or_null(const std::optional<Value>& value) {
    return value ? ordered_json(*value) : ordered_json(nullptr);
}

ordered_json to_json(const SamplingRule& rule, bool interleaved) {
    return {{"min_seconds", rule.min_seconds},
            {"max_seconds", rule.max_seconds},
            {"min_samples", rule.min_samples},
            {"max_samples", rule.max_samples},
            {"median_tolerance", rule.median_tolerance},
            {"drift_tolerance", rule.drift_tolerance},
            {"warmup_seconds", rule.warmup_seconds},
            {"warmup_window_seconds", rule.warmup_window_seconds},
            {"turn_seconds", rule.turn_seconds},
            {"interleaved", interleaved}};
}

}  // namespace

BenchSubject read_subject(const std::string& path) {
    namespace fs = std::filesystem;
    const std::string sidecar = path + ".json";
    for (const std::string& file : {path, sidecar}) {
        std::error_code ignored;
        if (!fs::is_regular_file(file, ignored))
            throw InputError("cannot read " + file + ": no such file. Try: copy both, the file and its manifest");
    }
    std::ifstream stream(sidecar, std::ios::binary);
    try {
        const ordered_json manifest = ordered_json::parse(stream);
        BenchSubject subject;
        subject.path = path;
        subject.file = fs::path(path).filename().string();
        const std::pair<const char*, std::string*> texts[] = {
            {"kind", &subject.kind},       {"network", &subject.network},     {"weights", &subject.weights},
            {"sha256", &subject.sha256},   {"precision", &subject.precision}};
        for (const auto& [field, text] : texts) *text = manifest.at(field).get<std::string>();
        subject.options = manifest.at("options").get<std::map<std::string, std::string>>();
        subject.height = manifest.at("image").at("height").get<int>();
        subject.width = manifest.at("image").at("width").get<int>();
        subject.interface = manifest.at("output").at("interface").get<std::string>();
        boundaries_of(subject.interface);
        return subject;
    } catch (const ordered_json::exception& error) {
        throw InputError(sidecar + " is not an rtseg manifest (" + error.what() + ")");
    }
}

std::vector<std::string> boundaries_of(const std::string& interface) {
    if (interface == "scores") return {"network"};
    if (interface == "logits") return {"engine", "frame"};
    if (interface == "labels") return {"frame"};
    throw InputError("an unknown interface of a graph; got " + interface + "; expected scores, logits or labels");
}

std::string boundary_text(const std::string& boundary) {
    for (const Boundary& known : kBoundaries)
        if (boundary == known.name) return known.text;
    throw InputError("an unknown boundary; got " + boundary);
}

ordered_json to_json(const LatencySummary& summary) {
    return {{"count", summary.count},
            {"min_ms", summary.min_ms},
            {"median_ms", summary.median_ms},
            {"median_low_ms", or_null(summary.median_low_ms)},
            {"median_high_ms", or_null(summary.median_high_ms)},
            {"p90_ms", summary.p90_ms},
            {"p99_ms", summary.p99_ms},
            {"mean_ms", summary.mean_ms},
            {"cv", or_null(summary.cv)},
            {"fps", or_null(summary.fps)}};
}

ordered_json to_json(const BenchRow& row) {
    const BenchSubject& subject = row.subject;
    const Samples none;
    const Samples& samples = row.samples ? *row.samples : none;
    return {{"network", subject.network},
            {"weights", subject.weights},
            {"precision", subject.precision},
            {"resolution", subject.resolution()},
            {"options", subject.options},
            {"file", subject.file},
            {"boundary", row.boundary},
            {"backend", row.backend},
            {"device", row.device},
            {"artifact_sha256", subject.sha256},
            {"verdict", nullptr},
            {"miou", nullptr},
            {"why_no_miou", ""},
            {"vs_first", or_null(row.vs_first)},
            {"summary", row.samples ? to_json(summarize(samples.samples_ns)) : ordered_json(nullptr)},
            {"paper", ordered_json::array()},
            {"status", row.samples ? samples.status() : "NOT TIMED"},
            {"reason", row.samples ? samples.reason : row.obstacle.reason},
            {"warmup_count", samples.warmup_count},
            {"samples_ns", samples.samples_ns},
            {"word", row.samples ? "" : row.obstacle.word}};
}

ordered_json bench_document(const SamplingRule& rule, const ordered_json& environment, const std::string& picture,
                            const std::vector<BenchRow>& rows) {
    bool interleaved = false;
    std::set<std::string> resolutions, timed;
    ordered_json listed = ordered_json::array(), boundaries = ordered_json::object();
    for (const BenchRow& row : rows) {
        interleaved = interleaved || row.vs_first;
        resolutions.insert(row.subject.resolution());
        timed.insert(row.boundary);
        listed.push_back(to_json(row));
    }
    for (const Boundary& boundary : kBoundaries)
        if (timed.count(boundary.name) != 0) boundaries[boundary.name] = boundary.text;
    std::string resolution;
    for (const std::string& size : resolutions) resolution += (resolution.empty() ? "" : ", ") + size;
    return {{"program", "rtseg-bench"},
            {"resolution", resolution},
            {"picture", picture},
            {"rule", to_json(rule, interleaved)},
            {"environment", environment},
            {"data", nullptr},
            {"boundaries", boundaries},
            {"rows", listed}};
}

}  // namespace programs
