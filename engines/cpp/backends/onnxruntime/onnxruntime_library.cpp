#include "onnxruntime_library.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <cstdio>
#include <vector>

#include "errors.h"

#ifndef RTSEG_ONNXRUNTIME_LIBRARY  // where the library lay when rtseg was configured
#define RTSEG_ONNXRUNTIME_LIBRARY ""
#endif

namespace rtseg_internal {
namespace {

constexpr const char* kVariable = "RTSEG_ONNXRUNTIME";
constexpr const char* kHowToGet =
    "run pip install onnxruntime, and set RTSEG_ONNXRUNTIME to the path of its libonnxruntime.so.1.*";

// The library names of Microsoft and of Debian, and the development link. A library older than the headers is not used.
std::vector<std::string> candidates() {
    if (const char* named = std::getenv(kVariable); named != nullptr && *named != '\0') return {named};
    std::vector<std::string> names{"libonnxruntime.so.1", "libonnxruntime.so.1." + std::to_string(ORT_API_VERSION),
                                   "libonnxruntime.so"};
    if (*RTSEG_ONNXRUNTIME_LIBRARY != '\0') names.insert(names.begin(), RTSEG_ONNXRUNTIME_LIBRARY);
    return names;
}

// Return the first candidate that can be loaded.
void* load_library(std::string& name) {
    // Without this variable, ONNX Runtime 1.31 gives the machine an id, writes files into the user's folders and
    // contacts Microsoft. It reads the variable while it is loaded. A setting of the user is kept.
    setenv("ORT_DISABLE_TELEMETRY", "1", 0);
    std::string reasons;
    for (const std::string& candidate : candidates()) {
        if (void* const library = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL)) {
            name = candidate;
            return library;
        }
        reasons += (reasons.empty() ? "" : ", ") + std::string(dlerror());
    }
    throw Error(RTSEG_STATUS_MISSING, "ONNX Runtime cannot be loaded", reasons, "", kHowToGet);
}

// Return the API that the headers know. Version 1.N of the library has the APIs up to N.
const OrtApi* api_of(void* library, const std::string& name) {
    const auto base_of = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"));
    const OrtApiBase* const base = base_of == nullptr ? nullptr : base_of();
    if (base == nullptr)
        throw Error(RTSEG_STATUS_MISSING, name + " is not an ONNX Runtime library", "one without OrtGetApiBase", "",
                    kHowToGet);
    const std::string version = base->GetVersionString();
    int major = 0, minor = 0;
    const bool is_newer = std::sscanf(version.c_str(), "%d.%d", &major, &minor) == 2 &&
                          (major > 1 || (major == 1 && minor >= ORT_API_VERSION));  // GetApi prints where it is not
    const OrtApi* const api = is_newer ? base->GetApi(ORT_API_VERSION) : nullptr;
    if (api == nullptr)
        throw Error(RTSEG_STATUS_MISSING, name + " is older than the headers that this backend was built with", version,
                    "1." + std::to_string(ORT_API_VERSION) + " or newer", kHowToGet);
    return api;
}

}  // namespace

OnnxRuntimeLibrary::OnnxRuntimeLibrary() {
    std::string name;
    void* const library = load_library(name);
    try {
        api_ = api_of(library, name);
    } catch (const Error&) {
        dlclose(library);
        throw;
    }
    // Our errors contain what it would log.
    require(api_->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "rtseg", &environment_), "ONNX Runtime cannot start");
    require(api_->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory_), "ONNX Runtime cannot start");
    require(api_->GetAllocatorWithDefaultOptions(&allocator_), "ONNX Runtime cannot start");
}

const OnnxRuntimeLibrary& OnnxRuntimeLibrary::get() {
    static const OnnxRuntimeLibrary library;
    return library;
}

void OnnxRuntimeLibrary::require(OrtStatus* status, const char* what) const {
    if (status == nullptr) return;
    const Owned<OrtStatus> owned(status, api_->ReleaseStatus);
    const std::string message = api_->GetErrorMessage(status);
    const std::string line = message.substr(0, message.find('\n'));
    throw Error(RTSEG_STATUS_BACKEND, std::string(what) + ": " + line.substr(0, 300));
}

}  // namespace rtseg_internal
