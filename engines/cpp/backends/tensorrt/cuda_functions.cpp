#include "cuda_functions.h"

#include <dlfcn.h>

#include <string>

#include "errors.h"

namespace rtseg_internal {

namespace {

constexpr int kOldestDriver = 11040;  // of CUDA 11.4: cuGraphInstantiateWithFlags came last

const char kNewer[] = "install a newer NVIDIA driver: nvidia-smi shows which one is installed";
const char kPoisoned[] = "start a new process: the context is lost; compute-sanitizer names the kernel that did it";

// Hints for common errors.
const char* hint_for(CUresult result) {
    switch (static_cast<int>(result)) {
        case CUDA_ERROR_OUT_OF_MEMORY:
            return "use a smaller resolution or fewer sessions, or end other programs on the GPU (nvidia-smi lists them)";
        case CUDA_ERROR_STUB_LIBRARY:
            return "take the CUDA toolkit's stubs folder out of LD_LIBRARY_PATH";
        case CUDA_ERROR_DEVICE_UNAVAILABLE:
            return "run nvidia-smi, which shows the compute mode and the programs on the GPU";
        case CUDA_ERROR_NO_DEVICE:
            return "use a machine with an NVIDIA GPU; start a container with --gpus all; unset CUDA_VISIBLE_DEVICES";
        case CUDA_ERROR_NO_BINARY_FOR_GPU:
            return "use a module that was built with this GPU's compute capability in RTSEG_CUDA_ARCHITECTURES";
        case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
        case CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE:
        case 35:  // the runtime's number for a driver that is too old
            return kNewer;
        case CUDA_ERROR_ILLEGAL_ADDRESS:
        case CUDA_ERROR_MISALIGNED_ADDRESS:
        case CUDA_ERROR_LAUNCH_FAILED:
            return kPoisoned;
        case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
            return "restart the machine, or load the kernel module of the installed driver";
        default:
            return "";
    }
}

rtseg_status status_for(CUresult result) {
    switch (static_cast<int>(result)) {
        case CUDA_ERROR_OUT_OF_MEMORY:
            return RTSEG_STATUS_NO_MEMORY;
        case CUDA_ERROR_STUB_LIBRARY:
        case CUDA_ERROR_NO_DEVICE:
            return RTSEG_STATUS_MISSING;
        default:
            return RTSEG_STATUS_BACKEND;
    }
}

void require(const CudaFunctions& functions, CUresult result, const char* doing) {
    if (result == CUDA_SUCCESS) return;
    const char* name = nullptr;
    if (functions.cuGetErrorName(result, &name) != CUDA_SUCCESS || name == nullptr) name = "an unknown error";
    throw Error(status_for(result), std::string("CUDA cannot ") + doing,
                std::string(name) + " (" + std::to_string(static_cast<int>(result)) + ")", "", hint_for(result));
}

// The library stays loaded until the process ends, because the driver's threads run until then.
CudaFunctions loaded() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
        throw Error(RTSEG_STATUS_MISSING, "CUDA cannot be used here", std::string("no NVIDIA driver: ") + dlerror(),
                    "libcuda.so.1, which the driver installs",
                    "install the NVIDIA driver; in a container start it with --gpus all");
    CudaFunctions functions;
    const auto find = [library](auto& function, const char* name) {
        void* found = dlsym(library, name);
        if (found == nullptr)
            throw Error(RTSEG_STATUS_MISSING, "CUDA cannot be used here", std::string("a driver without ") + name,
                        "one for CUDA 11.4 or newer", kNewer);
        function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(found);
    };
#define RTSEG_NAME(name) #name
#define RTSEG_FIND(name) find(functions.name, RTSEG_NAME(name));
    RTSEG_CUDA_FUNCTIONS(RTSEG_FIND)
#undef RTSEG_FIND
#undef RTSEG_NAME
    require(functions, functions.cuInit(0), "start");
    int version = 0;
    require(functions, functions.cuDriverGetVersion(&version), "tell the driver's version");
    if (version < kOldestDriver)
        throw Error(RTSEG_STATUS_MISSING, "CUDA cannot be used here",
                    "a driver for CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10),
                    "one for CUDA 11.4 or newer", kNewer);
    return functions;
}

}  // namespace

const CudaFunctions& cuda() {
    static const CudaFunctions functions = loaded();  // where it throws, the next call tries again
    return functions;
}

void require_cuda(CUresult result, const char* doing) {
    if (result != CUDA_SUCCESS) require(cuda(), result, doing);
}

}  // namespace rtseg_internal
