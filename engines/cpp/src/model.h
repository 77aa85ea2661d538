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

// Open the file at a path. backend is a name, or empty for the default of the file's kind; folder contains the
// backends' modules, or is empty. Throws Error for a file that does not match its manifest, or that the backend cannot
// run.
std::shared_ptr<const Model> open_model(const std::string& path, const std::string& backend, const std::string& folder,
                                        int threads, int parallel);

}  // namespace rtseg_internal

#endif
