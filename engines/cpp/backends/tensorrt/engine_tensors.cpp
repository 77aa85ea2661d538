#include "engine_tensors.h"

#include <algorithm>
#include <string>
#include <vector>

#include "errors.h"

namespace rtseg_internal {

namespace {

constexpr const char* kRebuild = "use rtseg build, whose engines have one static input and one static output";

Error unusable(const std::string& name, const std::string& got, const std::string& expected) {
    return Error(RTSEG_STATUS_UNSUPPORTED, "the engine's tensor " + name + " cannot be used", got, expected, kRebuild);
}

std::string described(const std::vector<int64_t>& shape) {
    std::string text;
    for (const int64_t length : shape) text += (text.empty() ? "" : ", ") + std::to_string(length);
    return "(" + text + ")";
}

// The dimensions have 32 bits before TensorRT 10, and 64 since.
std::vector<int64_t> shape_of(const nvinfer1::Dims& dims) {
    return {dims.d, dims.d + std::clamp(dims.nbDims, 0, static_cast<int>(nvinfer1::Dims::MAX_DIMS))};
}

StoredType type_of(const nvinfer1::ICudaEngine& engine, const std::string& name) {
    switch (const nvinfer1::DataType type = engine.getTensorDataType(name.c_str()); type) {
        case nvinfer1::DataType::kFLOAT:
            return StoredType::kFloat32;
        case nvinfer1::DataType::kHALF:
            return StoredType::kFloat16;
        case nvinfer1::DataType::kUINT8:
            return StoredType::kUint8;
        default:
            throw unusable(name, "TensorRT's type " + std::to_string(static_cast<int>(type)), "float32, float16 or uint8");
    }
}

int channel_multiple_of(const nvinfer1::ICudaEngine& engine, const std::string& name, bool has_channels) {
    const nvinfer1::TensorFormat format = engine.getTensorFormat(name.c_str());
    if (format == nvinfer1::TensorFormat::kLINEAR) return 0;
    if (has_channels && format == nvinfer1::TensorFormat::kHWC) return 1;
    if (has_channels && format == nvinfer1::TensorFormat::kHWC8) return 8;
    if (has_channels && format == nvinfer1::TensorFormat::kHWC16) return 16;
    throw unusable(name, engine.getTensorFormatDesc(name.c_str()), "LINEAR, or HWC, HWC8 or HWC16 of an output");
}

StoredTensor tensor_of(const nvinfer1::ICudaEngine& engine, const std::string& name, bool is_input) {
    StoredTensor tensor;
    tensor.name = name;
    tensor.shape = shape_of(engine.getTensorShape(name.c_str()));
    for (const int64_t length : tensor.shape)
        if (length < 1) throw unusable(name, described(tensor.shape), "a static shape");
    tensor.type = type_of(engine, name);
    const bool has_channels = !is_input && tensor.shape.size() == 4 && tensor.type != StoredType::kUint8;
    tensor.channel_multiple = channel_multiple_of(engine, name, has_channels);
    return tensor;
}

// The twin of tensor_shapes in rtseg/specs.
std::pair<std::vector<int64_t>, std::vector<int64_t>> shapes_of(const Manifest& manifest) {
    const int64_t height = manifest.image.height, width = manifest.image.width;
    const OutputContract& output = manifest.output;
    if (output.interface == Interface::kLabels) return {{1, height, width, 3}, {1, height, width}};
    const int64_t stride = output.interface == Interface::kLogits ? std::max(output.stride, 1) : 1;
    return {{1, 3, height, width}, {1, output.channels(), height / stride, width / stride}};
}

void require_as_in_manifest(const StoredTensor& tensor, const char* side, const std::vector<int64_t>& shape,
                            bool is_bytes) {
    const std::string what = std::string("the graph's ") + side + " does not match its manifest";
    if (tensor.shape != shape)
        throw Error(RTSEG_STATUS_MANIFEST, what, described(tensor.shape), described(shape), kRebuild);
    if ((tensor.type == StoredType::kUint8) != is_bytes)
        throw Error(RTSEG_STATUS_MANIFEST, what, is_bytes ? "floating-point numbers" : "uint8",
                    is_bytes ? "uint8" : "float32 or float16", kRebuild);
}

}  // namespace

std::pair<StoredTensor, StoredTensor> engine_tensors(const nvinfer1::ICudaEngine& engine, const Manifest& manifest) {
    std::vector<std::string> inputs, outputs;
    for (int32_t i = 0; i < engine.getNbIOTensors(); ++i) {
        const char* name = engine.getIOTensorName(i);
        (engine.getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT ? inputs : outputs).emplace_back(name);
    }
    if (inputs.size() != 1 || outputs.size() != 1)
        throw Error(RTSEG_STATUS_UNSUPPORTED, "the engine has another number of inputs and outputs",
                    std::to_string(inputs.size()) + " and " + std::to_string(outputs.size()), "1 and 1", kRebuild);
    const auto [input_shape, output_shape] = shapes_of(manifest);
    const bool is_bytes = manifest.output.interface == Interface::kLabels;
    StoredTensor input = tensor_of(engine, inputs[0], true), output = tensor_of(engine, outputs[0], false);
    require_as_in_manifest(input, "input", input_shape, is_bytes);
    require_as_in_manifest(output, "output", output_shape, is_bytes);
    return {std::move(input), std::move(output)};
}

void require_packed(const nvinfer1::IExecutionContext& context, const StoredTensor& tensor) {
    if (tensor.channel_multiple > 0) return;
    const std::vector<int64_t> strides = shape_of(context.getTensorStrides(tensor.name.c_str()));
    int64_t packed = 1;
    for (size_t i = std::min(tensor.shape.size(), strides.size()); i-- > 0;) {
        if (tensor.shape[i] > 1 && strides[i] != packed)
            throw unusable(tensor.name, "strides of " + described(strides) + " elements for " + described(tensor.shape),
                           "rows without gaps");
        packed *= tensor.shape[i];
    }
}

}  // namespace rtseg_internal
