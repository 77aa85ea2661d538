// Whether an engine is for the TensorRT and the GPU of this machine, asked before TensorRT sees a byte of it. The rules
// are those of rtseg/runners/tensorrt/preflight.py.
#ifndef RTSEG_TENSORRT_PREFLIGHT_H
#define RTSEG_TENSORRT_PREFLIGHT_H

#include <string>
#include <vector>

#include "manifest.h"
#include "product.h"

namespace rtseg_internal {

// What has to be known of a GPU.
struct Gpu {
    std::string name;  // such as "NVIDIA H200"
    int major = 0, minor = 0;  // of its compute capability
};

// Each throws Error, RTSEG_STATUS_UNSUPPORTED, with the command that makes an engine for this machine.

// The manifest is of an engine of that product.
void require_product(const Manifest& manifest, const Product& product);

// An engine belongs to one release: to the last number of it that manifest and library both tell. `release` is the
// library's, such as "10.3.0.26".
void require_release(const Manifest& manifest, const Product& product, const std::string& release);

// An engine belongs to one compute capability unless it was built with hardware_compatibility. One of TensorRT for RTX
// belongs to those that it was compiled for; a portable one to every later one too.
void require_capability(const Manifest& manifest, const Product& product, const Gpu& gpu);

// An engine of TensorRT for RTX names its release itself: major, minor and patch in the bytes 24 to 26.
void require_release_inside(const std::vector<char>& content, const std::string& release);

}  // namespace rtseg_internal

#endif
