#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "environment.h"

namespace programs {

using nlohmann::ordered_json;

namespace {

struct GpuField {
    const char *asked, *name;
    bool is_number;
};

// The fields of nvidia-smi, and their names in rtseg.
constexpr GpuField kFields[] = {
    {"name", "name", false},
    {"driver_version", "driver", false},
    {"compute_cap", "compute_capability", false},
    {"memory.total", "memory_mib", true},
    {"mig.mode.current", "mig", false},
    {"persistence_mode", "persistence", false},
    {"pstate", "performance_state", false},
    {"clocks.sm", "sm_clock_mhz", true},
    {"clocks.mem", "memory_clock_mhz", true},
    {"clocks.max.sm", "max_sm_clock_mhz", true},
    {"clocks.applications.graphics", "application_clock_mhz", true},
    {"power.draw", "power_w", true},
    {"power.limit", "power_limit_w", true},
    {"temperature.gpu", "temperature_c", true},
    {"utilization.gpu", "utilization_percent", true},
};

// Return nvidia-smi's values of one field, one line per GPU. Empty if the program is missing or does not know the
// field.
std::vector<std::string> asked(const char* field) {
    const std::string command =
        std::string("nvidia-smi --query-gpu=") + field + " --format=csv,noheader,nounits 2>/dev/null";
    FILE* const pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) return {};
    std::vector<std::string> lines;
    char line[256];
    while (std::fgets(line, sizeof line, pipe) != nullptr) {
        std::string text = line;
        while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
        if (!text.empty()) lines.push_back(text);
    }
    return pclose(pipe) == 0 ? lines : std::vector<std::string>();
}

ordered_json value_of(const GpuField& field, const std::string& text) {
    if (text.empty() || text[0] == '[' || text == "N/A") return nullptr;  // [N/A], [Not Supported], ...
    if (!field.is_number) return text;
    char* end = nullptr;
    const double number = std::strtod(text.c_str(), &end);
    return *end == '\0' ? ordered_json(number) : ordered_json(nullptr);
}

}  // namespace

ordered_json gpus() {
    ordered_json found = ordered_json::array();
    for (size_t i = asked("name").size(); i > 0; --i) found.push_back(ordered_json::object());
    if (found.empty()) return found;
    // One unknown field makes a whole query fail, so each field is a query of its own.
    for (const GpuField& field : kFields) {
        const std::vector<std::string> answers = asked(field.asked);
        for (size_t i = 0; i < found.size(); ++i)
            found[i][field.name] = answers.size() == found.size() ? value_of(field, answers[i]) : ordered_json(nullptr);
    }
    for (ordered_json& gpu : found) gpu["throttle_reasons"] = nullptr;  // Python's rtseg bench reads them
    return found;
}

}  // namespace programs
