// Reads facts from any bytes as an ONNX file, without a read beyond their end.

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "fuzz_input.h"
#include "onnx_bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::vector<char> content(data, data + size);
    size_t named = 0;
    for (const std::string& type : rtseg_internal::operator_types(content)) named += type.size();
    REQUIRE(named <= 200 * size);
    for (const std::string& file : rtseg_internal::external_files(content)) REQUIRE(!file.empty());
    return 0;
}
