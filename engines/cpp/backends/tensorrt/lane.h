// Where an engine runs: an execution context, its stream, and the engine's input and output on the GPU. One thread at a
// time; the engine and its weights are shared between lanes.
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
    // The calling thread is in the GPU's context, as for everything here. Throws Error, for want of memory too.
    explicit Lane(std::shared_ptr<const Engine> engine);
    ~Lane();
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    const Engine& engine() const noexcept { return *engine_; }
    CUdeviceptr input() const noexcept { return input_.get(); }
    CUdeviceptr output() const noexcept { return output_.get(); }
    CUstream stream() const noexcept { return stream_.get(); }

    // Each puts something into the stream and returns at once. Throws Error.
    void upload(CUdeviceptr to, const void* from, size_t bytes) const;
    void download(void* to, CUdeviceptr from, size_t bytes) const;
    void launch(CUfunction kernel, Launch& launch) const;
    void execute() const;

    // Return when everything in the stream is done. Throws Error.
    void finish() const;

    // Why a run of the engine cannot be captured; empty where only a try tells.
    std::string why_not_captured() const { return rtseg_internal::why_not_captured(*context_, stream_.get()); }

  private:
    std::shared_ptr<const Engine> engine_;
    CudaStream stream_;
    DeviceMemory input_, output_, scratch_;
    std::unique_ptr<nvinfer1::IExecutionContext> context_;
};

// The same work again and again in one lane, captured once as a CUDA graph and launched as one thing. Where TensorRT does
// not let itself be captured, as with loops in a graph, each run makes the calls anew. It ends before its lane.
class Step {
  public:
    // Do the work once, as TensorRT and CUDA's lazily loaded kernels ask for, and then capture it. Throws Error.
    Step(const Lane& lane, std::function<void()> work);

    // Do the work once, and return when it is done. Throws Error.
    void run() const;

    bool is_graph() const noexcept { return static_cast<bool>(graph_); }

  private:
    const Lane& lane_;
    std::function<void()> work_;
    CudaGraph graph_;
};

}  // namespace rtseg_internal

#endif
