// Runs ONNX files, and the models that `rtseg build --runtime openvino` writes, with OpenVINO on the CPU.
//
// The model and its options are those of rtseg/runners/openvino.py, so that the same library gives the same bits.

#include <sys/utsname.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <istream>
#include <map>
#include <memory>
#include <new>
#include <openvino/frontend/manager.hpp>
#include <openvino/openvino.hpp>
#include <set>
#include <streambuf>
#include <string>
#include <vector>

#include "backend.h"
#include "files.h"
#include "onnx_bytes.h"
#include "quantization.h"
#include "quantized_files.h"

namespace rtseg_internal {
namespace {

// Return the last line of an OpenVINO message: earlier lines name its own source files.
std::string reason_of(const std::exception& error) {
    std::string text = error.what();
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
    const size_t line = text.find_last_of('\n');
    if (line != std::string::npos) text = text.substr(line + 1);
    const size_t begin = text.find_first_not_of(" \t");
    return text.empty() || begin == std::string::npos ? "no reason given" : text.substr(begin, 300);
}

// Call OpenVINO and turn its exceptions into Error.
template <class Body>
auto refused_as(const std::string& what, const Body& body) -> decltype(body()) {
    try {
        return body();
    } catch (const Error&) {
        throw;
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception& error) {
        const std::string reason = reason_of(error);
        if (reason == "std::bad_alloc") throw std::bad_alloc();  // which OpenVINO hands on as an exception of its own
        throw Error(RTSEG_STATUS_BACKEND, what + ": " + reason);
    }
}

// The one Core of this process. It is never freed: OpenVINO 2026.4, when it frees a Core, also removes the stack of the
// thread's signal handlers.
ov::Core& core() {
    static auto* const made = new ov::Core();
    return *made;
}

// Bytes as a stream, without a copy.
class Bytes : public std::streambuf {
  public:
    explicit Bytes(const std::vector<char>& content) {
        char* const begin = const_cast<char*>(content.data());  // a streambuf that is only read does not write
        setg(begin, begin, begin + content.size());
    }

  protected:
    pos_type seekoff(off_type offset, std::ios_base::seekdir from, std::ios_base::openmode which) override {
        const char* const base = from == std::ios_base::beg ? eback() : from == std::ios_base::cur ? gptr() : egptr();
        return seekpos(base - eback() + offset, which);
    }
    pos_type seekpos(pos_type place, std::ios_base::openmode) override {
        const off_type offset = place;
        if (offset < 0 || offset > egptr() - eback()) return pos_type(off_type(-1));
        setg(eback(), eback() + offset, egptr());
        return place;
    }
};

std::shared_ptr<ov::Model> read_onnx(const ModelSource& source) {
    Bytes bytes(source.content);
    std::istream stream(&bytes);
    // ov::Core::read_model would try other formats on it, and print their complaints.
    const ov::frontend::FrontEnd::Ptr reader = ov::frontend::FrontEndManager().load_by_framework("onnx");
    return reader->convert(reader->load(static_cast<std::istream*>(&stream)));
}

// Return the model of an ONNX file as it will be compiled; a quantized model is corrected first.
std::shared_ptr<ov::Model> corrected_onnx(const ModelSource& source) {
    const std::set<std::string> operators = operator_types(source.content);
    require_plain_operators(operators, source.path);
    const std::shared_ptr<ov::Model> model = read_onnx(source);
    if (is_quantized(operators)) require_compared_release(ov::get_openvino_version().buildNumber, source.path);
    join_quantization(model);
    return model;
}

// Return the path of the weights of an OpenVINO model: the same name with another suffix.
std::string weights_path(const std::string& path) {
    return std::filesystem::path(path).replace_extension(".bin").string();
}

std::shared_ptr<ov::Model> read_openvino(const ModelSource& source) {
    const std::string path = weights_path(source.path);
    const std::vector<char> weights = read_file(path);
    if (sha256_of(weights) != source.manifest.build.weights_sha256)
        throw Error(RTSEG_STATUS_MANIFEST, path + " does not match the manifest of " + source.path, "", "",
                    "get a fresh copy of all three files");
    const std::string xml(source.content.begin(), source.content.end());
    if (xml.rfind("<?xml", 0) != 0)  // of which OpenVINO would try other formats, and print their complaints
        throw Error(RTSEG_STATUS_UNSUPPORTED, source.path + " is not an OpenVINO IR file", "", "XML",
                    "run rtseg build ONNX --runtime openvino");
    ov::Tensor held(ov::element::u8, ov::Shape{weights.size()});
    std::copy(weights.begin(), weights.end(), static_cast<char*>(held.data()));
    return core().read_model(xml, held);
}

TensorSpec spec_of(const ov::Output<const ov::Node>& port) {
    if (port.get_partial_shape().is_dynamic())
        throw Error(RTSEG_STATUS_UNSUPPORTED, "a tensor of the graph has no static shape");
    TensorSpec spec;
    spec.name = port.get_any_name();
    for (const size_t side : port.get_shape()) spec.shape.push_back(static_cast<int64_t>(side));
    if (port.get_element_type() == ov::element::u8) {
        spec.type = ElementType::kUint8;
    } else if (port.get_element_type() != ov::element::f32) {
        throw Error(RTSEG_STATUS_UNSUPPORTED, "the tensor " + spec.name + " is of another type",
                    port.get_element_type().get_type_name(), "f32 or u8");
    }
    return spec;
}

std::map<std::string, std::string> metadata_of(const std::shared_ptr<ov::Model>& model) {
    std::map<std::string, std::string> found;
    for (const char* key : {"rtseg.image", "rtseg.output"})
        if (model->has_rt_info("framework", std::string(key)))
            found[key] = model->get_rt_info<std::string>("framework", std::string(key));
    return found;
}

// The same words as in the Python runner.
std::string device_name(int threads) {
    utsname system{};
    uname(&system);
    return std::string("CPU (") + system.machine + ", " + std::to_string(threads) + " threads)";
}

ov::AnyMap options(int threads, int parallel) {
    ov::AnyMap chosen{
        ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
        ov::hint::inference_precision(ov::element::f32),
        // Otherwise OpenVINO quantizes the activations of matrix products with INT8 weights.
        ov::hint::dynamic_quantization_group_size(0),
        // A pinned thread waits for its core while another one is free.
        ov::hint::enable_cpu_pinning(false),
    };
    if (parallel > 1) chosen.insert(ov::num_streams(parallel));  // else one frame waits for the other
    if (threads > 0) chosen.insert(ov::inference_num_threads(threads));
    return chosen;
}

class OpenVinoSession : public BackendSession {
  public:
    explicit OpenVinoSession(ov::CompiledModel compiled)
        : request_(compiled.create_infer_request()),
          input_(tensor_like(compiled.input())),
          output_(tensor_like(compiled.output())) {
        request_.set_input_tensor(input_);
        request_.set_output_tensor(output_);
    }

