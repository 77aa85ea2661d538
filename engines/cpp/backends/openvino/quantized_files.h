// Which quantised ONNX files the library runs with OpenVINO.
//
// Python compares each quantised file with ONNX Runtime before it runs it with OpenVINO. Here nothing can, so files are
// corrected (quantization.h) with the release alone for which the corrections were compared. A model that Python
// compared and wrote (`rtseg build --runtime openvino`) runs with any release, and needs none of this.
//
// The types of operators are those of the file's bytes, by operator_types of src/onnx_bytes.h: of an ov::Model it can no
// longer be said what it was read from.
#ifndef RTSEG_BACKENDS_OPENVINO_QUANTIZED_FILES_H
#define RTSEG_BACKENDS_OPENVINO_QUANTIZED_FILES_H

#include <set>
#include <string>

namespace rtseg_internal {

// The release of OpenVINO with which corrected models were compared.
constexpr const char* kComparedRelease = "2026.4";

// Return whether a file with those types of operators computes in whole numbers.
bool is_quantized(const std::set<std::string>& operator_types);

// Throw Error (RTSEG_STATUS_UNSUPPORTED) for operators that compute in whole numbers themselves: OpenVINO gets some
// wrong. path is for the message.
void require_plain_operators(const std::set<std::string>& operator_types, const std::string& path);

// Throw Error (RTSEG_STATUS_UNSUPPORTED) unless a release of OpenVINO, as ov::get_openvino_version().buildNumber says
// it, such as "2026.4.1-21400-abcdef", is the one with which corrected models were compared. path is for the message.
void require_compared_release(const std::string& release, const std::string& path);

}  // namespace rtseg_internal

#endif
