// Files read whole, and their digests.
#ifndef RTSEG_SRC_FILES_H
#define RTSEG_SRC_FILES_H

#include <cstddef>
#include <string>
#include <vector>

namespace rtseg_internal {

// More than any manifest, and any model for frames in time, has: what is larger is refused before memory is taken for it.
constexpr size_t kMaxManifestBytes = size_t{16} << 20, kMaxModelBytes = size_t{2} << 30;

// Return the bytes of a regular file of at most so many. Throws Error for what is missing, is no regular file, is larger,
// or cannot be read.
std::vector<char> read_file(const std::string& path, size_t most_bytes = kMaxModelBytes);

// Return whether there is anything at a path. Throws Error where that cannot be said, such as for a loop of links.
bool exists(const std::string& path);

// Return the SHA-256 of bytes, 64 hexadecimal digits.
std::string sha256_of(const std::vector<char>& content);

}  // namespace rtseg_internal

#endif
