// TensorRT's library, of which engines are lines of text: "double CLASSES HEIGHT WIDTH STRIDE TYPE MULTIPLE INPUTS", TYPE
// being f32 or f16 of input and output, MULTIPLE the padding of the output's classes, 0 for C order, INPUTS how many.
// Class c of a logit is input channel c % 3 at the logit's upper left pixel times (c + 1) / 4, minus c / 8, in float32, and
// then rounded to TYPE.
//
// tables.h is made by tensorrt_tables.py of the headers that this is compiled with.

#include <NvInferRuntime.h>
#include <NvInferVersion.h>
#include <cuda.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

[[noreturn]] static void unexpected(const char* function) {
    fprintf(stderr, "the double of TensorRT has no %s\n", function);
    abort();
}

#include "tables.h"

extern "C" {
uint16_t to_half(float value);
float to_float(uint16_t half);
}

namespace {

using namespace nvinfer1;

ILogger* logger = nullptr;

void tell(const char* line) { logger->log(ILogger::Severity::kERROR, line); }

struct Description {
    int classes = 0, height = 0, width = 0, stride = 1, multiple = 0, inputs = 1;
    bool is_half = false;

    int h() const { return height / stride; }
    int w() const { return width / stride; }
    int padded() const { return multiple == 0 ? classes : (classes + multiple - 1) / multiple * multiple; }
};

Dims dims(std::initializer_list<int> lengths) {
    Dims made{};
    for (const int length : lengths) made.d[made.nbDims++] = length;
    return made;
}

struct ContextTable : apiv::TExecutionContext {
    Description description;
    void *input = nullptr, *output = nullptr;

    bool setTensorAddress(char const* name, void* data) noexcept override {
        (strcmp(name, "image") == 0 ? input : output) = data;
        return reinterpret_cast<uintptr_t>(data) % 256 == 0;
    }
    Dims getTensorStrides(char const* name) const noexcept override {
        const Description& d = description;
        if (strcmp(name, "image") == 0) return dims({3 * d.height * d.width, d.height * d.width, d.width, 1});
        return dims({d.classes * d.h() * d.w(), d.h() * d.w(), d.w(), 1});
    }
    bool enqueueV3(cudaStream_t stream) noexcept override {
        if (getenv("TENSORRT_DOUBLE_REFUSES") != nullptr) {
            tell("2: [runner.cpp::execute::416] Error Code 2: Internal Error (Assertion isReady failed. )");
            return false;
        }
        return cuLaunchHostFunc(stream, [](void* self) { static_cast<ContextTable*>(self)->run(); }, this) ==
               CUDA_SUCCESS;
    }
#if defined(TRT_MAJOR_RTX)
#if NV_TENSORRT_MINOR >= 5
    bool isStreamCapturable(cudaStream_t) const noexcept override { return true; }
#endif
    void setDeviceMemoryV2(void* memory, int64_t) noexcept override { scratch = memory; }
    void* scratch = nullptr;
#endif

    float read(size_t at) const {
        return description.is_half ? to_float(static_cast<uint16_t*>(input)[at]) : static_cast<float*>(input)[at];
    }
    void write(size_t at, float value) const {
        if (description.is_half)
            static_cast<uint16_t*>(output)[at] = to_half(value);
        else
            static_cast<float*>(output)[at] = value;
    }
    void run() const {
        const Description& d = description;
        for (int c = 0; c < d.classes; ++c)
            for (int y = 0; y < d.h(); ++y)
                for (int x = 0; x < d.w(); ++x) {
                    const float value = read((static_cast<size_t>(c % 3) * static_cast<size_t>(d.height) +
                                              static_cast<size_t>(y * d.stride)) * static_cast<size_t>(d.width) +
                                             static_cast<size_t>(x * d.stride));
                    const int at = d.multiple == 0 ? (c * d.h() + y) * d.w() + x : (y * d.w() + x) * d.padded() + c;
                    write(static_cast<size_t>(at),
                          value * (static_cast<float>(c + 1) / 4) - static_cast<float>(c) / 8);
                }
    }
};

struct Context final : IExecutionContext {
    explicit Context(const Description& description) {
        table.description = description;
        mImpl = &table;
    }
    ContextTable table;
};

#if defined(TRT_MAJOR_RTX)
struct CacheTable : apiv::TRuntimeCache {};
struct Cache final : IRuntimeCache {
    Cache() { mImpl = &table; }
    CacheTable table;
};
struct ConfigTable : apiv::TRuntimeConfig {
    mutable bool is_without_graphs = false, is_user_managed = false, has_cache = false;
    bool setCudaGraphStrategy(CudaGraphStrategy strategy) noexcept override {
        return is_without_graphs = strategy == CudaGraphStrategy::kDISABLED;
    }
    void setExecutionContextAllocationStrategy(ExecutionContextAllocationStrategy strategy) noexcept override {
        is_user_managed = strategy == ExecutionContextAllocationStrategy::kUSER_MANAGED;
    }
    IRuntimeCache* createRuntimeCache() const noexcept override { return new Cache; }
    bool setRuntimeCache(IRuntimeCache const&) noexcept override { return has_cache = true; }
};
struct Config final : IRuntimeConfig {
    Config() { mImpl = &table; }
    ConfigTable table;
};
#endif

struct EngineTable : apiv::TCudaEngine {
    Description description;

