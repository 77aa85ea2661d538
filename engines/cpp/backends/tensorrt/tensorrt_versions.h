// The differences between TensorRT 8.5 to 11 and TensorRT for RTX 1.4 to 1.7, each in one function. Everything else in
// this folder uses only what all of them have.
//
// The headers that a module is compiled against decide its product and major version.
#ifndef RTSEG_TENSORRT_VERSIONS_H
#define RTSEG_TENSORRT_VERSIONS_H

#include <NvInferRuntime.h>
#include <NvInferVersion.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "product.h"

#if defined(TRT_MAJOR_RTX)
#define RTSEG_FOR_RTX 1
#if NV_TENSORRT_MAJOR != 1 || NV_TENSORRT_MINOR < 4
#error "rtseg is written for TensorRT for RTX 1.4 and later releases of 1"
#endif
#else
#define RTSEG_FOR_RTX 0
#if NV_TENSORRT_MAJOR * 100 + NV_TENSORRT_MINOR < 805 || NV_TENSORRT_MAJOR > 11
#error "rtseg is written for TensorRT 8.5 to 11"
#endif
#endif

namespace rtseg_internal {

#define RTSEG_TEXT_OF(number) #number
#define RTSEG_TEXT(number) RTSEG_TEXT_OF(number)

#if RTSEG_FOR_RTX
inline constexpr Product kProduct = kTensorRtRtx;
inline constexpr const char* kTensorRtLibrary = "libtensorrt_rtx.so." RTSEG_TEXT(NV_TENSORRT_MAJOR);
#else
inline constexpr Product kProduct = kTensorRt;
inline constexpr const char* kTensorRtLibrary = "libnvinfer.so." RTSEG_TEXT(NV_TENSORRT_MAJOR);
#endif

// The release of the headers.
inline constexpr int kHeaders[3] = {NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, NV_TENSORRT_PATCH};

// The version that createInferRuntime of the headers passes on.
inline int32_t header_version() { return static_cast<int32_t>(NV_TENSORRT_VERSION); }

// Whether the library has its functions where the headers expect them. Within a major version, TensorRT only appends to
// its interfaces; TensorRT for RTX removed functions from their middle between 1.4 and 1.5.
inline bool is_compatible(const std::vector<int>& library) {
    if (library[0] != kHeaders[0]) return false;
    return kProduct.is_rtx ? library[1] == kHeaders[1] : library[1] >= kHeaders[1];
}

// Return the numbers of the library's getInferLibVersion: version 8 counts in thousands, all others in ten thousands.
inline std::vector<int> release_numbers(int32_t version) {
    const int32_t major = !RTSEG_FOR_RTX && version < 10000 ? 1000 : 10000;
    return {version / major, version % major / 100, version % 100};
}

// The memory of each execution context, in bytes. 10.1 added the second function, 11 removed the first.
inline int64_t scratch_bytes(const nvinfer1::ICudaEngine& engine) {
#if RTSEG_FOR_RTX || NV_TENSORRT_MAJOR * 100 + NV_TENSORRT_MINOR >= 1001
    return engine.getDeviceMemorySizeV2();
#else
    return static_cast<int64_t>(engine.getDeviceMemorySize());
#endif
}

// Why a run in the stream cannot become part of a CUDA graph; empty if it can, or if that is only known after trying.
// The C++ headers have this query from TensorRT for RTX 1.5 on.
inline std::string why_not_captured(const nvinfer1::IExecutionContext& context, cudaStream_t stream) {
#if RTSEG_FOR_RTX && NV_TENSORRT_MINOR >= 5
    if (!context.isStreamCapturable(stream)) return "this engine allocates memory while it runs";
#else
    static_cast<void>(context), static_cast<void>(stream);
#endif
    return "";
}

// The settings of an engine's contexts, which must outlive them. Safe to use from several threads.
//
// TensorRT for RTX: we capture CUDA graphs ourselves, with our two kernels in them, so the product's own are off. A
// capture must not contain an allocation, so each context gets its scratch memory from us. All contexts share what the
// driver compiles.
class ContextSettings {
  public:
    explicit ContextSettings(nvinfer1::ICudaEngine& engine) : engine_(engine) {
#if RTSEG_FOR_RTX
        config_.reset(engine.createRuntimeConfig());
        if (config_ == nullptr) return;
        config_->setCudaGraphStrategy(nvinfer1::CudaGraphStrategy::kDISABLED);
        config_->setExecutionContextAllocationStrategy(
            nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED);
        cache_.reset(config_->createRuntimeCache());
        if (cache_ != nullptr) config_->setRuntimeCache(*cache_);
#endif
    }

    // Return a context, null if the product refuses. allocate(bytes) returns the address of memory that the context
    // uses while it lives; it is called if the context does not allocate its own.
    template <class Allocate>
    std::unique_ptr<nvinfer1::IExecutionContext> new_context(Allocate allocate) const {
        const std::lock_guard<std::mutex> one_at_a_time(making_);
#if RTSEG_FOR_RTX
        if (config_ == nullptr) return nullptr;
        std::unique_ptr<nvinfer1::IExecutionContext> context(engine_.createExecutionContext(config_.get()));
        if (const int64_t size = scratch_bytes(engine_); context != nullptr && size > 0)
            context->setDeviceMemoryV2(allocate(static_cast<size_t>(size)), size);
        return context;
#else
        static_cast<void>(allocate);
        return std::unique_ptr<nvinfer1::IExecutionContext>(engine_.createExecutionContext());
#endif
    }

  private:
    nvinfer1::ICudaEngine& engine_;
    mutable std::mutex making_;
#if RTSEG_FOR_RTX
    std::unique_ptr<nvinfer1::IRuntimeCache> cache_;
    std::unique_ptr<nvinfer1::IRuntimeConfig> config_;
#endif
};

// Whether the product states that it can load an engine, and the bits that explain why not; see rtx_diagnosis.
struct Validity {
    bool is_valid = true;
    uint64_t diagnostics = 0;
};

inline Validity validity_of(const nvinfer1::IRuntime& runtime, const std::vector<char>& content) {
#if RTSEG_FOR_RTX
    Validity validity;
    const nvinfer1::EngineValidity told =
        runtime.getEngineValidity(content.data(), static_cast<int64_t>(content.size()), &validity.diagnostics);
    validity.is_valid = told != nvinfer1::EngineValidity::kINVALID;
    return validity;
#else
    static_cast<void>(runtime), static_cast<void>(content);
    return {};
#endif
}

}  // namespace rtseg_internal

#endif
