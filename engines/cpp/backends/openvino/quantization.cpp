#include "quantization.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <openvino/op/avg_pool.hpp>
#include <openvino/op/clamp.hpp>
#include <openvino/op/constant.hpp>
#include <openvino/op/convert.hpp>
#include <openvino/op/fake_quantize.hpp>
#include <openvino/op/maximum.hpp>

#include "float_array.h"
#include "src/errors.h"

namespace rtseg_internal {
namespace {

using NodePointer = std::shared_ptr<ov::Node>;
using Value = ov::Output<ov::Node>;

constexpr float kByte = 255;  // the largest uint8

// Nodes of a model from a FakeQuantize to the Multiply that gives real values again, and what they compute with.
struct Chain {
    std::shared_ptr<ov::op::v0::FakeQuantize> first;
    NodePointer last;
    FloatArray scale, zero_point;
};

// A constant that the file stores as integers.
struct Weights {
    FloatArray stored, zero_point, scale;

    FloatArray real() const { return (stored - zero_point) * scale; }
    bool is_shifted() const { return zero_point.any([](float number) { return number != 0; }); }
};

std::string_view kind_of(const ov::Node* node) { return node->get_type_name(); }

template <size_t count>
bool is_one_of(std::string_view kind, const std::string_view (&kinds)[count]) {
    return std::find(std::begin(kinds), std::end(kinds), kind) != std::end(kinds);
}

// Return the value of a node that is computed from one constant alone; no value for any other node.
std::optional<FloatArray> constant_of(const Value& value) {
    const ov::Node* const node = value.get_node();
    if (const auto* constant = ov::as_type<const ov::op::v0::Constant>(node))
        return FloatArray(constant->get_shape(), constant->cast_vector<float>());
    if (kind_of(node) != "Convert" && kind_of(node) != "Reshape") return std::nullopt;
    std::optional<FloatArray> array = constant_of(node->input_value(0));
    if (array) array->reshape(value.get_partial_shape().to_shape());
    return array;
}

bool may_be_negative(const Value& value) {
    const std::optional<FloatArray> constant = constant_of(value);
    return !constant || constant->any([](float number) { return number < 0; });
}

bool is_never_negative(const Value& value) {
    static constexpr std::string_view kKeepingSign[] = {"MaxPool", "AvgPool", "FakeQuantize"};
    const ov::Node* const node = value.get_node();
    const std::string_view kind = kind_of(node);
    if (kind == "Concat") {
        const std::vector<Value> values = node->input_values();
        return std::all_of(values.begin(), values.end(), is_never_negative);
    }
    if (is_one_of(kind, kKeepingSign)) return is_never_negative(node->input_value(0));
    const auto* clamp = ov::as_type<const ov::op::v0::Clamp>(node);
    return kind == "Relu" || (clamp != nullptr && clamp->get_min() >= 0);
}

std::vector<NodePointer> readers_of(const NodePointer& node, std::string_view kind) {
    std::vector<NodePointer> readers;
    for (const ov::Input<ov::Node>& reader : node->output(0).get_target_inputs())
        if (kind_of(reader.get_node()) == kind) readers.push_back(reader.get_node()->shared_from_this());
    return readers;
}

NodePointer constant_node(const FloatArray& array, const std::string& name) {
    const auto node = ov::op::v0::Constant::create(ov::element::f32, array.shape(), array.numbers());
    node->set_friendly_name(name);
    return node;
}

NodePointer constant_node(float number, const std::string& name) { return constant_node(FloatArray(number), name); }

// Integer constants

std::optional<Weights> whole_weights(const NodePointer& last) {
    std::optional<FloatArray> scale = constant_of(last->input_value(1));
    Value source = last->input_value(0);
    std::optional<FloatArray> zero_point;
    if (kind_of(source.get_node()) == "Subtract") {
        zero_point = constant_of(source.get_node()->input_value(1));
        source = source.get_node()->input_value(0);
    }
    if (!scale || kind_of(source.get_node()) != "Convert") return std::nullopt;
    const Value stored = source.get_node()->input_value(0);
    const ov::element::Type type = stored.get_element_type();
    if (type != ov::element::i8 && type != ov::element::u8) return std::nullopt;
    std::optional<FloatArray> values = constant_of(stored);
    if (!values) return std::nullopt;
    return Weights{std::move(*values), std::move(zero_point).value_or(FloatArray(0)), std::move(*scale)};
}

// Return whether OpenVINO's INT8 kernels compute products with these weights correctly.
bool multiplies_well(const ov::Input<ov::Node>& reader, const Weights& weights) {
    static constexpr std::string_view kProducts[] = {"Convolution", "GroupConvolution", "MatMul"};
    static constexpr std::string_view kTransposed[] = {"ConvolutionBackpropData", "GroupConvolutionBackpropData"};
    const std::string_view kind = kind_of(reader.get_node());
    if (kind == "Reshape") {  // into groups
        const auto further = reader.get_node()->output(0).get_target_inputs();
        return std::all_of(further.begin(), further.end(),
                           [&](const ov::Input<ov::Node>& each) { return multiplies_well(each, weights); });
    }
    if (reader.get_index() != 1) return false;
    return is_one_of(kind, kProducts) || (is_one_of(kind, kTransposed) && !weights.is_shifted());
}

// Replace integer constants by real ones, except weights whose products are correct.
void fold_constants(const ov::Model& model) {
    for (const NodePointer& last : model.get_ordered_ops()) {
        if (kind_of(last.get()) != "Multiply") continue;
        const std::optional<Weights> weights = whole_weights(last);
        if (!weights) continue;
        NodePointer real;
        for (ov::Input<ov::Node> reader : last->output(0).get_target_inputs()) {
            if (multiplies_well(reader, *weights)) continue;
            if (!real) real = constant_node(weights->real(), last->get_friendly_name() + "/folded");
            reader.replace_source_output(real->output(0));
        }
    }
}

// Integer activations

// Append the chains that end behind `real`, with a zero point or without.
void append_dequantized(const std::shared_ptr<ov::op::v0::FakeQuantize>& first, const NodePointer& real,
                        std::vector<Chain>& chains) {
    const auto append = [&](const NodePointer& node, const FloatArray& zero_point) {
        for (const NodePointer& last : readers_of(node, "Multiply"))
            if (std::optional<FloatArray> scale = constant_of(last->input_value(1)))
                chains.push_back({first, last, std::move(*scale), zero_point});
    };
    append(real, FloatArray(0));
    for (const NodePointer& shifted : readers_of(real, "Subtract"))
        if (const std::optional<FloatArray> zero_point = constant_of(shifted->input_value(1)))
            append(shifted, *zero_point);
}

std::vector<Chain> chains_of(const ov::Model& model) {
    std::vector<Chain> chains;
    for (const NodePointer& node : model.get_ordered_ops()) {
        const auto first = ov::as_type_ptr<ov::op::v0::FakeQuantize>(node);
        if (!first || constant_of(first->input_value(0))) continue;
        for (const NodePointer& whole : readers_of(first, "Convert"))
            for (const NodePointer& real : readers_of(whole, "Convert")) append_dequantized(first, real, chains);
    }
    return chains;
}

// Return a constant bound of a FakeQuantize. Throws Error for one that is computed.
FloatArray bound_of(const ov::op::v0::FakeQuantize& node, size_t port) {
    std::optional<FloatArray> bound = constant_of(node.input_value(port));
    if (!bound)
        throw Error(RTSEG_STATUS_UNSUPPORTED, "a quantization's range is computed", node.get_friendly_name(),
                    "a constant scale and zero point");
    return std::move(*bound);
}

void join(const Chain& chain) {
    const std::string& name = chain.last->get_friendly_name();
    const Value value = chain.first->input_value(0);
    const FloatArray least = (bound_of(*chain.first, 3) - chain.zero_point) * chain.scale;
    const FloatArray most = (bound_of(*chain.first, 4) - chain.zero_point) * chain.scale;
    NodePointer joined;
    if (chain.scale.numbers().size() == 1 && is_never_negative(value)) {
        const NodePointer top = constant_node(kByte * chain.scale.numbers().front(), name + "/top");
        const NodePointer zero = constant_node(0, name + "/zero");
        if (most.numbers().size() != 1)
            throw Error(RTSEG_STATUS_UNSUPPORTED, "a quantization has several ranges and one scale", name, "one range");
        const double bound = most.numbers().front();
        const auto bounded = std::make_shared<ov::op::v0::Clamp>(value, 0.0, bound);
        bounded->set_friendly_name(name + "/bounded");
        joined = std::make_shared<ov::op::v0::FakeQuantize>(bounded, zero, top, zero, top, size_t{256});
    } else {
        joined = std::make_shared<ov::op::v0::FakeQuantize>(
            value, chain.first->input_value(1), chain.first->input_value(2), constant_node(least, name + "/least"),
            constant_node(most, name + "/most"), chain.first->get_levels());
    }
    const ov::element::Type type = chain.last->get_output_element_type(0);
    if (type != joined->get_output_element_type(0)) {
        joined->set_friendly_name(name + "/joined");
        joined = std::make_shared<ov::op::v0::Convert>(joined, type);
    }
    joined->set_friendly_name(name);
    for (ov::Input<ov::Node> reader : chain.last->output(0).get_target_inputs())
        reader.replace_source_output(joined->output(0));
}

// Real values where the passes are wrong

// Insert an operator before an input that changes no value and that the passes do not look through.
void hide(ov::Input<ov::Node> port) {
    const std::string name = port.get_node()->get_friendly_name() + "/" + std::to_string(port.get_index());
    const NodePointer lowest = constant_node(std::numeric_limits<float>::lowest(), name + "/lowest");
    const auto hidden = std::make_shared<ov::op::v1::Maximum>(port.get_source_output(), lowest);
    hidden->set_friendly_name(name + "/hidden");
    port.replace_source_output(hidden->output(0));
}

// Compute averages that count their padding on real values, if the values may be negative.
void average_real_values(const ov::Model& model) {
    const auto pads = [](const ov::Shape& sides) {
        return std::any_of(sides.begin(), sides.end(), [](size_t side) { return side != 0; });
    };
    for (const NodePointer& node : model.get_ordered_ops()) {
        const auto* pool = ov::as_type<const ov::op::util::AvgPoolBase>(node.get());
        if (pool == nullptr || pool->get_exclude_pad()) continue;
        const bool is_padded = pads(pool->get_pads_begin()) || pads(pool->get_pads_end());
        if (is_padded && !is_never_negative(node->input_value(0))) hide(node->input(0));
    }
}

// Return the positions of the inputs that a node may multiply by a negative constant.
std::vector<size_t> negated_inputs(const ov::Node& node) {
    const std::string_view kind = kind_of(&node);
    const auto is_constant = [&](size_t port) { return constant_of(node.input_value(port)).has_value(); };
    std::vector<size_t> ports;
    if (kind == "Negative") ports.push_back(0);
    if (kind == "BatchNormInference" && may_be_negative(node.input_value(1)))  // data, gamma, beta, mean, variance
        ports.push_back(0);
    if (kind == "Subtract" && is_constant(0) && !is_constant(1)) ports.push_back(1);
    if (kind == "Multiply" || kind == "Divide")
        for (const size_t port : {size_t{0}, size_t{1}})
            if (!is_constant(port) && is_constant(1 - port) && may_be_negative(node.input_value(1 - port)))
                ports.push_back(port);
    return ports;
}

// Compute products with negative constants on real values, except products of a sum of products.
void negate_real_values(const ov::Model& model) {
    static constexpr std::string_view kSums[] = {  // that no product is moved before
        "Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul"};
    for (const NodePointer& node : model.get_ordered_ops())
        for (const size_t port : negated_inputs(*node))
            if (!is_one_of(kind_of(node->input_value(port).get_node()), kSums)) hide(node->input(port));
}

}  // namespace

void join_quantization(const std::shared_ptr<ov::Model>& model) {
    fold_constants(*model);
    const std::vector<Chain> chains = chains_of(*model);
    for (const Chain& chain : chains) join(chain);
    if (chains.empty()) return;
    average_real_values(*model);
    negate_real_values(*model);
}

}  // namespace rtseg_internal
