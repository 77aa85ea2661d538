// A driver, libcuda.so.1, whose GPU is the host: its memory is the host's, and its kernels are those of
// rtseg/native/frame_ends.cu, run by tests/native/gpu_on_cpu.h. Of the driver's functions it has those that the backend
// calls, and it is strict: about the context, about memory that is freed or too small, about copies that are not between
// page-locked memory and the device, and about what a capture may meet. What its user wants to go wrong stands in
// variables of the environment, CUDA_DOUBLE_... One thread at a time.

#include <cuda.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

extern "C" const char* launch(const char* name, unsigned blocks, unsigned block_x, unsigned block_y, unsigned seed,
                              void** parameters);

namespace {

using Work = std::function<CUresult()>;

struct Stream {
    bool captures = false;
    std::vector<Work> captured;
};

using Graph = std::vector<Work>;

struct Block {
    size_t bytes;
    bool is_device;
};

std::map<uintptr_t, Block> blocks;
int contexts = 0, streams = 0, graphs = 0, ready_graphs = 0, modules = 0, launched_graphs = 0;
thread_local int depth = 0;
int retained = 0;
const char kContext[] = "context";
const std::vector<std::string>* kernel_names() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> all;
        for (const char* work : {"front_resize", "front_normalize", "letterbox", "tail_cells", "tail_pixels",
                                 "tail_argmax", "mask"})
            for (const char* suffix : {"_f32", "_f16"}) all.push_back(std::string("rtseg_") + work + suffix);
        return all;
    }();
    return &names;
}

CUresult from_environment(const char* name) {
    const char* code = getenv(name);
    return static_cast<CUresult>(code == nullptr ? 0 : atoi(code));
}

bool is_inside(const void* address, size_t bytes, bool is_device) {
    const auto from = reinterpret_cast<uintptr_t>(address);
    auto after = blocks.upper_bound(from);
    if (after == blocks.begin()) return false;
    const auto& [begin, block] = *--after;
    return block.is_device == is_device && from + bytes <= begin + block.bytes;
}

CUresult allocate(void** memory, size_t bytes, bool is_device) {
    if (depth < 1) return CUDA_ERROR_INVALID_CONTEXT;
    const char* most = getenv("CUDA_DOUBLE_MEMORY");
    if (is_device && most != nullptr && bytes > static_cast<size_t>(atoll(most))) return CUDA_ERROR_OUT_OF_MEMORY;
    *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    memset(*memory, 0xa5, (bytes + 255) / 256 * 256);
    blocks[reinterpret_cast<uintptr_t>(*memory)] = {bytes, is_device};
    return CUDA_SUCCESS;
}

CUresult release(void* memory, bool is_device) {
    if (depth < 1) return CUDA_ERROR_INVALID_CONTEXT;
    const auto found = blocks.find(reinterpret_cast<uintptr_t>(memory));
    if (found == blocks.end() || found->second.is_device != is_device) return CUDA_ERROR_INVALID_VALUE;
    blocks.erase(found);
    free(memory);
    return CUDA_SUCCESS;
}

CUresult enqueue(CUstream handle, Work work) {
    if (depth < 1) return CUDA_ERROR_INVALID_CONTEXT;
    Stream* stream = reinterpret_cast<Stream*>(handle);
    if (!stream->captures) return work();
    stream->captured.push_back(std::move(work));
    return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuInit(unsigned) { return from_environment("CUDA_DOUBLE_INIT"); }
CUresult cuDriverGetVersion(int* version) {
    const char* told = getenv("CUDA_DOUBLE_VERSION");
    *version = told == nullptr ? 13000 : atoi(told);
    return CUDA_SUCCESS;
}
CUresult cuGetErrorName(CUresult code, const char** name) {
    *name = code == CUDA_ERROR_NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_OF_THE_DOUBLE";
    return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int* count) { return *count = 1, CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice* device, int) { return *device = 0, CUDA_SUCCESS; }
CUresult cuDeviceGetName(char* name, int size, CUdevice) {
    return snprintf(name, static_cast<size_t>(size), "A GPU on the CPU"), CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
    *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 8 : 9;
    return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
    ++retained;
    return *context = reinterpret_cast<CUcontext>(const_cast<char*>(kContext)), CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease(CUdevice) { return --retained, CUDA_SUCCESS; }
CUresult cuCtxPushCurrent(CUcontext context) {
    if (reinterpret_cast<const char*>(context) != kContext || retained < 1) return CUDA_ERROR_INVALID_CONTEXT;
    return ++depth, CUDA_SUCCESS;
}
CUresult cuCtxPopCurrent(CUcontext*) { return --depth, CUDA_SUCCESS; }
CUresult cuMemGetInfo(size_t* available, size_t* total) { return *available = *total = 1 << 20, CUDA_SUCCESS; }
CUresult cuMemAlloc(CUdeviceptr* memory, size_t bytes) { return allocate(reinterpret_cast<void**>(memory), bytes, true); }
CUresult cuMemFree(CUdeviceptr memory) { return release(reinterpret_cast<void*>(memory), true); }
CUresult cuMemHostAlloc(void** memory, size_t bytes, unsigned) { return allocate(memory, bytes, false); }
CUresult cuMemFreeHost(void* memory) { return release(memory, false); }
CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
    return enqueue(stream, [=] {
        void* target = reinterpret_cast<void*>(to);
        if (!is_inside(target, bytes, true) || !is_inside(from, bytes, false)) return CUDA_ERROR_INVALID_VALUE;
        return memcpy(target, from, bytes), CUDA_SUCCESS;
    });
}
CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
    return enqueue(stream, [=] {
        const void* source = reinterpret_cast<const void*>(from);
        if (!is_inside(to, bytes, false) || !is_inside(source, bytes, true)) return CUDA_ERROR_INVALID_VALUE;
        return memcpy(to, source, bytes), CUDA_SUCCESS;
    });
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
    return enqueue(stream, [=] {
        if (!is_inside(reinterpret_cast<void*>(to), bytes, true)) return CUDA_ERROR_INVALID_VALUE;
        return memset(reinterpret_cast<void*>(to), value, bytes), CUDA_SUCCESS;
    });
}
// The engine's part; TensorRT's double calls it.
CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data) {
    return enqueue(stream, [=] { return function(data), CUDA_SUCCESS; });
}
CUresult cuStreamCreate(CUstream* stream, unsigned) {
    ++streams;
    return *stream = reinterpret_cast<CUstream>(new Stream), CUDA_SUCCESS;
}
CUresult cuStreamDestroy(CUstream stream) {
    --streams;
    return delete reinterpret_cast<Stream*>(stream), CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream stream) {
    return reinterpret_cast<Stream*>(stream)->captures ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}
CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode) {
    return reinterpret_cast<Stream*>(stream)->captures = true, CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream handle, CUgraph* graph) {
    Stream* stream = reinterpret_cast<Stream*>(handle);
    stream->captures = false;
    if (getenv("CUDA_DOUBLE_CAPTURES_NOTHING") != nullptr) {
        stream->captured.clear();
        return *graph = nullptr, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    }
    ++graphs;
    *graph = reinterpret_cast<CUgraph>(new Graph(std::move(stream->captured)));
    return stream->captured.clear(), CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec* ready, CUgraph graph, unsigned long long) {
    ++ready_graphs;
    return *ready = reinterpret_cast<CUgraphExec>(new Graph(*reinterpret_cast<Graph*>(graph))), CUDA_SUCCESS;
}
CUresult cuGraphUpload(CUgraphExec, CUstream) { return CUDA_SUCCESS; }
CUresult cuGraphLaunch(CUgraphExec graph, CUstream) {
    ++launched_graphs;
    for (const Work& work : *reinterpret_cast<Graph*>(graph))
        if (const CUresult result = work(); result != CUDA_SUCCESS) return result;
    return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) { return --graphs, delete reinterpret_cast<Graph*>(graph), CUDA_SUCCESS; }
CUresult cuGraphExecDestroy(CUgraphExec graph) {
    return --ready_graphs, delete reinterpret_cast<Graph*>(graph), CUDA_SUCCESS;
}
// The machine code itself cannot run here: that it is a fat binary is all that can be asked.
CUresult cuModuleLoadData(CUmodule* module, const void* image) {
    if (*static_cast<const unsigned*>(image) != 0xba55ed50u) return CUDA_ERROR_INVALID_IMAGE;
    ++modules;
    return *module = reinterpret_cast<CUmodule>(&modules), CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule) { return --modules, CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
    for (const std::string& known : *kernel_names())
        if (known == name)
            return *function = reinterpret_cast<CUfunction>(const_cast<std::string*>(&known)), CUDA_SUCCESS;
    return CUDA_ERROR_NOT_FOUND;
}
CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned, CUstream stream, void** parameters, void**) {
    if (grid_y != 1 || grid_z != 1 || block_z != 1) return CUDA_ERROR_INVALID_VALUE;
    std::vector<uint64_t> values;  // copied now, as a driver does
    for (; *parameters != nullptr; ++parameters) values.push_back(*static_cast<const uint64_t*>(*parameters));
    return enqueue(stream, [=]() mutable {
        std::vector<void*> addresses;
        for (uint64_t& value : values) addresses.push_back(&value);
        const char* name = reinterpret_cast<const std::string*>(function)->c_str();
        const char* failure = launch(name, grid_x, block_x, block_y, 1, addresses.data());
        if (failure == nullptr) return CUDA_SUCCESS;
        fprintf(stderr, "%s: %s\n", name, failure);
        return CUDA_ERROR_LAUNCH_FAILED;
    });
}

// What is taken and not given back, and how many graphs were launched.
void cuda_double_counts(char* text, size_t size) {
    snprintf(text, size, "%d %d", static_cast<int>(blocks.size()) + streams + graphs + ready_graphs + modules + retained,
             launched_graphs);
}

}  // extern "C"
