// The manifest beside a file: the kind of file, its two contracts, its digest.
#ifndef RTSEG_SRC_MANIFEST_H
#define RTSEG_SRC_MANIFEST_H

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rtseg_internal {

// How an image becomes the network's input: ImageSpec in Python.
struct ImageContract {
    int height = 0, width = 0;
    bool is_bgr = false;
    float scale = 0;
    std::array<float, 3> mean{}, std{};
    bool is_letterbox = false;
    int padding = 114;
};

enum class Interface { kLogits, kScores, kLabels };

// The network's output: OutputSpec in Python.
struct OutputContract {
    std::string dataset;
    std::vector<std::string> names;
    std::vector<std::array<uint8_t, 3>> palette;
    int ignore_index = 255;
    Interface interface = Interface::kLogits;
    int stride = 0;
    bool align_corners = false;
    std::optional<float> threshold;

    int channels() const { return threshold ? 1 : static_cast<int>(names.size()); }
};

// The facts that a build adds, for an engine or an OpenVINO model.
struct BuildDetails {
    std::string runtime, release, lowering, weights_sha256;
    std::vector<std::string> compute_capabilities;
    bool portable = false;
    std::string hardware_compatibility;  // of the build's settings, such as "ampere_plus"; empty where they say none
};

struct Manifest {
    std::string kind, network, precision, sha256, quantization_target;
    ImageContract image;
    OutputContract output;
    BuildDetails build;
    std::string image_json, output_json;  // as the graph's metadata states them, fields sorted
};

// Return the manifest in a sidecar's text. Throws Error (RTSEG_STATUS_MANIFEST).
Manifest parse_manifest(const std::string& text, const std::string& sidecar);

// Return the manifest beside a file. The file itself is not opened. Throws Error.
Manifest read_manifest(const std::string& path);

// Throw Error unless the metadata of a graph states the manifest's contracts. path is for the message.
void require_same_contract(const Manifest& manifest, const std::string& image_json, const std::string& output_json,
                           const std::string& path);

}  // namespace rtseg_internal

#endif
