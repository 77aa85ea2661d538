// Writes files completely or not at all.
#ifndef RTSEG_PROGRAMS_WRITTEN_FILE_H
#define RTSEG_PROGRAMS_WRITTEN_FILE_H

#include <functional>
#include <stdexcept>
#include <string>

namespace programs {

// A file or folder that cannot be written, so that the other results cannot either. A name that is too long, or taken
// by something else, concerns one input only, and throws InputError instead.
class WriteError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Call a function that writes a file to a hidden name beside the path, and rename the file. Makes the folder. Throws
// WriteError and InputError.
void write_atomically(const std::string& path, const std::function<void(const std::string& part)>& write);

// Call a function that fills a folder with a hidden name beside the path, and rename the folder. An existing folder is
// replaced only if it contains nothing but frames (000000.png). Throws WriteError and InputError.
void write_folder_atomically(const std::string& path, const std::function<void(const std::string& part)>& fill);

// Write bytes in the same way.
void write_bytes(const std::string& path, const void* bytes, size_t count);

}  // namespace programs

#endif
