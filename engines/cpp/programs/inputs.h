// Finds the input files in the given files and folders, as `rtseg run` does.
#ifndef RTSEG_PROGRAMS_INPUTS_H
#define RTSEG_PROGRAMS_INPUTS_H

#include <string>
#include <vector>

namespace programs {

struct Failure {
    std::string input, error;
};

struct Inputs {
    std::vector<std::string> files;
    std::vector<Failure> failures;  // the given paths without any
};

bool is_video(const std::string& path);

// Return the inputs: each given file, and the visible pictures and videos of each given folder, sorted, without
// subfolders. A file that is given twice is listed once. Throws InputError if nothing is left.
Inputs expand_inputs(const std::vector<std::string>& paths);

}  // namespace programs

#endif
