// Where and under which conditions something was measured.
//
// The twin of rtseg/benchmarking/environment.py: nothing here tells of the person, the host's name or where files lie.
#ifndef RTSEG_PROGRAMS_ENVIRONMENT_H
#define RTSEG_PROGRAMS_ENVIRONMENT_H

#include <nlohmann/json.hpp>
#include <string>

namespace programs {

// Return the present conditions. Take it right before measuring: load and clocks are those of this moment. What cannot
// be found out is null, or empty. "python" is null, and "tools" has the compiler.
nlohmann::ordered_json environment();

// Add the versions of the runtimes that this process has loaded by now, which their files' names say.
void add_loaded_runtimes(nlohmann::ordered_json& tools);

// Return the version in the name of a shared library's file, such as "2026.4.1" for libopenvino.so.2641, which is how
// OpenVINO writes it, and "10.3" for libnvinfer.so.10.3; "" where there is none.
std::string version_in_file_name(const std::string& name);

// Return name, driver, clocks, power and temperature of every NVIDIA GPU, as nvidia-smi says it. Empty without it.
nlohmann::ordered_json gpus();

}  // namespace programs

#endif
