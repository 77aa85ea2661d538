// A program that opens a module of the backend and does what lines of its input say, an answer a line: "ok ..." or
// "error STATUS MESSAGE".
//
//     set NAME VALUE                            a field of the manifest
//     open PATH                                 the file, as a model and a session of it
//     frame IMAGE HEIGHT WIDTH ROW_BYTES SKIP FORMAT LABELS ROW_BYTES
//                                               label the image that begins at byte SKIP of a file, into another file
//     stage INPUT OUTPUT                        run the graph from one file to another
//     close                                     let go of everything; tells what the driver has left, and its graphs

#include <dlfcn.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>

#include "backend.h"

using namespace rtseg_internal;

namespace {

std::vector<char> content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::string& path, const void* data, size_t bytes) {
    std::ofstream(path, std::ios::binary).write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
}

void set(Manifest& manifest, const std::string& name, const std::string& value) {
    if (name == "runtime") manifest.build.runtime = value;
    if (name == "release") manifest.build.release = value;
    if (name == "capability") manifest.build.compute_capabilities.push_back(value);
    if (name == "hardware_compatibility") manifest.build.hardware_compatibility = value;
    if (name == "portable") manifest.build.portable = value == "1";
    if (name == "height") manifest.image.height = std::stoi(value);
    if (name == "width") manifest.image.width = std::stoi(value);
    if (name == "bgr") manifest.image.is_bgr = value == "1";
    if (name == "letterbox") manifest.image.is_letterbox = value == "1";
    if (name == "padding") manifest.image.padding = std::stoi(value);
    if (name == "classes") manifest.output.names.assign(static_cast<size_t>(std::stoi(value)), "a class");
    if (name == "stride") manifest.output.stride = std::stoi(value);
    if (name == "align_corners") manifest.output.align_corners = value == "1";
    if (name == "threshold") manifest.output.threshold = std::stof(value);
}

size_t bytes_of(const TensorSpec& spec) {
    size_t bytes = spec.type == ElementType::kFloat32 ? 4 : 1;
    for (const int64_t length : spec.shape) bytes *= static_cast<size_t>(length);
    return bytes;
}

}  // namespace

int main(int, char** arguments) {
    void* module = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) return std::cout << "no module " << dlerror() << "\n", 1;
    const auto entry = reinterpret_cast<rtseg_backend_function>(dlsym(module, RTSEG_BACKEND_SYMBOL));
    if (entry(kBackendInterface + 1) != nullptr) return std::cout << "a module of another interface\n", 1;
    const Backend* backend = entry(kBackendInterface);
    Manifest manifest;
    manifest.kind = "engine";
    manifest.precision = "fp16";
    manifest.image.scale = 1.0f / 256;
    manifest.image.std = {1, 1, 1};
    manifest.output.interface = Interface::kLogits;
    std::shared_ptr<BackendModel> model;
    std::unique_ptr<BackendSession> session;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string command, path, other;
        words >> command;
        try {
            if (command == "set") {
                words >> path >> other;
                set(manifest, path, other);
                std::cout << "ok\n";
            } else if (command == "open") {
                words >> path;
                const std::vector<char> content = content_of(path);
                model = backend->open({path, manifest, content, 0, 1, manifest.build.runtime});
                session = model->open_session();
                std::cout << "ok " << model->device() << "\n";
            } else if (command == "frame") {
                int height = 0, width = 0, format = 0;
                ptrdiff_t row_bytes = 0, skip = 0, label_bytes = 0;
                words >> path >> height >> width >> row_bytes >> skip >> format >> other >> label_bytes;
                const std::vector<char> pixels = content_of(path);
                std::vector<uint8_t> labels(static_cast<size_t>(height * label_bytes), 0xee);
                const rtseg_image image = {reinterpret_cast<const uint8_t*>(pixels.data()) + skip, height, width,
                                           row_bytes, static_cast<rtseg_pixel_format>(format)};
                session->run_frame(image, {labels.data(), height, width, label_bytes});
                write(other, labels.data(), labels.size());
                std::cout << "ok " << session->has_frames() << "\n";
            } else if (command == "stage") {
                words >> path >> other;
                const std::vector<char> given = content_of(path);
                std::copy(given.begin(), given.end(), static_cast<char*>(session->input()));
                session->infer();
                write(other, session->output(), bytes_of(model->output()));
                std::cout << "ok\n";
            } else if (command == "close") {
                session.reset();
                model.reset();
                char text[64] = "no double";
                const auto counts = reinterpret_cast<void (*)(char*, size_t)>(
                    dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuda_double_counts"));
                if (counts != nullptr) counts(text, sizeof text);
                std::cout << "ok " << text << "\n";
            }
        } catch (const Error& error) {
            std::cout << "error " << error.status() << " " << error.what() << "\n";
        }
    }
    return 0;
}
