// What an ONNX file says of itself, read off its bytes: its operators, and weights in other files.
//
// The C++ twin of rtseg/artifacts/onnx_bytes.py. Only the messages on the way to tensors are entered. Bytes that are no
// ONNX end the search where they make no sense: whoever loads them refuses them.
#ifndef RTSEG_SRC_ONNX_BYTES_H
#define RTSEG_SRC_ONNX_BYTES_H

#include <set>
#include <string>
#include <vector>

namespace rtseg_internal {

// Return the types of operators in the bytes of an ONNX file, such as "Conv", of every domain.
std::set<std::string> operator_types(const std::vector<char>& content);

// Return the names of the files that an ONNX file takes values from, as it has them; none where all are its own. The
// digest of the file says nothing of those.
std::set<std::string> external_files(const std::vector<char>& content);

}  // namespace rtseg_internal

#endif
