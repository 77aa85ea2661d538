// The functions of NVIDIA's driver that the backend calls. They are looked up in libcuda.so.1 when the first file is
// opened, so that a module loads on a machine without a driver and says that there is none.
#ifndef RTSEG_TENSORRT_CUDA_FUNCTIONS_H
#define RTSEG_TENSORRT_CUDA_FUNCTIONS_H

#include <cuda.h>

namespace rtseg_internal {

// cuda.h makes macros of some names, such as cuMemAlloc_v2 of cuMemAlloc: what is declared, called and looked up is what
// the macro says.
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

// Return them, the driver being initialised. Throws Error: RTSEG_STATUS_MISSING where there is no driver, or an old one.
const CudaFunctions& cuda();

// Throw Error unless the call succeeded: "CUDA cannot DOING", with CUDA's name of the error and what to try.
void require_cuda(CUresult result, const char* doing);

}  // namespace rtseg_internal

#endif
