// Compares an engine's input and output with its manifest.
#ifndef RTSEG_TENSORRT_ENGINE_TENSORS_H
#define RTSEG_TENSORRT_ENGINE_TENSORS_H

#include <utility>

#include "host_tensors.h"
#include "manifest.h"
#include "tensorrt_versions.h"

namespace rtseg_internal {

// Return the one input and the one output. Throws Error: RTSEG_STATUS_UNSUPPORTED for another number of them, or for a
// type or format that this backend does not support; RTSEG_STATUS_MANIFEST for shapes and types other than the
// manifest's.
std::pair<StoredTensor, StoredTensor> engine_tensors(const nvinfer1::ICudaEngine& engine, const Manifest& manifest);

// Throw Error for a linear tensor whose rows have gaps. No version documents such gaps; DLA could require them.
void require_packed(const nvinfer1::IExecutionContext& context, const StoredTensor& tensor);

}  // namespace rtseg_internal

#endif
