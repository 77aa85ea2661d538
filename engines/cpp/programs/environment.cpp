#include "environment.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <vector>

namespace programs {

using nlohmann::ordered_json;

namespace {

namespace fs = std::filesystem;

// The environment variables that change the speed of the backends. None of them holds a path.
constexpr const char* kVariables[] = {
    "ATEN_CPU_CAPABILITY", "CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING",
    "CUDA_VISIBLE_DEVICES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "KMP_BLOCKTIME",
    "MKL_NUM_THREADS", "NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS", "OMP_PLACES",
    "OMP_PROC_BIND", "OMP_WAIT_POLICY", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_NUM_THREADS",
};

#ifdef __clang__
constexpr const char* kCompiler = __VERSION__;
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

std::string text_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

std::string stripped(const std::string& text, const char* what = " \t\r\n") {
    const size_t begin = text.find_first_not_of(what), end = text.find_last_not_of(what);
    return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

ordered_json or_null(const std::string& text) { return text.empty() ? ordered_json(nullptr) : ordered_json(text); }

// Return the value of the first line with that key, "" if no line has it.
std::string value_of(const std::string& text, const std::string& key, char separator) {
    for (const std::string& line : lines_of(text)) {
        const size_t at = line.find(separator);
        if (at == std::string::npos || stripped(line.substr(0, at)) != key) continue;
        if (const std::string value = stripped(line.substr(at + 1)); !value.empty()) return value;
    }
    return "";
}

std::string cpu_model() {
    const std::string model = value_of(text_of("/proc/cpuinfo"), "model name", ':');
    return model.empty() ? text_of("/proc/device-tree/model").c_str() : model;  // c_str: it ends with a zero
}

ordered_json available_cores() {
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores);
    return sysconf(_SC_NPROCESSORS_ONLN);
}

// Return the CPU time that a control group allows, in cores, for version 2 or 1.
std::optional<double> quota_of(const fs::path& folder) {
    std::istringstream words(text_of(folder / "cpu.max") + " " + text_of(folder / "cpu.cfs_quota_us") + " " +
                             text_of(folder / "cpu.cfs_period_us"));
    double quota = 0, period = 0;
    if (!(words >> quota >> period) || quota <= 0 || period <= 0) return std::nullopt;  // "max 100000" is no number
    return quota / period;
}

ordered_json cpu_quota_cores() {
    std::optional<double> tightest;
    for (const std::string& line : lines_of(text_of("/proc/self/cgroup"))) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        if (!controllers.empty() && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
        const fs::path top = controllers.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
        const fs::path own = top / fs::path(line.substr(second + 1)).relative_path();
        for (fs::path folder = own; folder != folder.root_path(); folder = folder.parent_path()) {
            if (const auto quota = quota_of(folder)) tightest = tightest ? std::min(*tightest, *quota) : *quota;
            if (folder == top) break;
        }
    }
    return tightest ? ordered_json(*tightest) : ordered_json(nullptr);
}

std::string cpu_governor() {
    std::set<std::string> found;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator("/sys/devices/system/cpu", ignored)) {
        const std::string governor = stripped(text_of(entry.path() / "cpufreq/scaling_governor"));
        if (!governor.empty()) found.insert(governor);
    }
    std::string joined;
    for (const std::string& governor : found) joined += (joined.empty() ? "" : ", ") + governor;
    return joined;
}

ordered_json load_average() {
    double load[3];
    if (getloadavg(load, 3) != 3) return nullptr;
    ordered_json rounded = ordered_json::array();
    for (const double value : load) rounded.push_back(std::round(value * 100) / 100);
    return rounded;
}

}  // namespace

ordered_json environment() {
    utsname system{};
    uname(&system);
    ordered_json variables = ordered_json::object();
    for (const char* name : kVariables)
        if (const char* value = std::getenv(name)) variables[name] = value;
    const std::string os = stripped(value_of(text_of("/etc/os-release"), "PRETTY_NAME", '='), "\"'");
    return {{"cpu",
             {{"model", or_null(cpu_model())},
              {"architecture", system.machine},
              {"logical_cores", sysconf(_SC_NPROCESSORS_ONLN)},
              {"available_cores", available_cores()},
              {"quota_cores", cpu_quota_cores()},
              {"governor", or_null(cpu_governor())}}},
            {"memory_bytes", static_cast<int64_t>(sysconf(_SC_PAGE_SIZE)) * sysconf(_SC_PHYS_PAGES)},
            {"os", {{"name", or_null(os)}, {"kernel", std::string(system.sysname) + " " + system.release}}},
            {"python", nullptr},
            {"tools", {{"compiler", kCompiler}}},
            {"load_average", load_average()},
            {"gpus", gpus()},
            {"checkout", nullptr},
            {"variables", variables}};
}

std::string version_in_file_name(const std::string& name) {
    const size_t at = name.find(".so.");
    if (at == std::string::npos) return "";
    const std::string version = name.substr(at + 4);
    const bool is_packed = version.size() == 4 && version.find('.') == std::string::npos;
    if (name.compare(0, at, "libopenvino") != 0 || !is_packed) return version;
    return "20" + version.substr(0, 2) + "." + version[2] + "." + version[3];
}

void add_loaded_runtimes(ordered_json& tools) {
    const std::pair<const char*, const char*> runtimes[] = {{"onnxruntime", "libonnxruntime"},
                                                            {"openvino", "libopenvino"},
                                                            {"tensorrt", "libnvinfer"},
                                                            {"tensorrt-rtx", "libtensorrt_rtx"}};
    for (const std::string& line : lines_of(text_of("/proc/self/maps"))) {
        const size_t slash = line.find_last_of('/');
        if (slash == std::string::npos) continue;
        const std::string name = line.substr(slash + 1), version = version_in_file_name(name);
        for (const auto& [tool, library] : runtimes)
            if (!version.empty() && name.substr(0, name.find(".so.")) == library) tools[tool] = version;
    }
}

}  // namespace programs
