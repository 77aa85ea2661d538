// Decides which quantized ONNX files the library runs with OpenVINO.
//
// Python compares each quantized file with ONNX Runtime before it runs it with OpenVINO. This library cannot, so it
// corrects the files (quantization.h) and accepts only the release with which the corrections were compared. A model
// that Python compared and wrote (`rtseg build --runtime openvino`) runs with any release and is not corrected.
//
// The operator types come from the file's bytes (operator_types of src/onnx_bytes.h): an ov::Model does not show from
// which operators it was read.
#ifndef RTSEG_BACKENDS_OPENVINO_QUANTIZED_FILES_H
#define RTSEG_BACKENDS_OPENVINO_QUANTIZED_FILES_H

#include <set>
#include <string>

namespace rtseg_internal {

// The OpenVINO release with which corrected models were compared.
constexpr const char* kComparedRelease = "2026.4";

// Return whether a file with those operator types computes with integers.
bool is_quantized(const std::set<std::string>& operator_types);

// Throw Error (RTSEG_STATUS_UNSUPPORTED) for operators that themselves compute with integers: OpenVINO computes some of
// them incorrectly. path is for the message.
void require_plain_operators(const std::set<std::string>& operator_types, const std::string& path);

// Throw Error (RTSEG_STATUS_UNSUPPORTED) unless the OpenVINO release is the one with which corrected models were
// compared. release is ov::get_openvino_version().buildNumber, such as "2026.4.1-21400-abcdef"; path is for the
// message.
void require_compared_release(const std::string& release, const std::string& path);

}  // namespace rtseg_internal

#endif
