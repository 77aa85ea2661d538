// Reads whole files, and computes their digests.
#ifndef RTSEG_SRC_FILES_H
#define RTSEG_SRC_FILES_H

#include <cstddef>
#include <string>
#include <vector>

namespace rtseg_internal {

// More than any manifest, and more than any model for frames in real time: a larger file is refused before memory is
// allocated for it.
constexpr size_t kMaxManifestBytes = size_t{16} << 20, kMaxModelBytes = size_t{2} << 30;

// Return the bytes of a regular file of at most that size. Throws Error for a file that is missing, not regular,
// larger, or unreadable.
std::vector<char> read_file(const std::string& path, size_t most_bytes = kMaxModelBytes);

// Return whether a path exists. Throws Error if that cannot be determined, such as for a loop of links.
bool exists(const std::string& path);

// Return the SHA-256 of the bytes as 64 hexadecimal digits.
std::string sha256_of(const std::vector<char>& content);

}  // namespace rtseg_internal

#endif
