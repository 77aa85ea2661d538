// What the programs have in common: arguments in, one line for an error, an exit code.
#ifndef RTSEG_PROGRAMS_PROGRAM_H
#define RTSEG_PROGRAMS_PROGRAM_H

#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace programs {

// Arguments that cannot be; the message says what to give instead.
class UsageError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// A picture, video or folder that cannot be read or written; it costs the others nothing.
class InputError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Somebody asked the program to end.
class Interrupted : public std::exception {};

// From now on the first interrupt (Ctrl-C, or a request to end) is noted, for require_uninterrupted; a second one kills.
// A file that would exceed the system's limit is an error of writing it, and kills nobody.
void note_interrupts();

// Throw Interrupted where an interrupt was noted: at places where what is half written is removed on the way out.
void require_uninterrupted();

// An option, such as {"-o", "FOLDER", "The folder to write.", ...}.
struct Option {
    std::string name, value, help;                  // without a value it is a flag
    std::function<void(const std::string&)> take;   // given the value, or "" of a flag
};

struct Usage {
    std::string program, arguments, what, example;
    std::vector<Option> options;
};

// Take the options and return what stands between them. --help prints the usage and ends the program. Throws UsageError.
std::vector<std::string> parse(int argc, char** argv, const Usage& usage);

// Return a number of threads, 0 to 256. Throws UsageError, which names the option.
int threads_of(const std::string& option, const std::string& text);

// Run a program: 0, or what it returns; 2 for a UsageError, 130 for Interrupted, 1 for any other exception, which is
// printed as one line, and where not all of its output could be written.
int run(const std::string& program, const std::function<int()>& body);

}  // namespace programs

#endif
