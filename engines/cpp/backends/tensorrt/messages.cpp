#include "messages.h"

#include <algorithm>
#include <cstring>
#include <regex>

namespace rtseg_internal {

namespace {

constexpr size_t kKept = 20;  // what goes wrong first stands first, so the first ones are kept

// Deliberately never freed: TensorRT may log while the process ends.
std::mutex& listening() {
    static std::mutex* mutex = new std::mutex;
    return *mutex;
}

std::vector<MessageRecord*>& records() {
    static std::vector<MessageRecord*>* known = new std::vector<MessageRecord*>;
    return *known;
}

// What a line means, and what to try; $1 and $2 are the groups of the pattern. The most telling first: want of memory is
// what many of the others come from. These are the lines of rtseg/runners/tensorrt/messages.py that loading and running
// an engine can meet.
struct Translation {
    const char *pattern, *cause, *hint;
};

#define RTSEG_CUDA_FAILS "CUDA initialization failure with error:? ?"

const Translation kTranslations[] = {
    {RTSEG_CUDA_FAILS "35\\b|CUDA driver version is insufficient",
     "there is no NVIDIA driver, or one too old for this TensorRT's CUDA",
     "nvidia-smi, which shows the driver; a newer one, or a TensorRT for an older CUDA; in a container --gpus all"},
    {RTSEG_CUDA_FAILS "100\\b|no CUDA-capable device is detected", "CUDA sees no GPU",
     "nvidia-smi -L, which lists the GPUs; unset CUDA_VISIBLE_DEVICES; in a container --gpus all"},
    {RTSEG_CUDA_FAILS "34\\b|CUDA driver is a stub library", "the CUDA toolkit's stub library hides the driver",
     "take the toolkit's stubs folder out of LD_LIBRARY_PATH"},
    {RTSEG_CUDA_FAILS "80[34]\\b", "the parts of the NVIDIA driver have different versions",
     "restart the machine, or load the kernel module of the installed driver: nvidia-smi says which is running"},
    {"OutOfMemory|out of memory|Requested amount of GPU memory|insufficient memory on requested size|" RTSEG_CUDA_FAILS
     "2\\b",
     "not enough GPU memory", "a smaller resolution, fewer sessions, or a GPU on which nothing else runs"},
    {RTSEG_CUDA_FAILS "\\d+", "CUDA cannot be used here", kNoGpu},
    {"Plugin not found|IPluginCreator not found|Cannot deserialize plugin",
     "a plugin that the graph or engine needs is missing", "an export without it; rtseg's own need none"},
    {"expecting library version (\\S+) got (\\S+?),", "the engine is of TensorRT $2, and this is $1",
     "rtseg build, with the TensorRT that will run it"},
    {"Version tag does not match|not compatible with this version of TensorRT",
     "the engine is of another version of TensorRT", "rtseg build, with the TensorRT that will run it"},
    {"incompatible device, expecting compute (\\S+) got compute (\\S+?),",
     "the engine is for a GPU of compute capability $2, and this one has $1",
     "rtseg build, on the GPU that will run it"},
    {"[Mm]agic tag does not match|kMAGIC_TAG|Archive signature|kENGINE_SIGNATURE",
     "this is not an engine of TensorRT, or it is damaged", "rtseg build again"},
};

struct Diagnostic {
    const char *name, *cause, *hint;
};

// By the number of the bit.
const Diagnostic kDiagnostics[] = {
    {"VERSION_MISMATCH", "it is of another release", "rtseg build again, with the release that is installed here"},
    {"UNSUPPORTED_CC", "it is not for this GPU",
     "rtseg build --runtime tensorrt-rtx --compute-capability of this GPU"},
    {"OLD_CUDA_DRIVER", "the NVIDIA driver is too old", "a newer driver: nvidia-smi shows which one is installed"},
    {"OLD_CUDA_RUNTIME", "the CUDA runtime is too old", "pip install --upgrade tensorrt-rtx"},
    {"INSUFFICIENT_GPU_MEMORY", "the GPU has not enough memory",
     "a smaller resolution, or end what else is on the GPU"},
    {"MALFORMED_ENGINE", "it is damaged, or no engine", "rtseg build again"},
    {"CUDA_ERROR", "CUDA cannot be used", kNoGpu},
};

// A line without the source file and error number that TensorRT begins it with, and without breaks.
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
    // TensorRT 8 tells a missing driver as a warning, though no error follows.
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
    } catch (...) {  // for want of memory: it must not reach TensorRT's threads
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
