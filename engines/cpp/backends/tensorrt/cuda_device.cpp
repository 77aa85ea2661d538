#include "cuda_device.h"

#include <algorithm>
#include <cstdio>

#include "cuda_functions.h"
#include "errors.h"

namespace rtseg_internal {

namespace {

std::string mib(size_t bytes) {
    char text[32];
    snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
    return text;
}

}  // namespace

CudaDevice::CudaDevice() {
    const CudaFunctions& driver = cuda();
    int count = 0;
    require_cuda(driver.cuDeviceGetCount(&count), "count the GPUs");
    if (count < 1) require_cuda(CUDA_ERROR_NO_DEVICE, "find a GPU");
    require_cuda(driver.cuDeviceGet(&device_, 0), "open the GPU");
    char name[256] = "";
    require_cuda(driver.cuDeviceGetName(name, sizeof name - 1, device_), "tell the GPU's name");
    gpu_.name = name;
    require_cuda(driver.cuDeviceGetAttribute(&gpu_.major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device_),
                 "tell the GPU's compute capability");
    require_cuda(driver.cuDeviceGetAttribute(&gpu_.minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device_),
                 "tell the GPU's compute capability");
    require_cuda(driver.cuDevicePrimaryCtxRetain(&context_, device_), "take the GPU's context");
}

CudaDevice::~CudaDevice() { cuda().cuDevicePrimaryCtxRelease(device_); }

InContext::InContext(const CudaDevice& device) {
    require_cuda(cuda().cuCtxPushCurrent(device.context()), "enter the GPU's context");
}

InContext::~InContext() {
    CUcontext left = nullptr;
    cuda().cuCtxPopCurrent(&left);
}

DeviceMemory device_memory(const Device& device, size_t bytes, const char* purpose) {
    CUdeviceptr memory = 0;
    const CUresult result = cuda().cuMemAlloc(&memory, std::max<size_t>(bytes, 1));
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
        size_t available = 0, total = 0;
        require_cuda(cuda().cuMemGetInfo(&available, &total), "tell the free memory");
        throw Error(RTSEG_STATUS_NO_MEMORY, std::string("not enough GPU memory for ") + purpose,
                    mib(available) + " free", mib(bytes),
                    "use fewer sessions or a smaller resolution, or end other programs on the GPU (nvidia-smi lists them)");
    }
    require_cuda(result, "allocate memory on the GPU");
    return {device, memory, cuda().cuMemFree};
}

PinnedMemory pinned_memory(const Device& device, size_t bytes, const char* purpose) {
    void* memory = nullptr;
    const CUresult result = cuda().cuMemHostAlloc(&memory, std::max<size_t>(bytes, 1), 0);
    if (result == CUDA_ERROR_OUT_OF_MEMORY)
        throw Error(RTSEG_STATUS_NO_MEMORY, std::string("not enough page-locked memory for ") + purpose, "",
                    mib(bytes), "use fewer sessions, or smaller images");
    require_cuda(result, "allocate page-locked memory");
    return {device, memory, cuda().cuMemFreeHost};
}

CudaStream new_stream(const Device& device) {
    CUstream stream = nullptr;
    require_cuda(cuda().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "create a stream");
    return {device, stream, cuda().cuStreamDestroy};
}

CudaModule load_module(const Device& device, const void* image) {
    CUmodule module = nullptr;
    require_cuda(cuda().cuModuleLoadData(&module, image), "load the kernels of the two ends");
    return {device, module, cuda().cuModuleUnload};
}

CudaGraph captured(const Device& device, CUstream stream, const std::function<void()>& work) {
    const CudaFunctions& driver = cuda();
    require_cuda(driver.cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "begin to capture a graph");
    CUgraph recorded = nullptr;
    try {
        work();
    } catch (...) {  // what it threw is what is to be seen
        if (driver.cuStreamEndCapture(stream, &recorded) == CUDA_SUCCESS && recorded != nullptr)
            driver.cuGraphDestroy(recorded);
        throw;
    }
    require_cuda(driver.cuStreamEndCapture(stream, &recorded), "capture a graph");
    CUgraphExec ready = nullptr;
    const CUresult result = driver.cuGraphInstantiateWithFlags(&ready, recorded, 0);
    driver.cuGraphDestroy(recorded);
    require_cuda(result, "make a captured graph ready");
    CudaGraph graph(device, ready, driver.cuGraphExecDestroy);
    require_cuda(driver.cuGraphUpload(ready, stream), "put a graph on the GPU");
    return graph;
}

}  // namespace rtseg_internal
