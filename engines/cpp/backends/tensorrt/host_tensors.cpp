#include "host_tensors.h"

#include <cstring>

namespace rtseg_internal {

namespace {

size_t product(const std::vector<int64_t>& shape) {
    size_t count = 1;
    for (const int64_t length : shape) count *= static_cast<size_t>(length);
    return count;
}

size_t size_of(StoredType type) {
    return type == StoredType::kFloat32 ? sizeof(float) : type == StoredType::kFloat16 ? sizeof(uint16_t) : 1;
}

uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// IEEE binary16 to binary32: exact.
float float_of_half(uint16_t half) {
    const uint32_t sign = (half & 0x8000u) << 16, rest = half & 0x7fffu;
    if (rest >= 0x7c00u) return float_of_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    const float magnitude = float_of_bits(rest << 13) * 0x1p112f;  // the exponents' biases differ by 112
    return float_of_bits(bits_of(magnitude) | sign);
}

// IEEE binary32 to binary16: to nearest, halves to even; too large is infinity.
uint16_t half_of_float(float value) {
    const uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
    if (rest >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520: nearer to 65536 than to 65504
    if (rest < 0x38800000u)  // below 2^-14: a multiple of 2^-24, which is the last bit of 0.5f
        return static_cast<uint16_t>(sign | (bits_of(float_of_bits(rest) + 0.5f) - bits_of(0.5f)));
    const uint32_t to_even = rest >> 13 & 1;
    return static_cast<uint16_t>(sign | ((rest - 0x38000000u + 0xfffu + to_even) >> 13));
}

// The value at an offset, as float32. Used for logits and normalised tensors only, never for bytes.
float value_at(const StoredTensor& tensor, const void* stored, size_t offset) {
    if (tensor.type == StoredType::kFloat16) return float_of_half(static_cast<const uint16_t*>(stored)[offset]);
    return static_cast<const float*>(stored)[offset];
}

}  // namespace

size_t StoredTensor::stored_bytes() const {
    if (channel_multiple == 0) return product(shape) * size_of(type);
    const size_t multiple = static_cast<size_t>(channel_multiple), channels = static_cast<size_t>(shape[1]);
    return product(shape) / channels * ((channels + multiple - 1) / multiple * multiple) * size_of(type);
}

size_t StoredTensor::plain_bytes() const {
    return product(shape) * (type == StoredType::kUint8 ? 1 : sizeof(float));
}

TensorSpec StoredTensor::spec() const {
    return {name, shape, type == StoredType::kUint8 ? ElementType::kUint8 : ElementType::kFloat32};
}

void store(const StoredTensor& tensor, const void* plain, void* stored) {
    if (tensor.is_plain()) {
        memcpy(stored, plain, tensor.stored_bytes());
        return;
    }
    const float* from = static_cast<const float*>(plain);
    uint16_t* to = static_cast<uint16_t*>(stored);
    for (size_t i = 0, count = product(tensor.shape); i < count; ++i) to[i] = half_of_float(from[i]);
}

void unpack(const StoredTensor& tensor, const void* stored, void* plain) {
    if (tensor.is_plain()) {
        memcpy(plain, stored, tensor.plain_bytes());
        return;
    }
    float* to = static_cast<float*>(plain);
    if (tensor.channel_multiple == 0) {
        for (size_t i = 0, count = product(tensor.shape); i < count; ++i) to[i] = value_at(tensor, stored, i);
        return;
    }
    const size_t multiple = static_cast<size_t>(tensor.channel_multiple);
    const size_t channels = static_cast<size_t>(tensor.shape[1]);
    const size_t padded = (channels + multiple - 1) / multiple * multiple;
    const size_t pixels = static_cast<size_t>(tensor.shape[2] * tensor.shape[3]);
    for (size_t c = 0; c < channels; ++c)
        for (size_t i = 0; i < pixels; ++i) to[c * pixels + i] = value_at(tensor, stored, i * padded + c);
}

}  // namespace rtseg_internal
