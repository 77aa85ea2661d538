// Files that are there as a whole or not at all.
#ifndef RTSEG_PROGRAMS_WRITTEN_FILE_H
#define RTSEG_PROGRAMS_WRITTEN_FILE_H

#include <functional>
#include <stdexcept>
#include <string>

namespace programs {

// A file or folder that cannot be written: none of the other results can be either. A name that is too long, or that
// something else has, is the matter of one input, and throws InputError instead.
class WriteError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Have a file written to a hidden name beside the path, and give it its name. The folder is made. Throws WriteError
// and InputError.
void write_atomically(const std::string& path, const std::function<void(const std::string& part)>& write);

// Have a folder filled by a hidden name beside the path, and give it its name. A folder that is there is replaced where
// nothing but frames (000000.png) is in it. Throws WriteError and InputError.
void write_folder_atomically(const std::string& path, const std::function<void(const std::string& part)>& fill);

// Write bytes so.
void write_bytes(const std::string& path, const void* bytes, size_t count);

}  // namespace programs

#endif
