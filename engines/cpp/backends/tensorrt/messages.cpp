#include "messages.h"

#include <algorithm>
#include <cstring>
#include <regex>

namespace rtseg_internal {

namespace {

constexpr size_t kKept = 20;  // the first errors are usually the cause, so they are kept

// Never freed on purpose: TensorRT may log while the process ends.
std::mutex& listening() {
    static std::mutex* mutex = new std::mutex;
    return *mutex;
}

std::vector<MessageRecord*>& records() {
    static std::vector<MessageRecord*>* known = new std::vector<MessageRecord*>;
    return *known;
}

// The meaning of a TensorRT message, and a hint; $1 and $2 are groups of the pattern. The most specific come first,
// because many others follow from a lack of memory. These are the entries of rtseg/runners/tensorrt/messages.py that
// can occur when an engine is loaded or run.
struct Translation {
    const char *pattern, *cause, *hint;
};

#define RTSEG_CUDA_FAILS "CUDA initialization failure with error:? ?"

const Translation kTranslations[] = {
    {RTSEG_CUDA_FAILS "35\\b|CUDA driver version is insufficient",
     "there is no NVIDIA driver, or one too old for this TensorRT's CUDA",
     "run nvidia-smi, which shows the driver; install a newer one, or a TensorRT for an older CUDA; "
     "start a container with --gpus all"},
    {RTSEG_CUDA_FAILS "100\\b|no CUDA-capable device is detected", "CUDA sees no GPU",
     "run nvidia-smi -L, which lists the GPUs; unset CUDA_VISIBLE_DEVICES; start a container with --gpus all"},
    {RTSEG_CUDA_FAILS "34\\b|CUDA driver is a stub library", "the CUDA toolkit's stub library hides the driver",
     "take the toolkit's stubs folder out of LD_LIBRARY_PATH"},
    {RTSEG_CUDA_FAILS "80[34]\\b", "the parts of the NVIDIA driver have different versions",
     "restart the machine, or load the kernel module of the installed driver: nvidia-smi says which is running"},
    {"OutOfMemory|out of memory|Requested amount of GPU memory|insufficient memory on requested size|" RTSEG_CUDA_FAILS
     "2\\b",
     "not enough GPU memory", "use a smaller resolution, fewer sessions, or a GPU on which nothing else runs"},
    {RTSEG_CUDA_FAILS "\\d+", "CUDA cannot be used here", kNoGpu},
    {"Plugin not found|IPluginCreator not found|Cannot deserialize plugin",
     "a plugin that the graph or engine needs is missing",
     "export the network without plugins; rtseg's own exports need none"},
    {"expecting library version (\\S+) got (\\S+?),", "the engine was built with TensorRT $2, and this is $1",
     "run rtseg build with the TensorRT that will run the engine"},
    {"Version tag does not match|not compatible with this version of TensorRT",
     "the engine was built with another version of TensorRT",
     "run rtseg build with the TensorRT that will run the engine"},
    {"incompatible device, expecting compute (\\S+) got compute (\\S+?),",
     "the engine is for a GPU of compute capability $2, and this one has $1",
     "run rtseg build on the GPU that will run the engine"},
    {"[Mm]agic tag does not match|kMAGIC_TAG|Archive signature|kENGINE_SIGNATURE",
     "this is not a TensorRT engine, or it is damaged", "run rtseg build again"},
};

struct Diagnostic {
    const char *name, *cause, *hint;
};

// Indexed by the number of the bit.
const Diagnostic kDiagnostics[] = {
    {"VERSION_MISMATCH", "it is of another release", "run rtseg build again with the release that is installed here"},
    {"UNSUPPORTED_CC", "it is not for this GPU",
     "run rtseg build --runtime tensorrt-rtx with the --compute-capability of this GPU"},
    {"OLD_CUDA_DRIVER", "the NVIDIA driver is too old",
     "install a newer driver: nvidia-smi shows which one is installed"},
    {"OLD_CUDA_RUNTIME", "the CUDA runtime is too old", "run pip install --upgrade tensorrt-rtx"},
    {"INSUFFICIENT_GPU_MEMORY", "the GPU has not enough memory",
     "use a smaller resolution, or end other programs on the GPU"},
    {"MALFORMED_ENGINE", "it is damaged, or no engine", "run rtseg build again"},
    {"CUDA_ERROR", "CUDA cannot be used", kNoGpu},
};

// Return a line without the source file and error number at its beginning, and without line breaks.
std::string shortened(const std::string& message) {
    static const std::regex prefix("^(?:\\d+: )?(?:\\[[^\\]]*\\.\\w+::[^\\]]*\\] ?)?(?:Error Code \\d+: )?");
    static const std::regex space("\\s+");
    std::string line = std::regex_replace(message, space, " ");
    line = std::regex_replace(line, prefix, "", std::regex_constants::format_first_only);
    while (!line.empty() && line.back() == ' ') line.pop_back();
    return line;
}

}  // namespace

MessageRecord::MessageRecord() {
    const std::lock_guard<std::mutex> lock(listening());
    records().push_back(this);
}

MessageRecord::~MessageRecord() {
    const std::lock_guard<std::mutex> lock(listening());
    records().erase(std::find(records().begin(), records().end(), this));
}

std::vector<std::string> MessageRecord::errors() const {
    const std::lock_guard<std::mutex> lock(changing_);
    return errors_;
}

void MessageRecord::clear() {
    const std::lock_guard<std::mutex> lock(changing_);
    errors_.clear();
}

void hear(int severity, const char* message) noexcept {
    // TensorRT 8 reports a missing driver as a warning, and no error follows.
    const bool tells = severity <= 1 || strstr(message, "CUDA initialization failure with error") != nullptr;
    if (!tells) return;
    try {
        const std::lock_guard<std::mutex> lock(listening());
        for (MessageRecord* record : records()) {
            const std::lock_guard<std::mutex> changing(record->changing_);
            std::vector<std::string>& errors = record->errors_;
            if (errors.size() < kKept && std::find(errors.begin(), errors.end(), message) == errors.end())
                errors.emplace_back(message);
        }
    } catch (...) {  // out of memory: it must not reach TensorRT's threads
    }
}

Error refusal(rtseg_status status, const std::string& what, const std::vector<std::string>& errors,
              const std::string& hint) {
    for (const Translation& translation : kTranslations) {
        const std::regex pattern(translation.pattern);
        for (const std::string& line : errors) {
            std::smatch found;
            if (!std::regex_search(line, found, pattern)) continue;
            return Error(status, what + ": " + found.format(translation.cause), "from TensorRT: " + shortened(line), "",
                         translation.hint);
        }
    }
    std::string told;
    for (size_t i = 0; i < std::min<size_t>(errors.size(), 3); ++i)
        told += (told.empty() ? "" : "; ") + shortened(errors[i]);
    return Error(status, what, "from TensorRT: " + (told.empty() ? "no message" : told), "", hint);
}

Error rtx_diagnosis(unsigned long long bits, const std::vector<std::string>& errors) {
    const std::string what = "TensorRT for RTX cannot load the engine";
    std::string names, causes, hint;
    for (size_t bit = 0; bit < std::size(kDiagnostics); ++bit) {
        if ((bits >> bit & 1) == 0) continue;
        names += (names.empty() ? "" : " and ") + std::string(kDiagnostics[bit].name);
        causes += (causes.empty() ? "" : ", and ") + std::string(kDiagnostics[bit].cause);
        if (hint.empty()) hint = kDiagnostics[bit].hint;
    }
    if (names.empty()) return refusal(RTSEG_STATUS_BACKEND, what, errors, kNoGpu);
    return Error(RTSEG_STATUS_UNSUPPORTED, what + ": " + causes, names, "", hint);
}

}  // namespace rtseg_internal
