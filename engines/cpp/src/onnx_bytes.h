// Reads facts from the bytes of an ONNX file: its operator types, and the names of files with further weights.
//
// The C++ twin of rtseg/artifacts/onnx_bytes.py. Only messages on the way to tensors are entered. The search ends at
// bytes that are not ONNX; whoever loads them refuses them.
#ifndef RTSEG_SRC_ONNX_BYTES_H
#define RTSEG_SRC_ONNX_BYTES_H

#include <set>
#include <string>
#include <vector>

namespace rtseg_internal {

// Return the operator types in the bytes of an ONNX file, such as "Conv", of every domain.
std::set<std::string> operator_types(const std::vector<char>& content);

// Return the names of the files that an ONNX file takes values from, as it spells them; empty if it holds all values
// itself. The digest of the file does not cover those files.
std::set<std::string> external_files(const std::vector<char>& content);

}  // namespace rtseg_internal

#endif
