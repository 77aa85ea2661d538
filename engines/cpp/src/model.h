// A model: a verified file, loaded by a backend. Immutable, shared by any number of threads.
#ifndef RTSEG_SRC_MODEL_H
#define RTSEG_SRC_MODEL_H

#include <memory>
#include <string>

#include "backend.h"
#include "manifest.h"

namespace rtseg_internal {

struct Model {
    std::string path;
    std::string backend;  // its name
    int threads = 0;      // as asked for; 0 is all
    Manifest manifest;
    std::shared_ptr<BackendModel> graph;
};

// Open the file at a path. backend: a name, empty for the one that runs files of its kind. folder: where the backends'
// modules lie, or empty. Throws Error for a file that is not what its manifest says, or that the backend cannot run.
std::shared_ptr<const Model> open_model(const std::string& path, const std::string& backend, const std::string& folder,
                                        int threads, int parallel);

}  // namespace rtseg_internal

#endif
