#include "engine.h"

#include "cuda_functions.h"
#include "end_kernels.h"
#include "engine_tensors.h"
#include "errors.h"
#include "preflight.h"
#include "tensorrt_library.h"

namespace rtseg_internal {

// Checks that need no GPU come first, so that a machine without one also reports an engine of another release as such.
Engine::Engine(const Manifest& manifest, const std::vector<char>& content) : manifest_(manifest) {
    require_product(manifest_, kProduct);
    const TensorRtLibrary& library = TensorRtLibrary::get();
    require_release(manifest_, kProduct, library.release());
    if (kProduct.is_rtx) require_release_inside(content, library.release());
    device_ = std::make_shared<CudaDevice>();
    require_capability(manifest_, kProduct, device_->gpu());
    const InContext here(*device_);
    try {
        runtime_ = library.new_runtime(record_);
        read(content);
        if (!gives_labels()) kernels_ = load_module(device_, rtseg_end_kernels);
    } catch (...) {  // frees everything while the thread is in the GPU's context
        settings_.reset();
        engine_.reset();
        runtime_.reset();
        throw;
    }
    record_.clear();
}

Engine::~Engine() {
    try {
        const InContext here(*device_);
        settings_.reset();
        engine_.reset();
        runtime_.reset();
    } catch (...) {  // the context and everything in it are lost
    }
}

void Engine::read(const std::vector<char>& content) {
    const Validity validity = validity_of(*runtime_, content);
    if (!validity.is_valid) throw rtx_diagnosis(validity.diagnostics, record_.errors());
    engine_.reset(runtime_->deserializeCudaEngine(content.data(), content.size()));
    if (engine_ == nullptr)
        throw refusal(RTSEG_STATUS_BACKEND, std::string(kProduct.words) + " refuses the engine", record_.errors(),
                      kProduct.rebuild);
    std::tie(input_, output_) = engine_tensors(*engine_, manifest_);
    settings_ = std::make_unique<ContextSettings>(*engine_);
}

CUfunction Engine::kernel(const std::string& name) const {
    CUfunction function = nullptr;
    require_cuda(cuda().cuModuleGetFunction(&function, kernels_.get(), name.c_str()), "find a kernel of the two ends");
    return function;
}

Error Engine::no_context() const {
    size_t available = 0, total = 0;
    require_cuda(cuda().cuMemGetInfo(&available, &total), "tell the free memory");
    return refusal(RTSEG_STATUS_NO_MEMORY,
                   std::string(kProduct.words) + " cannot make an execution context, which takes " +
                       std::to_string(scratch_bytes(*engine_) >> 20) + " MiB where " +
                       std::to_string(available >> 20) + " MiB are free",
                   record_.errors(), "fewer sessions, or a GPU on which nothing else runs");
}

}  // namespace rtseg_internal
