#include "model.h"

#include <map>
#include <set>
#include <vector>

#include "backends.h"
#include "errors.h"
#include "files.h"
#include "onnx_bytes.h"

namespace rtseg_internal {
namespace {

std::string shape_text(const std::vector<int64_t>& shape, ElementType type) {
    std::string text = type == ElementType::kUint8 ? "uint8 (" : "float32 (";
    for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
    return text + ")";
}

void require_tensor(const char* side, const TensorSpec& got, const std::vector<int64_t>& shape, ElementType type) {
    if (got.shape == shape && got.type == type) return;
    throw Error(RTSEG_STATUS_MANIFEST, std::string("the graph's ") + side + " does not match its manifest",
                shape_text(got.shape, got.type), shape_text(shape, type));
}

// Throw Error unless the graph's input and output match the contracts, for one image.
void require_tensors(const BackendModel& graph, const Manifest& manifest) {
    const int64_t height = manifest.image.height, width = manifest.image.width;
    if (manifest.output.interface == Interface::kLabels) {
        require_tensor("input", graph.input(), {1, height, width, 3}, ElementType::kUint8);
        require_tensor("output", graph.output(), {1, height, width}, ElementType::kUint8);
        return;
    }
    const int64_t stride = manifest.output.interface == Interface::kLogits ? manifest.output.stride : 1;
    require_tensor("input", graph.input(), {1, 3, height, width}, ElementType::kFloat32);
    require_tensor("output", graph.output(), {1, manifest.output.channels(), height / stride, width / stride},
                   ElementType::kFloat32);
}

void require_digest(const Manifest& manifest, const std::vector<char>& content, const std::string& path) {
    const std::string digest = sha256_of(content);
    if (digest == manifest.sha256) return;
    throw Error(RTSEG_STATUS_MANIFEST, path + " does not match its manifest", "sha256 " + digest.substr(0, 12),
                "sha256 " + manifest.sha256.substr(0, 12), "get a fresh copy of both");
}

// The digest does not cover other files.
void require_own_weights(const std::vector<char>& content, const std::string& path) {
    const std::set<std::string> others = external_files(content);
    if (!others.empty())
        throw Error(RTSEG_STATUS_MANIFEST, path + " has weights in another file, which its digest does not cover",
                    *others.begin(), "all weights in the file itself", "run rtseg import-onnx " + path);
}

std::string stated(const std::map<std::string, std::string>& metadata, const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? "" : found->second;
}

}  // namespace

std::shared_ptr<const Model> open_model(const std::string& path, const std::string& backend, const std::string& folder,
                                        int threads, int parallel) {
    auto model = std::make_shared<Model>();
    model->path = path;
    model->threads = threads;
    model->manifest = read_manifest(path);
    model->backend = backend.empty() ? default_backend(model->manifest) : backend;
    require_kind(model->backend, model->manifest, path);
    const Backend& chosen = load_backend(model->backend, folder);
    {
        const std::vector<char> content = read_file(path);
        require_digest(model->manifest, content, path);
        if (model->manifest.kind == "onnx") require_own_weights(content, path);
        model->graph = chosen.open({path, model->manifest, content, threads, parallel, model->backend});
    }
    require_tensors(*model->graph, model->manifest);
    if (const auto* metadata = model->graph->metadata())
        require_same_contract(model->manifest, stated(*metadata, "rtseg.image"), stated(*metadata, "rtseg.output"),
                              path);
    return model;
}

}  // namespace rtseg_internal
