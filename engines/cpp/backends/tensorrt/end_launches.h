// Preprocessing and postprocessing of a frame on the GPU: the kernel of rtseg/native/frame_ends.cu, the number of
// blocks, and the arguments. The twin of rtseg/runners/cuda/ends.py. Pointers are plain numbers; the caller owns their
// memory.
#ifndef RTSEG_TENSORRT_END_LAUNCHES_H
#define RTSEG_TENSORRT_END_LAUNCHES_H

#include <cstdint>
#include <string>
#include <vector>

#include "manifest.h"

namespace rtseg_internal {

// The number of threads per block, for every kernel.
inline constexpr unsigned kBlockWidth = 32, kBlockHeight = 8;

// A kernel argument of 4 or 8 bytes.
class Argument {
  public:
    explicit Argument(int32_t value) : kind_('i') { value_.int32 = value; }
    explicit Argument(int64_t value) : kind_('l') { value_.int64 = value; }
    explicit Argument(float value) : kind_('f') { value_.float32 = value; }
    explicit Argument(uint64_t pointer) : kind_('p') { value_.pointer = pointer; }

    // The address of its bytes, for cuLaunchKernel.
    void* address() { return &value_; }
    // 'i' int, 'l' long long, 'f' float, 'p' pointer.
    char kind() const { return kind_; }

  private:
    union {
        int32_t int32;
        int64_t int64;
        float float32;
        uint64_t pointer;
    } value_;
    char kind_;
};

// A launch with a grid of one dimension and no dynamic shared memory.
struct Launch {
    std::string kernel;
    unsigned blocks = 0;
    std::vector<Argument> arguments;
};

// An image on the device: uint8, height x width x 3, rows without gaps, RGB or BGR.
struct DeviceImage {
    uint64_t pointer;
    int height, width;
    bool is_bgr;
};

// Return the launch that writes the network's input, 3 x contract.height x contract.width of float32 or float16.
Launch front_launch(const DeviceImage& image, uint64_t tensor, bool is_half, const ImageContract& contract);

// Logits on the device: c x h x w, float32 or float16. channel_multiple 0 is C order. Otherwise the channels of a pixel
// are contiguous and padded to that multiple: TensorRT's HWC, HWC8 and HWC16.
struct DeviceLogits {
    uint64_t pointer;
    int c, h, w;
    bool is_half;
    int channel_multiple;
};

// Return the launch that writes the label map, uint8 height x width without gaps, of an image of that size.
Launch tail_launch(const DeviceLogits& logits, uint64_t labels, int height, int width, const ImageContract& image,
                   const OutputContract& output);

}  // namespace rtseg_internal

#endif
