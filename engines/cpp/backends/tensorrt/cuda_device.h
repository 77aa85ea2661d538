// A GPU and what is taken of it. Everything here is freed in the GPU's context, whichever thread lets go of it.
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
    // Throws Error: RTSEG_STATUS_MISSING where there is no driver or no GPU.
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

// The calling thread is in the GPU's context as long as this lives.
class InContext {
  public:
    explicit InContext(const CudaDevice& device);
    ~InContext();
    InContext(const InContext&) = delete;
    InContext& operator=(const InContext&) = delete;
};

// A handle of the driver's, freed with this object.
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

// All of these are called in the GPU's context. They throw Error, RTSEG_STATUS_NO_MEMORY for want of memory.
DeviceMemory device_memory(const Device& device, size_t bytes, const char* purpose);
PinnedMemory pinned_memory(const Device& device, size_t bytes, const char* purpose);
CudaStream new_stream(const Device& device);
CudaModule load_module(const Device& device, const void* image);

// Return what work() puts into the stream as a graph that is on the device, without having run it.
CudaGraph captured(const Device& device, CUstream stream, const std::function<void()>& work);

}  // namespace rtseg_internal

#endif
