// An engine's input and output, compared with what its manifest says.
#ifndef RTSEG_TENSORRT_ENGINE_TENSORS_H
#define RTSEG_TENSORRT_ENGINE_TENSORS_H

#include <utility>

#include "host_tensors.h"
#include "manifest.h"
#include "tensorrt_versions.h"

namespace rtseg_internal {

// Return the one input and the one output. Throws Error, RTSEG_STATUS_UNSUPPORTED, for another number of them, for types
// and formats that nothing here takes, and RTSEG_STATUS_MANIFEST for shapes and types other than the manifest's.
std::pair<StoredTensor, StoredTensor> engine_tensors(const nvinfer1::ICudaEngine& engine, const Manifest& manifest);

// Throw Error for a linear tensor whose rows have gaps, which no version documents and DLA could ask for.
void require_packed(const nvinfer1::IExecutionContext& context, const StoredTensor& tensor);

}  // namespace rtseg_internal

#endif
