#include "quantized_files.h"

#include <algorithm>
#include <iterator>

#include "src/errors.h"

namespace rtseg_internal {

bool is_quantized(const std::set<std::string>& operator_types) {
    static constexpr const char* kQuantizing[] = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear",
                                                  "ConvInteger", "MatMulInteger"};
    return std::any_of(std::begin(kQuantizing), std::end(kQuantizing),
                       [&](const char* type) { return operator_types.count(type) != 0; });
}

void require_plain_operators(const std::set<std::string>& operator_types, const std::string& path) {
    std::string found;
    for (const std::string& type : operator_types)
        if (type.rfind("QLinear", 0) == 0) found += (found.empty() ? "" : ", ") + type;
    if (!found.empty())
        throw Error(RTSEG_STATUS_UNSUPPORTED, path + " holds INT8 operators that OpenVINO computes incorrectly",
                    found, "plain operators between QuantizeLinear and DequantizeLinear",
                    "use the backend onnxruntime, or quantize the network in the QDQ format");
}

void require_compared_release(const std::string& release, const std::string& path) {
    const std::string compared = kComparedRelease;
    const bool is_same = release.rfind(compared, 0) == 0 &&
                         (release.size() == compared.size() || release[compared.size()] < '0' ||
                          release[compared.size()] > '9');
    if (!is_same)
        throw Error(RTSEG_STATUS_UNSUPPORTED,
                    path + " is quantized, and this OpenVINO's results were not compared with those of ONNX Runtime",
                    "OpenVINO " + release, "OpenVINO " + compared,
                    "run rtseg build --runtime openvino " + path +
                        ", which compares them, and writes a model for this library");
}

}  // namespace rtseg_internal
