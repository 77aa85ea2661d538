// The interface of a backend: a module that is loaded at run time and opens files.
//
// A module exports one function, rtseg_backend. Library and modules are built together; the interface number detects a
// module of another build.
#ifndef RTSEG_SRC_BACKEND_H
#define RTSEG_SRC_BACKEND_H

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "errors.h"
#include "manifest.h"
#include "rtseg/rtseg.h"

namespace rtseg_internal {

constexpr int kBackendInterface = 1;

enum class ElementType { kFloat32, kUint8 };

// A tensor of a graph: static shape, batch axis first.
struct TensorSpec {
    std::string name;
    std::vector<int64_t> shape;
    ElementType type = ElementType::kFloat32;
};

// What a backend opens a model from. The bytes were compared with the manifest's digest; a backend must not read the
// file again.
struct ModelSource {
    std::string path;  // for messages
    const Manifest& manifest;
    const std::vector<char>& content;
    int threads = 0;   // most cores, 0 is all
    int parallel = 1;  // how many sessions run at once
    std::string backend;  // the name that it was asked for by
};

// Used by one thread: its buffers, and runs of the graph on them.
class BackendSession {
  public:
    virtual ~BackendSession() = default;

    // The graph's input in host memory. Write it before infer.
    virtual void* input() = 0;
    // The output of the last infer, in host memory.
    virtual const void* output() = 0;
    // Run the graph from input to output; return when the output is complete. Throws Error.
    virtual void infer() = 0;

    // Whether run_frame processes the whole frame on the backend's own device.
    virtual bool has_frames() const noexcept { return false; }
    // Label an image. The arguments were checked. Throws Error.
    virtual void run_frame(const rtseg_image&, const rtseg_label_map&) {
        throw Error(RTSEG_STATUS_INTERNAL, "this backend has no frames of its own");
    }
};

// A loaded file. Sessions share it, and each keeps it alive.
class BackendModel {
  public:
    virtual ~BackendModel() = default;

    virtual const TensorSpec& input() const = 0;
    virtual const TensorSpec& output() const = 0;
    // The device that it runs on, as text for a table.
    virtual const std::string& device() const = 0;
    // The metadata of the graph, which is compared with the manifest; null if the format has none.
    virtual const std::map<std::string, std::string>* metadata() const { return nullptr; }
    virtual std::unique_ptr<BackendSession> open_session() const = 0;
};

class Backend {
  public:
    virtual ~Backend() = default;

    // Throws Error.
    virtual std::shared_ptr<BackendModel> open(const ModelSource& source) const = 0;
};

}  // namespace rtseg_internal

extern "C" {
// Return the backend of the module, which lives as long as the module; null for another interface number.
typedef const rtseg_internal::Backend* (*rtseg_backend_function)(int interface_version);
}

#define RTSEG_BACKEND_SYMBOL "rtseg_backend"

#endif
