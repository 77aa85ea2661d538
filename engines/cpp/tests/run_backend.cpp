// run_backend MODULE MODEL INPUT OUTPUT THREADS SESSIONS: what a backend gives for a file, without the library.
//
// INPUT holds the bytes of the graph's input, OUTPUT gets those of its output. SESSIONS sessions of the file run at once,
// each in a thread of its own and three times; exits with 1 unless all of them give the same. Standard output gets the
// device, the two tensors and the metadata. What the backend throws is printed with its status, exit code 3.

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/backend.h"

namespace {

using rtseg_internal::BackendModel;
using rtseg_internal::BackendSession;
using rtseg_internal::TensorSpec;

std::vector<char> content_of(const char* path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

size_t bytes_of(const TensorSpec& spec) {
    size_t bytes = spec.type == rtseg_internal::ElementType::kUint8 ? 1 : sizeof(float);
    for (const int64_t side : spec.shape) bytes *= static_cast<size_t>(side);
    return bytes;
}

void print_tensor(const char* side, const TensorSpec& spec) {
    std::printf("%s %s %s", side, spec.name.c_str(),
                spec.type == rtseg_internal::ElementType::kUint8 ? "uint8" : "float32");
    for (const int64_t length : spec.shape) std::printf(" %ld", static_cast<long>(length));
    std::printf("\n");
}

const rtseg_internal::Backend& loaded(const char* path) {
    void* const module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) {
        std::fprintf(stderr, "%s\n", dlerror());
        std::exit(2);
    }
    const auto function = reinterpret_cast<rtseg_backend_function>(dlsym(module, RTSEG_BACKEND_SYMBOL));
    if (function(rtseg_internal::kBackendInterface + 1) != nullptr) std::exit(2);  // it is for this interface alone
    return *function(rtseg_internal::kBackendInterface);
}

// Run a session three times. Return what it gave, empty where two runs differ.
std::vector<char> run(BackendSession& session, const std::vector<char>& input, size_t bytes) {
    std::vector<char> given;
    for (int i = 0; i < 3; ++i) {
        std::memcpy(session.input(), input.data(), input.size());
        session.infer();
        const auto* const output = static_cast<const char*>(session.output());
        const std::vector<char> now(output, output + bytes);
        if (i > 0 && now != given) return {};
        given = now;
    }
    return given;
}

int run_all(char** arguments) {
    const std::vector<char> content = content_of(arguments[2]);
    const rtseg_internal::Manifest manifest;
    std::shared_ptr<BackendModel> model =
        loaded(arguments[1]).open({arguments[2], manifest, content, std::atoi(arguments[5]), 1, "onnxruntime"});
    std::printf("device %s\n", model->device().c_str());
    print_tensor("input", model->input());
    print_tensor("output", model->output());
    for (const auto& entry : *model->metadata()) std::printf("%s %s\n", entry.first.c_str(), entry.second.c_str());
    const std::vector<char> input = content_of(arguments[3]);
    const size_t bytes = bytes_of(model->output());
    if (input.size() != bytes_of(model->input())) return 2;

    std::vector<std::unique_ptr<BackendSession>> sessions;
    for (int i = 0; i < std::atoi(arguments[6]); ++i) sessions.push_back(model->open_session());
    model.reset();  // the sessions keep what they need
    std::vector<std::vector<char>> given(sessions.size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < sessions.size(); ++i)
        threads.emplace_back([&, i] { given[i] = run(*sessions[i], input, bytes); });
    for (std::thread& thread : threads) thread.join();
    for (const std::vector<char>& each : given)
        if (each.empty() || each != given.front()) return 1;
    std::ofstream(arguments[4], std::ios::binary).write(given.front().data(), static_cast<std::streamsize>(bytes));
    return 0;
}

}  // namespace

int main(int count, char** arguments) try {
    return count == 7 ? run_all(arguments) : 2;
} catch (const rtseg_internal::Error& error) {
    std::fprintf(stderr, "%d %s\n", error.status(), error.what());
    return 3;
}
