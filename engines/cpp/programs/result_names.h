// Names the results of several files so that none overwrites another: the rule of `rtseg run`.
#ifndef RTSEG_PROGRAMS_RESULT_NAMES_H
#define RTSEG_PROGRAMS_RESULT_NAMES_H

#include <string>
#include <vector>

namespace programs {

// A result has the name of its file without the suffix; with the suffix, if files share that name; and with the
// folders, if they share that name too. Names that differ only in the case of ASCII letters are equal; in one folder,
// all but the first of these get a number. Throws InputError if the names of two paths remain equal.
std::vector<std::string> result_names(const std::vector<std::string>& paths);

// Return a name with its ASCII letters in lower case.
std::string folded(std::string name);

}  // namespace programs

#endif
