// Reads any text as a manifest and as a graph's metadata: it is accepted, or refused in one line. An accepted manifest
// matches its own contracts.

#include <cstddef>
#include <cstdint>
#include <string>

#include "errors.h"
#include "fuzz_input.h"
#include "manifest.h"

namespace {

using namespace rtseg_internal;

void require_one_line(const Error& error) {
    const std::string line = error.what();
    REQUIRE(error.status() == RTSEG_STATUS_MANIFEST);
    REQUIRE(!line.empty() && line.find('\n') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    try {
        const Manifest manifest = parse_manifest(text, "fuzz.json");
        REQUIRE(manifest.output.names.size() == manifest.output.palette.size());
        REQUIRE(manifest.image.height >= 16 && manifest.image.width >= 16 && manifest.image.scale > 0);
        require_same_contract(manifest, manifest.image_json, manifest.output_json, "fuzz");
        try {
            require_same_contract(manifest, text, manifest.output_json, "fuzz");
            REQUIRE(false);  // a manifest is no image contract
        } catch (const Error& error) {
            require_one_line(error);
        }
    } catch (const Error& error) {
        require_one_line(error);
    }
    return 0;
}
