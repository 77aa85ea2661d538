// Rewrites QuantizeLinear and DequantizeLinear of an ONNX file in OpenVINO's operators.
//
// The C++ twin of rtseg/runners/openvino_quantization.py, which describes the errors of OpenVINO's low-precision passes
// and the reason for each step. It is written twice because the library must load quantized ONNX files without Python.
// tests/embedding/test_openvino_correction.py checks that both produce the same model, byte for byte.
#ifndef RTSEG_BACKENDS_OPENVINO_QUANTIZATION_H
#define RTSEG_BACKENDS_OPENVINO_QUANTIZATION_H

#include <memory>

#include <openvino/core/model.hpp>

namespace rtseg_internal {

// Replace the quantization chains of a model's activations, in place. A model without integers stays unchanged. Throws
// Error or ov::Exception if ranges, scales and zero points do not fit each other.
void join_quantization(const std::shared_ptr<ov::Model>& model);

}  // namespace rtseg_internal

#endif
