// Runs ONNX files with ONNX Runtime on the CPU.
//
// Graph and options are those of rtseg/runners/onnxruntime.py, so that the same library gives the same bits.

#include <sys/utsname.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "backend.h"
#include "onnxruntime_library.h"

namespace rtseg_internal {
namespace {

const OrtApi& api() { return OnnxRuntimeLibrary::get().api(); }

void require(OrtStatus* status, const char* what) { OnnxRuntimeLibrary::get().require(status, what); }

// The same words as in the Python runner.
std::string device_name(int threads) {
    utsname system{};
    uname(&system);
    const long count = threads > 0 ? threads : sysconf(_SC_NPROCESSORS_ONLN);
    return std::string("CPU (") + system.machine + ", " + std::to_string(count) + " threads)";
}

// Return a string that ONNX Runtime allocated, and free it.
std::string taken(char* text) {
    const std::string copy = text;
    require(api().AllocatorFree(OnnxRuntimeLibrary::get().allocator(), text), "ONNX Runtime failed");
    return copy;
}

// Memory for a tensor, aligned for any instruction.
class Buffer {
  public:
    explicit Buffer(const TensorSpec& spec) : bytes_(spec.type == ElementType::kUint8 ? 1 : sizeof(float)) {
        for (const int64_t side : spec.shape) bytes_ *= static_cast<size_t>(side);
        data_.reset(static_cast<std::byte*>(::operator new(bytes_, kAlignment)));
    }

    std::byte* data() const { return data_.get(); }
    size_t bytes() const { return bytes_; }

  private:
    static constexpr std::align_val_t kAlignment{64};
    struct Delete {
        void operator()(std::byte* data) const { ::operator delete(data, kAlignment); }
    };

    size_t bytes_;
    std::unique_ptr<std::byte, Delete> data_;
};

// A graph that is loaded. Any number of threads may run it at once.
class Graph {
  public:
    Graph(const std::vector<char>& content, int threads) : session_(opened(content, threads)) {
        size_t inputs = 0, outputs = 0;
        require(api().SessionGetInputCount(session_.get(), &inputs), "ONNX Runtime failed");
        require(api().SessionGetOutputCount(session_.get(), &outputs), "ONNX Runtime failed");
        if (inputs != 1 || outputs != 1)
            throw Error(RTSEG_STATUS_UNSUPPORTED, "the graph has another number of inputs and outputs",
                        std::to_string(inputs) + " and " + std::to_string(outputs), "1 and 1");
        input_ = spec_of(api().SessionGetInputName, api().SessionGetInputTypeInfo);
        output_ = spec_of(api().SessionGetOutputName, api().SessionGetOutputTypeInfo);
    }

    const TensorSpec& input() const { return input_; }
    const TensorSpec& output() const { return output_; }

    void run(const OrtValue* input, OrtValue* output) const {
        const char* const input_name = input_.name.c_str();
        const char* const output_name = output_.name.c_str();
        require(api().Run(session_.get(), nullptr, &input_name, &input, 1, &output_name, 1, &output),
                "ONNX Runtime failed");
    }

    // Return the two contracts that the file states.
    std::map<std::string, std::string> metadata() const {
        OrtModelMetadata* made = nullptr;
        require(api().SessionGetModelMetadata(session_.get(), &made), "ONNX Runtime failed");
        const Owned<OrtModelMetadata> stated(made, api().ReleaseModelMetadata);
        std::map<std::string, std::string> found;
        for (const char* key : {"rtseg.image", "rtseg.output"}) {
            char* value = nullptr;
            require(api().ModelMetadataLookupCustomMetadataMap(stated.get(), OnnxRuntimeLibrary::get().allocator(), key,
                                                               &value),
                    "ONNX Runtime failed");
            if (value != nullptr) found[key] = taken(value);
        }
        return found;
    }

  private:
    static Owned<OrtSession> opened(const std::vector<char>& content, int threads) {
        const char* const what = "ONNX Runtime refuses its options";
        OrtSessionOptions* made = nullptr;
        require(api().CreateSessionOptions(&made), what);
        const Owned<OrtSessionOptions> options(made, api().ReleaseSessionOptions);
        require(api().SetIntraOpNumThreads(options.get(), threads), what);
        require(api().SetSessionLogSeverityLevel(options.get(), ORT_LOGGING_LEVEL_FATAL), what);
        // Otherwise its threads spin for milliseconds after a run, on the cores that the tail needs next.
        require(api().AddSessionConfigEntry(options.get(), "session.force_spinning_stop", "1"), what);
        // ONNX Runtime would quantize weights that the file keeps in floating point; the graph must run as the file has
        // it.
        require(api().AddSessionConfigEntry(options.get(), "optimization.disable_specified_optimizers",
                                            "WeightBiasQuantization"),
                what);
        OrtSession* session = nullptr;
        require(api().CreateSessionFromArray(OnnxRuntimeLibrary::get().environment(), content.data(), content.size(),
                                             options.get(), &session),
                "ONNX Runtime refuses the file");
        return {session, api().ReleaseSession};
    }

