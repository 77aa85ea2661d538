// The files that are meant by files and folders, as `rtseg run` takes them.
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
    std::vector<Failure> failures;  // what was named and gives none
};

bool is_video(const std::string& path);

// A file is itself, a folder its visible pictures and videos, sorted, not its subfolders. A file that is meant twice is
// given once. Throws InputError where nothing is left.
Inputs expand_inputs(const std::vector<std::string>& paths);

}  // namespace programs

#endif
