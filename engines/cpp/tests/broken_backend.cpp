// A backend that fails in every way that none should, which the real ones cannot be made to do: the number of threads
// says how. broken_backends.cpp loads it.

#include <new>
#include <stdexcept>

#include "backend.h"

namespace rtseg_internal {
namespace {

[[noreturn]] void fail(int how) {
    if (how % 10 == 1) throw std::bad_alloc();
    if (how % 10 == 2) throw std::runtime_error("two\nlines of \xff");
    if (how % 10 == 3) throw 42;
    throw Error(RTSEG_STATUS_BACKEND, "an error of its own");
}

class BrokenSession : public BackendSession {
  public:
    BrokenSession(int how, size_t bytes) : how_(how), memory_(bytes) {}

    void* input() override { return memory_.data(); }
    const void* output() override { return memory_.data(); }
    void infer() override { fail(how_); }

  private:
    int how_;
    std::vector<char> memory_;
};

class BrokenModel : public BackendModel {
  public:
    explicit BrokenModel(const ModelSource& source) : how_(source.threads) {
        const int64_t height = source.manifest.image.height, width = source.manifest.image.width;
        const int64_t stride = source.manifest.output.stride;
        input_ = {"input", {1, 3, height, width}, ElementType::kFloat32};
        output_ = {"output", {1, source.manifest.output.channels(), height / stride, width / stride}, ElementType::kFloat32};
        if (how_ == 30) output_.shape = {1, 2, 3, 4, 5, 6, 7};
    }

    const TensorSpec& input() const override { return input_; }
    const TensorSpec& output() const override { return output_; }
    const std::string& device() const override { return input_.name; }
    std::unique_ptr<BackendSession> open_session() const override {
        if (how_ < 20) fail(how_);
        return std::make_unique<BrokenSession>(how_, size_t{1} << 22);
    }

  private:
    int how_;
    TensorSpec input_, output_;
};

class BrokenBackend : public Backend {
  public:
    std::shared_ptr<BackendModel> open(const ModelSource& source) const override {
        if (source.threads < 10) fail(source.threads);
        return std::make_shared<BrokenModel>(source);
    }
};

}  // namespace
}  // namespace rtseg_internal

extern "C" RTSEG_EXPORT const rtseg_internal::Backend* rtseg_backend(int interface_version) {
    static const rtseg_internal::BrokenBackend backend;
    return interface_version == rtseg_internal::kBackendInterface ? &backend : nullptr;
}