    void* input() override { return input_.data(); }
    const void* output() override { return output_.data(); }
    void infer() override {
        refused_as("OpenVINO failed", [&] { request_.infer(); });
    }

  private:
    static ov::Tensor tensor_like(const ov::Output<const ov::Node>& port) {
        return {port.get_element_type(), port.get_shape()};
    }

    ov::InferRequest request_;
    ov::Tensor input_, output_;
};

class OpenVinoModel : public BackendModel {
  public:
    OpenVinoModel(const std::shared_ptr<ov::Model>& model, int threads, int parallel)
        : compiled_(core().compile_model(model, "CPU", options(threads, parallel))),
          input_(spec_of(compiled_.input())),
          output_(spec_of(compiled_.output())),
          metadata_(metadata_of(model)),
          device_(device_name(compiled_.get_property(ov::inference_num_threads))) {}

    const TensorSpec& input() const override { return input_; }
    const TensorSpec& output() const override { return output_; }
    const std::string& device() const override { return device_; }
    const std::map<std::string, std::string>* metadata() const override { return &metadata_; }
    std::unique_ptr<BackendSession> open_session() const override {
        return refused_as("OpenVINO failed", [&] { return std::make_unique<OpenVinoSession>(compiled_); });
    }

  private:
    ov::CompiledModel compiled_;
    TensorSpec input_, output_;
    std::map<std::string, std::string> metadata_;
    std::string device_;
};

class OpenVinoBackend : public Backend {
  public:
    std::shared_ptr<BackendModel> open(const ModelSource& source) const override {
        return refused_as("OpenVINO cannot load " + source.path, [&] {
            const std::shared_ptr<ov::Model> model =
                source.manifest.kind == "openvino" ? read_openvino(source) : corrected_onnx(source);
            if (model->inputs().size() != 1 || model->outputs().size() != 1)
                throw Error(RTSEG_STATUS_UNSUPPORTED, source.path + " has another number of inputs and outputs",
                            std::to_string(model->inputs().size()) + " and " + std::to_string(model->outputs().size()),
                            "1 and 1");
            return std::make_shared<OpenVinoModel>(model, source.threads, source.parallel);
        });
    }
};

}  // namespace
}  // namespace rtseg_internal

extern "C" RTSEG_EXPORT const rtseg_internal::Backend* rtseg_backend(int interface_version) {
    static const rtseg_internal::OpenVinoBackend backend;
    return interface_version == rtseg_internal::kBackendInterface ? &backend : nullptr;
}
