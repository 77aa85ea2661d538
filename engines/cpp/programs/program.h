// Shared by the programs: parsing of arguments, one line for an error, exit codes.
#ifndef RTSEG_PROGRAMS_PROGRAM_H
#define RTSEG_PROGRAMS_PROGRAM_H

#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace programs {

// Invalid arguments; the message says what is valid.
class UsageError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// A picture, video or folder that cannot be read or written; the other inputs are still processed.
class InputError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// The user asked the program to end.
class Interrupted : public std::exception {};

// From now on, the first interrupt (Ctrl-C, or a request to terminate) is recorded for require_uninterrupted; a second
// one ends the process. Exceeding the system's limit on file sizes becomes an error of writing instead of ending the
// process.
void note_interrupts();

// Throw Interrupted if an interrupt was recorded. Called where a partly written file is removed on the way out.
void require_uninterrupted();

// An option, such as {"-o", "FOLDER", "The folder to write.", ...}.
struct Option {
    std::string name, value, help;                  // without a value it is a flag
    std::function<void(const std::string&)> take;   // called with the value, or "" for a flag
};

struct Usage {
    std::string program, arguments, what, example;
    std::vector<Option> options;
};

// Process the options and return the other arguments. --help prints the usage and ends the program. Throws UsageError.
std::vector<std::string> parse(int argc, char** argv, const Usage& usage);

// Return a number of threads, 0 to 256. Throws UsageError with the name of the option.
int threads_of(const std::string& option, const std::string& text);

// Run a program and return its exit code: its own, by default 0; 2 for a UsageError; 130 for Interrupted; 1 for any
// other exception, which is printed as one line, and if its output could not be written completely.
int run(const std::string& program, const std::function<int()>& body);

}  // namespace programs

#endif
