// The machine and the conditions of a measurement.
//
// The twin of rtseg/benchmarking/environment.py. It contains no name of a person or host, and no path.
#ifndef RTSEG_PROGRAMS_ENVIRONMENT_H
#define RTSEG_PROGRAMS_ENVIRONMENT_H

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace programs {

// Return the current conditions. Call it right before measuring: load and clocks change. Unknown facts are null or
// empty. "python" is null, and "tools" contains the compiler.
nlohmann::ordered_json environment();

// Add the versions of the runtimes that this process has loaded so far, from their file names.
void add_loaded_runtimes(nlohmann::ordered_json& tools);

// Return the version in the file name of a shared library: "2026.4.1" for libopenvino.so.2641, which is OpenVINO's
// form, and "10.3" for libnvinfer.so.10.3; "" if there is none.
std::string version_in_file_name(const std::string& name);

// Return name, driver, clocks, power and temperature of every NVIDIA GPU, from nvidia-smi. Empty without it.
nlohmann::ordered_json gpus();

}  // namespace programs

#endif
