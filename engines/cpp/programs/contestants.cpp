#include "contestants.h"

#include <algorithm>
#include <utility>

#include "program.h"

namespace programs {
namespace {

struct Timed {
    size_t place;  // among the contestants of a boundary
    TimedStep step;
};

Obstacle obstacle_of(const rtseg::Error& error) {
    return {error.status() == RTSEG_STATUS_MISSING ? "not installed" : "does not run", error.what()};
}

bool has(const Contestant& one, const std::string& boundary) {
    const std::vector<std::string> own = boundaries_of(one.subject.interface);
    return std::find(own.begin(), own.end(), boundary) != own.end();
}

// Return a step that runs a boundary once, after a first run. Throws rtseg::Error.
TimedStep bound_step(Contestant& contestant, const std::string& boundary) {
    Contestant* const one = &contestant;
    TimedStep step;
    if (boundary == "frame") {
        step = [one] { one->session->run(rtseg::Image(one->picture), rtseg::LabelMap(one->labels)); };
    } else {
        one->session->write_input(rtseg::Image(one->picture));
        step = [one] { one->session->infer(); };
    }
    step();
    return step;
}

bool fails(const TimedStep& step) {
    try {
        step();
    } catch (const rtseg::Error&) {
        return true;
    }
    return false;
}

// Return the samples of the steps that run to the end, in their order. A step that fails is removed from the list and
// gets an obstacle.
std::vector<Samples> measured(std::vector<Timed>& timed, std::vector<Obstacle>& obstacles, const SamplingRule& rule) {
    while (!timed.empty()) {
        std::vector<TimedStep> steps;
        for (const Timed& one : timed) steps.push_back(one.step);
        try {
            return measure_interleaved(steps, rule);
        } catch (const rtseg::Error& error) {
            std::vector<Timed> running, failing;
            for (const Timed& one : timed) (fails(one.step) ? failing : running).push_back(one);
            if (failing.empty()) std::swap(failing, running);  // which step it was is unknown
            for (const Timed& one : failing) obstacles[one.place] = obstacle_of(error);
            timed = running;
        }
    }
    return {};
}

std::vector<BenchRow> rows_of(const std::string& boundary, const std::vector<Contestant*>& contestants,
                              const SamplingRule& rule) {
    std::vector<Obstacle> obstacles;
    std::vector<Timed> timed;
    for (size_t place = 0; place < contestants.size(); ++place) {
        obstacles.push_back(contestants[place]->obstacle);
        if (!contestants[place]->session) continue;
        try {
            timed.push_back({place, bound_step(*contestants[place], boundary)});
        } catch (const rtseg::Error& error) {
            obstacles[place] = obstacle_of(error);
        }
    }
    const std::vector<Samples> samples = measured(timed, obstacles, rule);
    std::vector<BenchRow> rows;
    for (size_t place = 0; place < contestants.size(); ++place) {
        const Contestant& one = *contestants[place];
        rows.push_back({one.subject, boundary, one.backend, one.device, std::nullopt, std::nullopt, obstacles[place]});
    }
    const auto median_of_step = [&](size_t i) { return summarize(samples[i].samples_ns).median_ms; };
    for (size_t i = 0; i < samples.size(); ++i) {
        BenchRow& row = rows[timed[i].place];
        row.samples = samples[i];
        if (samples.size() > 1 && median_of_step(0) > 0) row.vs_first = median_of_step(i) / median_of_step(0);
    }
    return rows;
}

}  // namespace

bool takes(const std::string& backend, const std::string& kind) {
    if (backend == "tensorrt" || backend == "tensorrt-rtx") return kind == "engine";
    return kind == "onnx" || (kind == "openvino" && backend == "openvino");
}

Contestant opened(const BenchSubject& subject, const std::string& backend, int threads, const cv::Mat& picture) {
    Contestant made;
    made.subject = subject;
    made.backend = !backend.empty() ? backend : subject.kind == "engine" ? "tensorrt" : "openvino";
    made.picture = picture;
    made.labels.create(picture.size(), CV_8UC1);
    try {
        rtseg::ModelOptions options;
        options.backend = backend;
        options.threads = threads;
        const rtseg::Model model(subject.path, options);
        made.session = std::make_unique<rtseg::Session>(model);
        made.backend = model.info().backend;
        made.device = model.info().device;
    } catch (const rtseg::Error& error) {
        if (error.status() == RTSEG_STATUS_MANIFEST || error.status() == RTSEG_STATUS_FILE)
            throw InputError(error.what());
        made.obstacle = obstacle_of(error);
    }
    return made;
}

std::vector<BenchRow> timed_rows(std::deque<Contestant>& contestants, const SamplingRule& rule) {
    std::vector<BenchRow> rows;
    for (const std::string boundary : {"network", "engine", "frame"}) {
        std::vector<Contestant*> having;
        for (Contestant& one : contestants)
            if (has(one, boundary)) having.push_back(&one);
        const std::vector<BenchRow> added = rows_of(boundary, having, rule);
        rows.insert(rows.end(), added.begin(), added.end());
    }
    return rows;
}

}  // namespace programs
