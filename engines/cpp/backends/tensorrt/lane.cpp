#include "lane.h"

#include <array>
#include <utility>

#include "cuda_functions.h"
#include "engine_tensors.h"
#include "errors.h"

namespace rtseg_internal {

Lane::Lane(std::shared_ptr<const Engine> engine) : engine_(std::move(engine)) {
    const Device& device = engine_->device();
    const StoredTensor &source = engine_->input(), &result = engine_->output();
    stream_ = new_stream(device);
    input_ = device_memory(device, source.stored_bytes(), "the engine's input");
    output_ = device_memory(device, result.stored_bytes(), "the engine's output");
    context_ = engine_->new_context([&](size_t bytes) {
        scratch_ = device_memory(device, bytes, "the engine's scratch memory");
        return reinterpret_cast<void*>(scratch_.get());
    });
    const auto place = [this](const StoredTensor& tensor, CUdeviceptr memory) {
        if (!context_->setTensorAddress(tensor.name.c_str(), reinterpret_cast<void*>(memory)))
            throw refusal(RTSEG_STATUS_BACKEND,
                          std::string(kProduct.words) + " does not take the memory for " + tensor.name,
                          engine_->record().errors(), kProduct.rebuild);
    };
    place(source, input_.get());
    place(result, output_.get());
    require_packed(*context_, source);
    require_packed(*context_, result);
    // So that the first run reads numbers, not uninitialised memory.
    require_cuda(cuda().cuMemsetD8Async(input_.get(), 0, source.stored_bytes(), stream_.get()), "clear the input");
    finish();
}

Lane::~Lane() {
    if (stream_) cuda().cuStreamSynchronize(stream_.get());
    context_.reset();  // before all that it uses
}

void Lane::upload(CUdeviceptr to, const void* from, size_t bytes) const {
    require_cuda(cuda().cuMemcpyHtoDAsync(to, from, bytes, stream_.get()), "copy to the GPU");
}

void Lane::download(void* to, CUdeviceptr from, size_t bytes) const {
    require_cuda(cuda().cuMemcpyDtoHAsync(to, from, bytes, stream_.get()), "copy from the GPU");
}

void Lane::launch(CUfunction kernel, Launch& launch) const {
    std::array<void*, 24> parameters{};
    for (size_t i = 0; i < launch.arguments.size(); ++i) parameters.at(i) = launch.arguments[i].address();
    require_cuda(cuda().cuLaunchKernel(kernel, launch.blocks, 1, 1, kBlockWidth, kBlockHeight, 1, 0, stream_.get(),
                                       parameters.data(), nullptr),
                 "launch a kernel of the two ends");
}

void Lane::execute() const {
    if (context_->enqueueV3(stream_.get())) return;
    const Error error = refusal(RTSEG_STATUS_BACKEND, std::string(kProduct.words) + " could not run the engine",
                                engine_->record().errors(), kProduct.rebuild);
    engine_->record().clear();
    throw error;
}

void Lane::finish() const { require_cuda(cuda().cuStreamSynchronize(stream_.get()), "finish a stream's work"); }

Step::Step(const Lane& lane, std::function<void()> work) : lane_(lane), work_(std::move(work)) {
    work_();
    lane_.finish();
    if (!lane_.why_not_captured().empty()) return;
    try {
        graph_ = captured(lane_.engine().device(), lane_.stream(), work_);
    } catch (const Error&) {
        work_();  // which throws if more than that is wrong
        lane_.finish();
    }
}

void Step::run() const {
    if (graph_)
        require_cuda(cuda().cuGraphLaunch(graph_.get(), lane_.stream()), "launch a graph");
    else
        work_();
    lane_.finish();
}

}  // namespace rtseg_internal
