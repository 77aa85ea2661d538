// The functions of NVIDIA's driver that the backend calls. They are looked up in libcuda.so.1 when the first file is
// opened, so that the module loads on a machine without a driver and can report that it is missing.
#ifndef RTSEG_TENSORRT_CUDA_FUNCTIONS_H
#define RTSEG_TENSORRT_CUDA_FUNCTIONS_H

#include <cuda.h>

namespace rtseg_internal {

// cuda.h defines some names as macros, such as cuMemAlloc for cuMemAlloc_v2. The code declares, calls and looks up the
// expanded name.
#define RTSEG_CUDA_FUNCTIONS(X)                                                                                   \
    X(cuInit) X(cuDriverGetVersion) X(cuGetErrorName) X(cuDeviceGetCount) X(cuDeviceGet) X(cuDeviceGetName)       \
    X(cuDeviceGetAttribute) X(cuDevicePrimaryCtxRetain) X(cuDevicePrimaryCtxRelease) X(cuCtxPushCurrent)          \
    X(cuCtxPopCurrent) X(cuMemGetInfo) X(cuMemAlloc) X(cuMemFree) X(cuMemHostAlloc) X(cuMemFreeHost)              \
    X(cuMemcpyHtoDAsync) X(cuMemcpyDtoHAsync) X(cuMemsetD8Async) X(cuStreamCreate) X(cuStreamDestroy)             \
    X(cuStreamSynchronize) X(cuStreamBeginCapture) X(cuStreamEndCapture) X(cuGraphInstantiateWithFlags)           \
    X(cuGraphUpload) X(cuGraphLaunch) X(cuGraphDestroy) X(cuGraphExecDestroy) X(cuModuleLoadData)                 \
    X(cuModuleUnload) X(cuModuleGetFunction) X(cuLaunchKernel)

struct CudaFunctions {
#define RTSEG_DECLARE(name) decltype(&::name) name = nullptr;
    RTSEG_CUDA_FUNCTIONS(RTSEG_DECLARE)
#undef RTSEG_DECLARE
};

// Initialise the driver and return its functions. Throws Error (RTSEG_STATUS_MISSING) without a driver, or with one
// that is too old.
const CudaFunctions& cuda();

// Throw Error unless the call succeeded: "CUDA cannot DOING", with CUDA's name of the error and a hint.
void require_cuda(CUresult result, const char* doing);

}  // namespace rtseg_internal

#endif
