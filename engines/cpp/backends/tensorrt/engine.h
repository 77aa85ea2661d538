// An engine that TensorRT has read, shared by the sessions that run it.
#ifndef RTSEG_TENSORRT_ENGINE_H
#define RTSEG_TENSORRT_ENGINE_H

#include <memory>
#include <string>
#include <vector>

#include "cuda_device.h"
#include "host_tensors.h"
#include "manifest.h"
#include "messages.h"
#include "tensorrt_versions.h"

namespace rtseg_internal {

class Engine {
  public:
    // Reads the engine from bytes whose digest was compared with the manifest. Throws Error if TensorRT or a driver is
    // missing, if the engine is for another release or GPU, or if TensorRT refuses it.
    Engine(const Manifest& manifest, const std::vector<char>& content);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    const Manifest& manifest() const noexcept { return manifest_; }
    const Device& device() const noexcept { return device_; }
    const StoredTensor& input() const noexcept { return input_; }
    const StoredTensor& output() const noexcept { return output_; }
    MessageRecord& record() const noexcept { return record_; }
    // Whether the graph itself takes pixels and returns labels, so that it needs none of our kernels.
    bool gives_labels() const noexcept { return manifest_.output.interface == Interface::kLabels; }

    // Return an execution context. Must be called in the GPU's context; allocate is that of ContextSettings. Throws
    // Error.
    template <class Allocate>
    std::unique_ptr<nvinfer1::IExecutionContext> new_context(Allocate allocate) const {
        auto context = settings_->new_context(allocate);
        if (context == nullptr) throw no_context();
        return context;
    }

    // Return a kernel for preprocessing or postprocessing. Throws Error.
    CUfunction kernel(const std::string& name) const;

  private:
    void read(const std::vector<char>& content);
    Error no_context() const;

    const Manifest manifest_;
    mutable MessageRecord record_;
    Device device_;
    std::unique_ptr<nvinfer1::IRuntime> runtime_;
    std::unique_ptr<nvinfer1::ICudaEngine> engine_;
    std::unique_ptr<ContextSettings> settings_;
    CudaModule kernels_;
    StoredTensor input_, output_;
};

}  // namespace rtseg_internal

#endif
