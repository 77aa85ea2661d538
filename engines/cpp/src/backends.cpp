#include "backends.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <vector>

#include "errors.h"
#include "files.h"

#ifndef RTSEG_BACKEND_FOLDER
#define RTSEG_BACKEND_FOLDER ""
#endif

namespace rtseg_internal {
namespace {

struct Entry {
    std::vector<std::string> kinds;  // of files
    std::string how_to_get;
};

const std::map<std::string, Entry>& entries() {
    static const auto* const known = new std::map<std::string, Entry>{  // outlives every thread
        {"openvino", {{"onnx", "openvino"}, "run pip install openvino, and configure rtseg with -DRTSEG_OPENVINO=ON"}},
        {"onnxruntime", {{"onnx"}, "run pip install onnxruntime, and configure rtseg with -DRTSEG_ONNXRUNTIME=ON"}},
        {"tensorrt", {{"engine"}, "install TensorRT and CUDA, and configure rtseg with -DTENSORRT_ROOT"}},
        {"tensorrt-rtx", {{"engine"}, "install TensorRT for RTX and CUDA, and configure rtseg with -DTENSORRT_RTX_ROOT"}},
    };
    return *known;
}

std::string joined(const std::vector<std::string>& words, const char* between) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
    return text;
}

const Entry& entry_of(const std::string& name) {
    const auto found = entries().find(name);
    if (found == entries().end()) {
        std::vector<std::string> names;
        for (const auto& entry : entries()) names.push_back(entry.first);
        throw Error(RTSEG_STATUS_MISSING, "unknown backend", name, "one of " + joined(names, ", "));
    }
    return found->second;
}

// Return the folder of the file that contains this code: the shared library, or the program it is linked into.
std::string own_folder() {
    Dl_info found;
    if (dladdr(reinterpret_cast<const void*>(&entry_of), &found) == 0 || found.dli_fname == nullptr) return "";
    std::error_code ignored;
    const std::filesystem::path path = std::filesystem::canonical(found.dli_fname, ignored);
    return path.empty() ? "" : path.parent_path().string();
}

// Return the folder in $RTSEG_BACKENDS. Empty in a program with more rights than its user, which must not load any code
// that the user names.
std::string named_folder() {
    const char* const named = secure_getenv("RTSEG_BACKENDS");
    return named == nullptr ? "" : named;
}

std::vector<std::string> folders(const std::string& asked_for) {
    if (!asked_for.empty()) return {asked_for};
    std::vector<std::string> found;
    if (!named_folder().empty()) return {named_folder()};
    const std::string own = own_folder();
    if (!own.empty()) {
        found.push_back(own);
        found.push_back(own + "/rtseg");
    }
    if (*RTSEG_BACKEND_FOLDER != '\0') found.push_back(RTSEG_BACKEND_FOLDER);
    return found;
}

const Backend& opened(const std::string& name, const std::string& path) {
    void* const module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr)
        throw Error(RTSEG_STATUS_MISSING, "the backend " + name + " (" + path + ") cannot be loaded: " + dlerror(), "", "",
                    "add the folder of the missing library to LD_LIBRARY_PATH, or configure rtseg again with what is "
                    "installed now");
    const auto function = reinterpret_cast<rtseg_backend_function>(dlsym(module, RTSEG_BACKEND_SYMBOL));
    const Backend* const backend = function == nullptr ? nullptr : function(kBackendInterface);
    if (backend == nullptr) {
        dlclose(module);
        throw Error(RTSEG_STATUS_MISSING, "the backend " + path + " is not of this build of rtseg", "",
                    "interface " + std::to_string(kBackendInterface), "build both together");
    }
    return *backend;  // never unloaded: runtimes start threads that would lose their code
}

}  // namespace

std::string default_backend(const Manifest& manifest) {
    if (manifest.kind == "engine") return manifest.build.runtime == "tensorrt-rtx" ? "tensorrt-rtx" : "tensorrt";
    return "openvino";
}

void require_kind(const std::string& backend, const Manifest& manifest, const std::string& path) {
    const std::vector<std::string>& kinds = entry_of(backend).kinds;
    if (std::find(kinds.begin(), kinds.end(), manifest.kind) != kinds.end()) return;
    throw Error(RTSEG_STATUS_UNSUPPORTED, backend + " does not run " + path, "a file of kind " + manifest.kind,
                "one of kind " + joined(kinds, " or "),
                manifest.kind == "checkpoint" ? "run rtseg export" : "use the backend " + default_backend(manifest));
}

const Backend& load_backend(const std::string& name, const std::string& folder) {
    const Entry& entry = entry_of(name);
    struct Loaded {
        std::mutex guard;
        std::map<std::string, const Backend*> by_path;
    };
    static auto* const loaded = new Loaded;  // outlives every thread
    const std::lock_guard<std::mutex> lock(loaded->guard);
    const std::vector<std::string> places = folders(folder);
    for (const std::string& place : places) {
        const std::string path = place + "/librtseg_backend_" + name + ".so";
        if (const auto found = loaded->by_path.find(path); found != loaded->by_path.end()) return *found->second;
        if (!exists(path)) continue;
        const Backend& backend = opened(name, path);
        loaded->by_path[path] = &backend;
        return backend;
    }
    const bool is_named = !folder.empty() || places == std::vector<std::string>{named_folder()};
    throw Error(RTSEG_STATUS_MISSING, "the backend " + name + " is not installed",
                "no librtseg_backend_" + name + ".so in " + joined(places, " or "), "",
                is_named ? "name the folder that has it in the options or in $RTSEG_BACKENDS" : entry.how_to_get);
}

}  // namespace rtseg_internal
