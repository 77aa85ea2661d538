// The two products of NVIDIA's that run engines.
#ifndef RTSEG_TENSORRT_PRODUCT_H
#define RTSEG_TENSORRT_PRODUCT_H

namespace rtseg_internal {

struct Product {
    const char* runtime;  // as manifests and options call it
    const char* words;    // as messages call it
    const char* rebuild;  // what to try where it refuses an engine, and nobody knows why
    const char* package;  // what pip installs
    bool is_rtx;
};

inline constexpr Product kTensorRt = {"tensorrt", "TensorRT", "rtseg build again, on this machine", "tensorrt", false};
inline constexpr Product kTensorRtRtx = {
    "tensorrt-rtx", "TensorRT for RTX", "rtseg build again, with the release of TensorRT for RTX that is installed here",
    "tensorrt-rtx", true};

}  // namespace rtseg_internal

#endif
