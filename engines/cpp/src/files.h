// Files read whole, and their digests.
#ifndef RTSEG_SRC_FILES_H
#define RTSEG_SRC_FILES_H

#include <string>
#include <vector>

namespace rtseg_internal {

// Return the bytes of a regular file. Throws Error for what is missing, is no regular file, or cannot be read.
std::vector<char> read_file(const std::string& path);

// Return whether there is anything at a path.
bool exists(const std::string& path);

// Return the SHA-256 of bytes, 64 hexadecimal digits.
std::string sha256_of(const std::vector<char>& content);

}  // namespace rtseg_internal

#endif
