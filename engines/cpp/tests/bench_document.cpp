// Prints a document as rtseg-bench does, of rows with given latencies and one without, for
// tests/embedding/test_bench_judgements.py.

#include <iostream>
#include <nlohmann/json.hpp>

#include "programs/bench_rows.h"
#include "programs/environment.h"

int main() {
    using namespace programs;
    const SamplingRule rule = SamplingRule::within(2);
    BenchSubject subject;
    subject.network = "affnet";
    subject.weights = "random (seed 0)";
    subject.precision = "fp32";
    subject.height = 64;
    subject.width = 96;
    std::vector<int64_t> latencies(9, 7000000);
    latencies.push_back(9000000);
    const Samples steady = judged(latencies, rule);
    const Samples few = judged({8000000, 9000000}, rule);
    const std::vector<BenchRow> rows = {
        {subject, "engine", "onnxruntime", "", std::nullopt, std::nullopt, {"not installed", "the backend is missing"}},
        {subject, "frame", "openvino", "CPU (x86_64, 2 threads)", steady, 1.0, {}},
        {subject, "frame", "openvino", "CPU (x86_64, 2 threads)", few, 8.5 / 7, {}}};
    nlohmann::ordered_json conditions = environment();
    for (const char* name : {"libopenvino.so.2641", "libonnxruntime.so.1.23.2", "libnvinfer.so.10.3", "librtseg.so"})
        conditions["versions"][name] = version_in_file_name(name);
    std::cout << bench_document(rule, conditions, "a drawn street", rows).dump() << "\n";
    return 0;
}
