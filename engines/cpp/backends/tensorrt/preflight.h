// Checks whether an engine fits the TensorRT and the GPU of this machine, before TensorRT reads it. The rules are those
// of rtseg/runners/tensorrt/preflight.py.
#ifndef RTSEG_TENSORRT_PREFLIGHT_H
#define RTSEG_TENSORRT_PREFLIGHT_H

#include <string>
#include <vector>

#include "manifest.h"
#include "product.h"

namespace rtseg_internal {

// The facts about a GPU that the checks need.
struct Gpu {
    std::string name;  // such as "NVIDIA H200"
    int major = 0, minor = 0;  // of its compute capability
};

// Each throws Error (RTSEG_STATUS_UNSUPPORTED) with the command that builds an engine for this machine.

// Require that the engine was built with that product.
void require_product(const Manifest& manifest, const Product& product);

// Require the release that built the engine, as far as both the manifest and the library state its numbers. `release`
// is the library's, such as "10.3.0.26".
void require_release(const Manifest& manifest, const Product& product, const std::string& release);

// Require a GPU that the engine runs on. An engine runs on one compute capability, unless it was built with
// hardware_compatibility. A TensorRT for RTX engine runs on those that it was compiled for, and a portable one also on
// every later one.
void require_capability(const Manifest& manifest, const Product& product, const Gpu& gpu);

// A TensorRT for RTX engine states its release itself: major, minor and patch in the bytes 24 to 26.
void require_release_inside(const std::vector<char>& content, const std::string& release);

}  // namespace rtseg_internal

#endif
