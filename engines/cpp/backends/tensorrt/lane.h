// What one thread needs to run an engine: an execution context, its stream, and the engine's input and output on the
// GPU. Lanes share the engine and its weights.
#ifndef RTSEG_TENSORRT_LANE_H
#define RTSEG_TENSORRT_LANE_H

#include <functional>
#include <memory>
#include <string>

#include "cuda_device.h"
#include "end_launches.h"
#include "engine.h"

namespace rtseg_internal {

class Lane {
  public:
    // Like everything here, must be called in the GPU's context. Throws Error, also if memory is exhausted.
    explicit Lane(std::shared_ptr<const Engine> engine);
    ~Lane();
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    const Engine& engine() const noexcept { return *engine_; }
    CUdeviceptr input() const noexcept { return input_.get(); }
    CUdeviceptr output() const noexcept { return output_.get(); }
    CUstream stream() const noexcept { return stream_.get(); }

    // Each enqueues work in the stream and returns at once. Throws Error.
    void upload(CUdeviceptr to, const void* from, size_t bytes) const;
    void download(void* to, CUdeviceptr from, size_t bytes) const;
    void launch(CUfunction kernel, Launch& launch) const;
    void execute() const;

    // Wait until all work in the stream is done. Throws Error.
    void finish() const;

    // Why a run of the engine cannot be captured; empty if that is only known after trying.
    std::string why_not_captured() const { return rtseg_internal::why_not_captured(*context_, stream_.get()); }

  private:
    std::shared_ptr<const Engine> engine_;
    CudaStream stream_;
    DeviceMemory input_, output_, scratch_;
    std::unique_ptr<nvinfer1::IExecutionContext> context_;
};

// Repeats the same work in one lane, captured once as a CUDA graph. If TensorRT cannot be captured, as with loops in a
// graph, each run makes the calls again. Must be destroyed before its lane.
class Step {
  public:
    // Run the work once, which TensorRT and CUDA's lazily loaded kernels require, and then capture it. Throws Error.
    Step(const Lane& lane, std::function<void()> work);

    // Run the work once, and wait until it is done. Throws Error.
    void run() const;

    bool is_graph() const noexcept { return static_cast<bool>(graph_); }

  private:
    const Lane& lane_;
    std::function<void()> work_;
    CudaGraph graph_;
};

}  // namespace rtseg_internal

#endif
