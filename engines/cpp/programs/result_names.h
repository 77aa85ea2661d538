// What the results of several files are called, so that none takes another's place: the rule of `rtseg run`.
#ifndef RTSEG_PROGRAMS_RESULT_NAMES_H
#define RTSEG_PROGRAMS_RESULT_NAMES_H

#include <string>
#include <vector>

namespace programs {

// A file is called by its name without the suffix, with it where others share that name, and with its folders before it
// where others share that one too. Names that differ in the case of ASCII letters are one name; in one folder all but the
// first of these get a number. Throws InputError where paths cannot be told apart so.
std::vector<std::string> result_names(const std::vector<std::string>& paths);

// Return a name with its ASCII letters in lower case.
std::string folded(std::string name);

}  // namespace programs

#endif
