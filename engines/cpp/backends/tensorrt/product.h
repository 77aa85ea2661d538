// The two NVIDIA products that run engines.
#ifndef RTSEG_TENSORRT_PRODUCT_H
#define RTSEG_TENSORRT_PRODUCT_H

namespace rtseg_internal {

struct Product {
    const char* runtime;  // its name in manifests and options
    const char* words;    // its name in messages
    const char* rebuild;  // the hint if it refuses an engine for an unknown reason
    const char* package;  // the name of its pip package
    bool is_rtx;
};

inline constexpr Product kTensorRt = {
    "tensorrt", "TensorRT", "run rtseg build again on this machine", "tensorrt", false};
inline constexpr Product kTensorRtRtx = {
    "tensorrt-rtx", "TensorRT for RTX",
    "run rtseg build again with the release of TensorRT for RTX that is installed here",
    "tensorrt-rtx", true};

}  // namespace rtseg_internal

#endif
