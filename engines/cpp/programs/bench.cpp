// rtseg-bench: time rtseg files, as `rtseg bench FILES` does in Python.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <opencv2/imgproc.hpp>
#include <set>
#include <string>
#include <vector>

#include "bench_picture.h"
#include "bench_rows.h"
#include "bench_table.h"
#include "contestants.h"
#include "environment.h"
#include "pictures.h"
#include "program.h"
#include "sampling.h"

namespace programs {
namespace {

struct Request {
    std::vector<std::string> files, backends;
    std::string picture;
    double seconds = 10;
    int threads = 0;
    bool as_json = false;
};

double seconds_of(const std::string& text) {
    char* end = nullptr;
    const double seconds = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(seconds > 0) || !std::isfinite(seconds))
        throw UsageError("--seconds is out of range; got '" + text + "'; expected more than 0");
    return seconds;
}

std::string backend_of(const std::string& name) {
    for (const char* known : {"openvino", "onnxruntime", "tensorrt", "tensorrt-rtx"})
        if (name == known) return name;
    throw UsageError("unknown backend; got '" + name + "'; expected openvino, onnxruntime, tensorrt or tensorrt-rtx");
}

Request request_of(int argc, char** argv) {
    Request request;
    const Usage usage = {
        "rtseg-bench",
        "MODEL...",
        "Time rtseg files with each backend, all of them in turns.\n\n"
        "  network  normalised tensor -> full-resolution scores, what the papers time\n"
        "  engine   normalised tensor -> logits at the head's own stride\n"
        "  frame    uint8 image -> uint8 label map, both in host memory\n\n"
        "Boundaries, stop rule and JSON are those of `rtseg bench FILES`. A file that cannot be\n"
        "loaded or run gets a row with the reason, and the exit code is 1.",
        "rtseg-bench affnet.onnx affnet.int8.onnx --backend openvino --backend onnxruntime",
        {{"--backend", "NAME", "openvino, onnxruntime, tensorrt or tensorrt-rtx; several allowed.  [by the file]",
          [&](const std::string& value) { request.backends.push_back(backend_of(value)); }},
         {"--seconds", "S", "Time budget of each row; at least 6 samples are taken.  [10]",
          [&](const std::string& value) { request.seconds = seconds_of(value); }},
         {"--threads", "N", "Most CPU cores to use, 0 is all.  [0]",
          [&](const std::string& value) { request.threads = threads_of("--threads", value); }},
         {"--picture", "FILE", "The picture to time, resized to the network's size.  [a drawn street]",
          [&](const std::string& value) { request.picture = value; }},
         {"--json", "", "Print rows, raw samples and environment as JSON.",
          [&](const std::string&) { request.as_json = true; }}}};
    request.files = parse(argc, argv, usage);
    if (request.files.empty()) throw UsageError("a model is needed. Try: run rtseg-bench --help");
    return request;
}

// The contestants, and the reasons for which files were skipped.
struct Field {
    std::deque<Contestant> contestants;
    std::vector<InputError> errors;
};

cv::Mat picture_for(const BenchSubject& subject, const cv::Mat& given) {
    if (given.empty()) return drawn_street(subject.height, subject.width);
    if (given.rows == subject.height && given.cols == subject.width) return given;
    cv::Mat resized;
    cv::resize(given, resized, cv::Size(subject.width, subject.height));
    return resized;
}

// Return the backends to time a file with. "" is the library's choice, if none of the requested backends takes the
// file's kind.
std::vector<std::string> backends_for(const BenchSubject& subject, const std::vector<std::string>& wanted) {
    std::vector<std::string> fitting;
    for (const std::string& backend : wanted)
        if (takes(backend, subject.kind)) fitting.push_back(backend);
    return fitting.empty() ? std::vector<std::string>{""} : fitting;
}

// Return the files that have a manifest. Throws InputError if a backend takes none of them.
std::vector<BenchSubject> subjects_of(const Request& request, std::vector<InputError>& errors) {
    std::vector<BenchSubject> subjects;
    for (const std::string& file : request.files) {
        try {
            subjects.push_back(read_subject(file));
        } catch (const InputError& error) {
            errors.push_back(error);
        }
    }
    for (const std::string& backend : request.backends) {
        const auto is_taken = [&](const BenchSubject& subject) { return takes(backend, subject.kind); };
        if (!subjects.empty() && std::none_of(subjects.begin(), subjects.end(), is_taken))
            throw InputError(backend + " runs none of these files");
    }
    return subjects;
}

// Open all files with all backends. Damaged files are skipped. Throws InputError if all are damaged.
Field opened_field(const Request& request) {
    Field field;
    const cv::Mat given = request.picture.empty() ? cv::Mat() : read_picture(request.picture);
    for (const BenchSubject& subject : subjects_of(request, field.errors)) {
        try {
            const cv::Mat picture = picture_for(subject, given);
            for (const std::string& backend : backends_for(subject, request.backends))
                field.contestants.push_back(opened(subject, backend, request.threads, picture));
        } catch (const InputError& error) {
            field.errors.push_back(error);
        }
    }
    if (field.contestants.empty()) throw field.errors.front();
    return field;
}

int bench(int argc, char** argv) {
    const Request request = request_of(argc, argv);
    const SamplingRule rule = SamplingRule::within(request.seconds);
    nlohmann::ordered_json conditions = environment();
    Field field = opened_field(request);
    for (const InputError& error : field.errors)
        std::cerr << "rtseg-bench: warning: passed over: " << error.what() << "\n";
    conditions["tools"]["rtseg"] = rtseg_version();
    add_loaded_runtimes(conditions["tools"]);
    std::cerr << "timing, up to " << rule.max_seconds + rule.warmup_seconds << " s a row\n";
    const std::vector<BenchRow> rows = timed_rows(field.contestants, rule);
    size_t untimed = 0;
    std::set<std::string> words;
    for (const BenchRow& row : rows) {
        if (row.samples) continue;
        ++untimed;
        words.insert(row.obstacle.word);
    }
    if (untimed == rows.size()) throw InputError(rows.front().obstacle.reason);
    const std::string picture =
        request.picture.empty() ? "a drawn street" : std::filesystem::path(request.picture).filename().string();
    const nlohmann::ordered_json document = bench_document(rule, conditions, picture, rows);
    std::cout << (request.as_json ? document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
                                  : bench_text(document));
    if (untimed == 0) return 0;
    std::cerr << untimed << " of " << rows.size() << " rows have no time";
    for (const std::string& word : words) std::cerr << (word == *words.begin() ? ": " : ", ") << word;
    std::cerr << "\n";
    return 1;
}

}  // namespace
}  // namespace programs

int main(int argc, char** argv) {
    return programs::run("rtseg-bench", [&] { return programs::bench(argc, argv); });
}
