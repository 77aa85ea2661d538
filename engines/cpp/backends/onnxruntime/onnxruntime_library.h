// Loads ONNX Runtime's library when the first file is opened: a program starts without it, and its error names what is
// missing.
#ifndef RTSEG_BACKENDS_ONNXRUNTIME_LIBRARY_H
#define RTSEG_BACKENDS_ONNXRUNTIME_LIBRARY_H

#include <onnxruntime_c_api.h>

#include <memory>
#include <string>

namespace rtseg_internal {

class OnnxRuntimeLibrary {
  public:
    // Return the library of this process. The library and its environment stay until the process ends, because its
    // threads do. The first call loads it: from the path in $RTSEG_ONNXRUNTIME, else from the path found when rtseg was
    // configured, else from wherever the loader finds it. Throws Error (RTSEG_STATUS_MISSING) with the paths that were
    // tried; the next call tries again.
    static const OnnxRuntimeLibrary& get();

    const OrtApi& api() const { return *api_; }
    const OrtEnv* environment() const { return environment_; }
    // CPU memory, for tensors on our own buffers.
    const OrtMemoryInfo* memory() const { return memory_; }
    OrtAllocator* allocator() const { return allocator_; }

    // Throw Error (RTSEG_STATUS_BACKEND) if the status is a failure, and release it. what names the call that failed.
    void require(OrtStatus* status, const char* what) const;

  private:
    OnnxRuntimeLibrary();

    const OrtApi* api_ = nullptr;
    OrtEnv* environment_ = nullptr;
    OrtMemoryInfo* memory_ = nullptr;
    OrtAllocator* allocator_ = nullptr;
};

// Owns an ONNX Runtime object, which one of its Release functions frees.
template <class Object>
using Owned = std::unique_ptr<Object, void (*)(Object*)>;

}  // namespace rtseg_internal

#endif
