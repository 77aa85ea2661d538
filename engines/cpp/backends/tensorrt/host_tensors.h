// The memory layout of an engine's tensors, and conversions to and from the library's layout: C order, float32 or
// uint8.
#ifndef RTSEG_TENSORRT_HOST_TENSORS_H
#define RTSEG_TENSORRT_HOST_TENSORS_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "backend.h"

namespace rtseg_internal {

enum class StoredType { kFloat32, kFloat16, kUint8 };

// An input or output as the engine stores it. channel_multiple 0 is C order. Otherwise all channels of a pixel are
// contiguous and padded to that multiple: TensorRT's HWC, HWC8 and HWC16.
struct StoredTensor {
    std::string name;
    std::vector<int64_t> shape;
    StoredType type = StoredType::kFloat32;
    int channel_multiple = 0;

    size_t stored_bytes() const;
    // The layout of the same values in C order, with float32 for float16.
    size_t plain_bytes() const;
    // Whether both layouts are the same bytes.
    bool is_plain() const { return channel_multiple == 0 && type != StoredType::kFloat16; }
    TensorSpec spec() const;
};

// float16 values are the float32 values rounded to nearest, halves to even.
void store(const StoredTensor& tensor, const void* plain, void* stored);

// This conversion is exact.
void unpack(const StoredTensor& tensor, const void* stored, void* plain);

}  // namespace rtseg_internal

#endif
