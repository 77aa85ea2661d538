// correct_models RELEASE IN.onnx OUT.xml [IN.onnx OUT.xml ...]: write the models that the library makes of ONNX files
// for OpenVINO.
//
// RELEASE is the OpenVINO release to assume, which may differ from the installed one. Before a model is
// corrected, it and its nodes are named by place: OpenVINO's reader numbers names through the whole process.

#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <openvino/core/graph_util.hpp>
#include <openvino/frontend/manager.hpp>

#include "backends/openvino/quantization.h"
#include "backends/openvino/quantized_files.h"
#include "src/onnx_bytes.h"

namespace {

std::string content_of(const char* path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

// From memory, as the library reads what it compared with a digest.
std::shared_ptr<ov::Model> read_model(const std::string& content) {
    static ov::frontend::FrontEndManager manager;
    const auto reader = manager.load_by_framework("onnx");
    std::istringstream stream(content);
    return reader->convert(reader->load(static_cast<std::istream*>(&stream)));
}

void correct(const char* release, const char* path, const char* result) {
    const std::string content = content_of(path);
    const auto types = rtseg_internal::operator_types({content.begin(), content.end()});
    rtseg_internal::require_plain_operators(types, path);
    if (rtseg_internal::is_quantized(types)) rtseg_internal::require_compared_release(release, path);
    const std::shared_ptr<ov::Model> model = read_model(content);
    model->set_friendly_name("model");
    size_t place = 0;
    for (const auto& node : model->get_ordered_ops()) node->set_friendly_name("node " + std::to_string(place++));
    rtseg_internal::join_quantization(model);
    ov::serialize(model, result);
}

}  // namespace

int main(int count, char** arguments) try {
    for (int i = 2; i + 1 < count; i += 2) correct(arguments[1], arguments[i], arguments[i + 1]);
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
