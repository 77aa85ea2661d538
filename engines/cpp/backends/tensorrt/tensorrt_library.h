// Loads TensorRT's library when the first file is opened.
#ifndef RTSEG_TENSORRT_TENSORRT_LIBRARY_H
#define RTSEG_TENSORRT_TENSORRT_LIBRARY_H

#include <memory>
#include <string>

#include "messages.h"
#include "tensorrt_versions.h"

namespace rtseg_internal {

class TensorRtLibrary {
  public:
    // Throws Error (RTSEG_STATUS_MISSING) if it is not installed, or does not fit the headers.
    static const TensorRtLibrary& get();

    // Such as "8.5.3"; from 10 on with the build number: "10.3.0.26".
    const std::string& release() const noexcept { return release_; }

    // Return a runtime. Must be called in the GPU's context. Throws Error.
    std::unique_ptr<nvinfer1::IRuntime> new_runtime(const MessageRecord& record) const;

  private:
    TensorRtLibrary();

    std::string release_;
    decltype(&::createInferRuntime_INTERNAL) create_runtime_ = nullptr;
};

}  // namespace rtseg_internal

#endif
