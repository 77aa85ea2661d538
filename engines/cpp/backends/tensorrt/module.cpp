// The backends "tensorrt" and "tensorrt-rtx": they run engines on an NVIDIA GPU. Both modules have the same sources.

#include <memory>
#include <string>

#include "backend.h"
#include "engine.h"
#include "session.h"
#include "tensorrt_library.h"

namespace rtseg_internal {

namespace {

class TensorRtModel final : public BackendModel {
  public:
    explicit TensorRtModel(const ModelSource& source)
        : engine_(std::make_shared<Engine>(source.manifest, source.content)),
          input_(engine_->input().spec()),
          output_(engine_->output().spec()) {
        const Gpu& gpu = engine_->device()->gpu();
        device_ = "GPU (" + gpu.name + ", sm" + std::to_string(gpu.major) + std::to_string(gpu.minor) + ", " +
                  kProduct.words + " " + TensorRtLibrary::get().release() + ")";
    }

    const TensorSpec& input() const override { return input_; }
    const TensorSpec& output() const override { return output_; }
    const std::string& device() const override { return device_; }
    std::unique_ptr<BackendSession> open_session() const override { return std::make_unique<TensorRtSession>(engine_); }

  private:
    std::shared_ptr<const Engine> engine_;
    TensorSpec input_, output_;
    std::string device_;
};

class TensorRtBackend final : public Backend {
  public:
    std::shared_ptr<BackendModel> open(const ModelSource& source) const override {
        if (source.manifest.kind != "engine")
            throw Error(RTSEG_STATUS_UNSUPPORTED, source.path + " is not an engine for " + kProduct.words,
                        "a file of the kind " + source.manifest.kind, "an engine", "run rtseg build");
        return std::make_shared<TensorRtModel>(source);
    }
};

}  // namespace

}  // namespace rtseg_internal

extern "C" RTSEG_EXPORT const rtseg_internal::Backend* rtseg_backend(int interface_version);

const rtseg_internal::Backend* rtseg_backend(int interface_version) {
    static const rtseg_internal::TensorRtBackend* backend = new rtseg_internal::TensorRtBackend;  // as long as the module
    return interface_version == rtseg_internal::kBackendInterface ? backend : nullptr;
}
