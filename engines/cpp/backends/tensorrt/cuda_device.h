// A GPU and its resources. Each resource is freed in the GPU's context, whichever thread drops it.
#ifndef RTSEG_TENSORRT_CUDA_DEVICE_H
#define RTSEG_TENSORRT_CUDA_DEVICE_H

#include <cuda.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "preflight.h"

namespace rtseg_internal {

// The first GPU that the process sees, and its primary context, which TensorRT uses too.
class CudaDevice {
  public:
    // Throws Error (RTSEG_STATUS_MISSING) without a driver or a GPU.
    CudaDevice();
    ~CudaDevice();
    CudaDevice(const CudaDevice&) = delete;
    CudaDevice& operator=(const CudaDevice&) = delete;

    const Gpu& gpu() const noexcept { return gpu_; }
    CUcontext context() const noexcept { return context_; }

  private:
    CUdevice device_ = 0;
    CUcontext context_ = nullptr;
    Gpu gpu_;
};

// Makes the GPU's context current in the calling thread for the lifetime of this object.
class InContext {
  public:
    explicit InContext(const CudaDevice& device);
    ~InContext();
    InContext(const InContext&) = delete;
    InContext& operator=(const InContext&) = delete;
};

// Owns a handle of the CUDA driver.
template <class Handle>
class CudaOwned {
  public:
    CudaOwned() = default;
    CudaOwned(std::shared_ptr<const CudaDevice> device, Handle handle, CUresult (*release)(Handle))
        : device_(std::move(device)), handle_(handle), release_(release) {}
    CudaOwned(CudaOwned&& other) noexcept { swap(other); }
    CudaOwned& operator=(CudaOwned&& other) noexcept {
        CudaOwned old(std::move(other));
        swap(old);
        return *this;
    }
    ~CudaOwned() {
        if (release_ == nullptr) return;
        try {
            const InContext here(*device_);
            release_(handle_);  // where it fails, the context is lost and all in it
        } catch (...) {
        }
    }

    Handle get() const noexcept { return handle_; }
    explicit operator bool() const noexcept { return release_ != nullptr; }

  private:
    void swap(CudaOwned& other) noexcept {
        std::swap(device_, other.device_);
        std::swap(handle_, other.handle_);
        std::swap(release_, other.release_);
    }

    std::shared_ptr<const CudaDevice> device_;
    Handle handle_{};
    CUresult (*release_)(Handle) = nullptr;
};

using DeviceMemory = CudaOwned<CUdeviceptr>;
using PinnedMemory = CudaOwned<void*>;
using CudaStream = CudaOwned<CUstream>;
using CudaGraph = CudaOwned<CUgraphExec>;
using CudaModule = CudaOwned<CUmodule>;

using Device = std::shared_ptr<const CudaDevice>;

// All of these must be called in the GPU's context. They throw Error (RTSEG_STATUS_NO_MEMORY) if memory is exhausted.
DeviceMemory device_memory(const Device& device, size_t bytes, const char* purpose);
PinnedMemory pinned_memory(const Device& device, size_t bytes, const char* purpose);
CudaStream new_stream(const Device& device);
CudaModule load_module(const Device& device, const void* image);

// Capture what work() puts into the stream, without running it; return the graph, uploaded to the device.
CudaGraph captured(const Device& device, CUstream stream, const std::function<void()>& work);

}  // namespace rtseg_internal

#endif
