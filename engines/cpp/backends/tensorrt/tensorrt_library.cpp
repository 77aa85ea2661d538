#include "tensorrt_library.h"

#include <dlfcn.h>

#include <algorithm>
#include <vector>

#include "errors.h"

namespace rtseg_internal {

namespace {

// One for the whole process, never freed: TensorRT uses the first logger it gets for everything, and may log while the
// process ends.
class Logger final : public nvinfer1::ILogger {
  public:
    void log(Severity severity, nvinfer1::AsciiChar const* message) noexcept override {
        hear(static_cast<int>(severity), message);
    }
};

Logger& logger() {
    static Logger* logger = new Logger;
    return *logger;
}

std::string dotted(const std::vector<int>& numbers) {
    std::string text;
    for (const int number : numbers) text += (text.empty() ? "" : ".") + std::to_string(number);
    return text;
}

template <class Function>
Function found(void* library, const char* name) {
    return reinterpret_cast<Function>(dlsym(library, name));
}

}  // namespace

// The library stays loaded until the process ends, because its threads run until then.
TensorRtLibrary::TensorRtLibrary() {
    const std::string product = kProduct.words;
    void* library = dlopen(kTensorRtLibrary, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
        throw Error(RTSEG_STATUS_MISSING, product + " cannot be loaded", dlerror(), kTensorRtLibrary,
                    std::string("install ") + product + ", and put its folder of libraries on LD_LIBRARY_PATH");
    create_runtime_ = found<decltype(create_runtime_)>(library, "createInferRuntime_INTERNAL");
    const auto version = found<int32_t (*)()>(library, "getInferLibVersion");
    if (create_runtime_ == nullptr || version == nullptr)
        throw Error(RTSEG_STATUS_MISSING, std::string(kTensorRtLibrary) + " is not a library of " + product,
                    "one without createInferRuntime_INTERNAL or getInferLibVersion", "",
                    std::string("install ") + product + " again");
    std::vector<int> numbers = release_numbers(version());
    if (!is_compatible(numbers))
        throw Error(RTSEG_STATUS_MISSING, std::string("this backend is built for another ") + product, dotted(numbers),
                    std::to_string(kHeaders[0]) + "." + std::to_string(kHeaders[1]) +
                        (kProduct.is_rtx ? "" : " or a later one of " + std::to_string(kHeaders[0])),
                    "build rtseg against the headers of the installed release");
    if (const auto build = found<int32_t (*)()>(library, "getInferLibBuildVersion")) numbers.push_back(build());
    release_ = dotted(numbers);
}

const TensorRtLibrary& TensorRtLibrary::get() {
    static const TensorRtLibrary library;  // if it throws, the next call tries again
    return library;
}

std::unique_ptr<nvinfer1::IRuntime> TensorRtLibrary::new_runtime(const MessageRecord& record) const {
    nvinfer1::ILogger& words = logger();
    std::unique_ptr<nvinfer1::IRuntime> runtime(
        static_cast<nvinfer1::IRuntime*>(create_runtime_(&words, header_version())));
    if (runtime == nullptr)
        throw refusal(RTSEG_STATUS_BACKEND, std::string(kProduct.words) + " cannot start its runtime", record.errors(),
                      kNoGpu);
    return runtime;
}

}  // namespace rtseg_internal