    int32_t getNbIOTensors() const noexcept override { return description.inputs + 1; }
    char const* getIOTensorName(int32_t index) const noexcept override {
        return index == 0 ? "image" : index < description.inputs ? "more" : "logits";
    }
    TensorIOMode getTensorIOMode(char const* name) const noexcept override {
        return strcmp(name, "logits") == 0 ? TensorIOMode::kOUTPUT : TensorIOMode::kINPUT;
    }
    Dims getTensorShape(char const* name) const noexcept override {
        const Description& d = description;
        return strcmp(name, "image") == 0 ? dims({1, 3, d.height, d.width}) : dims({1, d.classes, d.h(), d.w()});
    }
    DataType getTensorDataType(char const*) const noexcept override {
        return description.is_half ? DataType::kHALF : DataType::kFLOAT;
    }
    TensorFormat getTensorFormat(char const* name) const noexcept override {
        if (strcmp(name, "image") == 0 || description.multiple == 0) return TensorFormat::kLINEAR;
        return description.multiple == 8 ? TensorFormat::kHWC8 : TensorFormat::kHWC;
    }
#if defined(TRT_MAJOR_RTX)
    int64_t getDeviceMemorySizeV2() const noexcept override { return 4096; }
    IRuntimeConfig* createRuntimeConfig() noexcept override { return new Config; }
    IExecutionContext* createExecutionContextWithRuntimeConfig(IRuntimeConfig* config) noexcept override {
        const ConfigTable& table = static_cast<Config*>(config)->table;
        const bool is_set = table.is_without_graphs && table.is_user_managed && table.has_cache;
        return is_set ? new Context(description) : nullptr;
    }
#else
#if NV_TENSORRT_MAJOR >= 10
    IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy) noexcept override {
        return new Context(description);
    }
#else
    IExecutionContext* createExecutionContext() noexcept override { return new Context(description); }
#endif
#endif
};

struct Engine final : ICudaEngine {
    explicit Engine(const Description& description) {
        table.description = description;
        mImpl = &table;
    }
    EngineTable table;
};

struct RuntimeTable : apiv::TRuntime {
    ICudaEngine* read(void const* blob, size_t size) noexcept {
        std::istringstream text(std::string(static_cast<const char*>(blob), size));
        std::string magic, type;
        for (int i = 0; i < RTSEG_DOUBLE_SKIPS; ++i) text.get();  // what a file of RTX begins with
        Description d;
        text >> magic >> d.classes >> d.height >> d.width >> d.stride >> type >> d.multiple >> d.inputs;
        d.is_half = type == "f16";
        if (magic != "double" || !text) {
            tell("1: [stdArchiveReader.cpp::StdArchiveReader::32] Error Code 1: Serialization (Serialization assertion "
                 "magicTagRead == kMAGIC_TAG failed.\nMagic tag does not match)");
            return nullptr;
        }
        return new Engine(d);
    }
#if defined(TRT_MAJOR_RTX) || NV_TENSORRT_MAJOR >= 10
    ICudaEngine* deserializeCudaEngine(void const* blob, size_t size) noexcept override { return read(blob, size); }
#else
    ICudaEngine* deserializeCudaEngine(void const* blob, size_t size, IPluginFactory*) noexcept override {
        return read(blob, size);
    }
#endif
#if defined(TRT_MAJOR_RTX)
    EngineValidity getEngineValidity(void const* blob, int64_t size, uint64_t* diagnostics) const noexcept override {
        const bool is_damaged = size < 64 || static_cast<const char*>(blob)[0] != 'R';
        *diagnostics = is_damaged ? static_cast<uint64_t>(EngineInvalidityDiagnostics::kMALFORMED_ENGINE) : 0;
        return is_damaged ? EngineValidity::kINVALID : EngineValidity::kVALID;
    }
#endif
};

struct Runtime final : IRuntime {
    Runtime() { mImpl = &table; }
    RuntimeTable table;
};

}  // namespace

extern "C" {
void* createInferRuntime_INTERNAL(void* given, int32_t version) noexcept {
    logger = static_cast<ILogger*>(given);
    return version == NV_TENSORRT_VERSION ? static_cast<IRuntime*>(new Runtime) : nullptr;
}
int32_t getInferLibVersion() noexcept { return NV_TENSORRT_VERSION; }
#if defined(TRT_MAJOR_RTX) || NV_TENSORRT_MAJOR >= 10
int32_t getInferLibBuildVersion() noexcept { return NV_TENSORRT_BUILD; }
#endif
}
