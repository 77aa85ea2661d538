// How an engine's tensors lie in memory, and their way to and from what the library works on: C order, float32 or uint8.
#ifndef RTSEG_TENSORRT_HOST_TENSORS_H
#define RTSEG_TENSORRT_HOST_TENSORS_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "backend.h"

namespace rtseg_internal {

enum class StoredType { kFloat32, kFloat16, kUint8 };

// An input or output as the engine stores it. channel_multiple 0 is C order; else all channels of a pixel lie together,
// padded to a multiple of it: TensorRT's HWC, HWC8 and HWC16.
struct StoredTensor {
    std::string name;
    std::vector<int64_t> shape;
    StoredType type = StoredType::kFloat32;
    int channel_multiple = 0;

    size_t stored_bytes() const;
    // Of the same values in C order, float32 for float16.
    size_t plain_bytes() const;
    // Whether both are the same bytes.
    bool is_plain() const { return channel_multiple == 0 && type != StoredType::kFloat16; }
    TensorSpec spec() const;
};

// float16 values are the float32 ones rounded to nearest, halves to even.
void store(const StoredTensor& tensor, const void* plain, void* stored);

// Exact.
void unpack(const StoredTensor& tensor, const void* stored, void* plain);

}  // namespace rtseg_internal

#endif
