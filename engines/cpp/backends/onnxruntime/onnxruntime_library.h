// ONNX Runtime's library, looked for when the first file is opened: a program starts without it, and is told what is
// missing.
#ifndef RTSEG_BACKENDS_ONNXRUNTIME_LIBRARY_H
#define RTSEG_BACKENDS_ONNXRUNTIME_LIBRARY_H

#include <onnxruntime_c_api.h>

#include <memory>
#include <string>

namespace rtseg_internal {

class OnnxRuntimeLibrary {
  public:
    // Return the one of this process. It and its environment stay to the end of the process: its threads do not end
    // before. Loaded by the first call, from the path that $RTSEG_ONNXRUNTIME names, else the one that was found when
    // rtseg was configured, else wherever the loader finds it. Throws Error, RTSEG_STATUS_MISSING, that says what was
    // tried; the next call then tries again.
    static const OnnxRuntimeLibrary& get();

    const OrtApi& api() const { return *api_; }
    const OrtEnv* environment() const { return environment_; }
    // Of CPU memory, for tensors on buffers of ours.
    const OrtMemoryInfo* memory() const { return memory_; }
    OrtAllocator* allocator() const { return allocator_; }

    // Throw Error, RTSEG_STATUS_BACKEND, for a status that is a failure, and release it. what: what failed.
    void require(OrtStatus* status, const char* what) const;

  private:
    OnnxRuntimeLibrary();

    const OrtApi* api_ = nullptr;
    OrtEnv* environment_ = nullptr;
    OrtMemoryInfo* memory_ = nullptr;
    OrtAllocator* allocator_ = nullptr;
};

// An object of ONNX Runtime that one of its Release functions ends.
template <class Object>
using Owned = std::unique_ptr<Object, void (*)(Object*)>;

}  // namespace rtseg_internal

#endif