    template <class NameOf, class TypeOf>
    TensorSpec spec_of(NameOf name_of, TypeOf type_of) const {
        TensorSpec spec;
        char* name = nullptr;
        require(name_of(session_.get(), 0, OnnxRuntimeLibrary::get().allocator(), &name), "ONNX Runtime failed");
        spec.name = taken(name);
        OrtTypeInfo* made = nullptr;
        require(type_of(session_.get(), 0, &made), "ONNX Runtime failed");
        const Owned<OrtTypeInfo> type(made, api().ReleaseTypeInfo);
        const OrtTensorTypeAndShapeInfo* tensor = nullptr;
        require(api().CastTypeInfoToTensorInfo(type.get(), &tensor), "ONNX Runtime failed");
        ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        if (tensor != nullptr) require(api().GetTensorElementType(tensor, &element), "ONNX Runtime failed");
        if (element != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT && element != ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8)
            throw Error(RTSEG_STATUS_UNSUPPORTED, "the tensor " + spec.name + " of the graph is of another type",
                        "ONNX's type " + std::to_string(element), "float or uint8");
        spec.type = element == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 ? ElementType::kUint8 : ElementType::kFloat32;
        size_t rank = 0;
        require(api().GetDimensionsCount(tensor, &rank), "ONNX Runtime failed");
        spec.shape.resize(rank);
        require(api().GetDimensions(tensor, spec.shape.data(), rank), "ONNX Runtime failed");
        for (const int64_t side : spec.shape)
            if (side <= 0)
                throw Error(RTSEG_STATUS_UNSUPPORTED, "the tensor " + spec.name + " of the graph has no static shape");
        return spec;
    }

    Owned<OrtSession> session_;
    TensorSpec input_, output_;
};

class OnnxRuntimeSession : public BackendSession {
  public:
    explicit OnnxRuntimeSession(std::shared_ptr<const Graph> graph)
        : graph_(std::move(graph)),
          input_(graph_->input()),
          output_(graph_->output()),
          input_value_(value_on(input_, graph_->input())),
          output_value_(value_on(output_, graph_->output())) {}

    void* input() override { return input_.data(); }
    const void* output() override { return output_.data(); }
    void infer() override { graph_->run(input_value_.get(), output_value_.get()); }

  private:
    // Return a tensor that reads and writes a buffer in place.
    static Owned<OrtValue> value_on(const Buffer& buffer, const TensorSpec& spec) {
        OrtValue* value = nullptr;
        require(api().CreateTensorWithDataAsOrtValue(OnnxRuntimeLibrary::get().memory(), buffer.data(), buffer.bytes(),
                                                     spec.shape.data(), spec.shape.size(),
                                                     spec.type == ElementType::kUint8
                                                         ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8
                                                         : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                                                     &value),
                "ONNX Runtime failed");
        return {value, api().ReleaseValue};
    }

    std::shared_ptr<const Graph> graph_;
    Buffer input_, output_;
    Owned<OrtValue> input_value_, output_value_;
};

class OnnxRuntimeModel : public BackendModel {
  public:
    OnnxRuntimeModel(const std::vector<char>& content, int threads)
        : graph_(std::make_shared<Graph>(content, threads)),
          metadata_(graph_->metadata()),
          device_(device_name(threads)) {}

    const TensorSpec& input() const override { return graph_->input(); }
    const TensorSpec& output() const override { return graph_->output(); }
    const std::string& device() const override { return device_; }
    const std::map<std::string, std::string>* metadata() const override { return &metadata_; }
    std::unique_ptr<BackendSession> open_session() const override {
        return std::make_unique<OnnxRuntimeSession>(graph_);
    }

  private:
    std::shared_ptr<const Graph> graph_;
    std::map<std::string, std::string> metadata_;
    std::string device_;
};

class OnnxRuntimeBackend : public Backend {
  public:
    std::shared_ptr<BackendModel> open(const ModelSource& source) const override {
        OnnxRuntimeLibrary::get();  // whose absence is no fault of the file
        try {
            return std::make_shared<OnnxRuntimeModel>(source.content, source.threads);
        } catch (const Error& error) {
            throw Error(error.status(), source.path + ": " + error.what());
        }
    }
};

}  // namespace
}  // namespace rtseg_internal

extern "C" RTSEG_EXPORT const rtseg_internal::Backend* rtseg_backend(int interface_version) {
    static const rtseg_internal::OnnxRuntimeBackend backend;
    return interface_version == rtseg_internal::kBackendInterface ? &backend : nullptr;
}
