// Say in OpenVINO's own words what QuantizeLinear and DequantizeLinear say in an ONNX file.
//
// The C++ twin of rtseg/runners/openvino_quantization.py, which says what OpenVINO's low-precision passes get wrong, and
// why each step is there. It is written down a second time because the library takes a quantised ONNX file itself, with
// no Python in reach. tests/embedding/test_openvino_correction.py holds the two together: the models that they leave are
// equal byte for byte.
#ifndef RTSEG_BACKENDS_OPENVINO_QUANTIZATION_H
#define RTSEG_BACKENDS_OPENVINO_QUANTIZATION_H

#include <memory>

#include <openvino/core/model.hpp>

namespace rtseg_internal {

// Replace the chains of a model's activations, in place. A model without whole numbers stays as it is. Throws Error or
// ov::Exception where ranges, scales and zero points do not fit each other.
void join_quantization(const std::shared_ptr<ov::Model>& model);

}  // namespace rtseg_internal

#endif
