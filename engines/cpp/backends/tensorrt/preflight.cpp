#include "preflight.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "errors.h"

namespace rtseg_internal {

namespace {

constexpr std::array<int, 2> kAmpere = {8, 0};  // the first that an engine built with ampere_plus runs on

// Return the leading numbers of a version: 8, 5, 3, 1 of "8.5.3.1".
std::vector<int> numbers_of(const std::string& version) {
    std::vector<int> numbers;
    const auto is_digit = [&](size_t at) {
        return at < version.size() && std::isdigit(static_cast<unsigned char>(version[at])) != 0;
    };
    for (size_t at = 0; is_digit(at) && numbers.size() < 8;) {
        int number = 0;
        for (; is_digit(at); ++at) number = std::min(number, 1000000) * 10 + (version[at] - '0');
        numbers.push_back(number);
        if (at < version.size() && version[at] == '.') ++at;
    }
    return numbers;
}

std::string joined(const std::vector<std::string>& texts) {
    std::string line;
    for (const std::string& text : texts) line += (line.empty() ? "" : ", ") + text;
    return line;
}

std::string runtime_of(const Manifest& manifest) {
    return manifest.build.runtime.empty() ? kTensorRt.runtime : manifest.build.runtime;
}

// Return the command that builds an engine for this machine.
std::string again_for(const Manifest& manifest, const Product& product) {
    if (product.is_rtx) return "run rtseg build ONNX --runtime tensorrt-rtx --precision " + manifest.precision;
    return "run rtseg build ONNX --precision " + manifest.precision + " on this machine";
}

std::string capability(int major, int minor) { return std::to_string(major) + "." + std::to_string(minor); }

std::string described(const Gpu& gpu) { return gpu.name + " of compute capability " + capability(gpu.major, gpu.minor); }

void require_rtx_capability(const Manifest& manifest, const Gpu& gpu, const std::string& again) {
    const std::array<int, 2> here = {gpu.major, gpu.minor};
    std::vector<std::array<int, 2>> known;
    for (const std::string& listed : manifest.build.compute_capabilities) {
        const std::vector<int> numbers = numbers_of(listed);
        if (numbers.size() != 2) {
            known.clear();
            break;
        }
        known.push_back({numbers[0], numbers[1]});
    }
    if (known.empty())
        throw Error(RTSEG_STATUS_UNSUPPORTED, "the manifest does not say which GPUs the engine is for",
                    "'" + joined(manifest.build.compute_capabilities) + "'", "", again);
    if (std::find(known.begin(), known.end(), here) != known.end()) return;
    if (manifest.build.portable && here > *std::max_element(known.begin(), known.end())) return;
    std::vector<std::string> expected;
    for (const auto& entry : known) expected.push_back(capability(entry[0], entry[1]));
    throw Error(RTSEG_STATUS_UNSUPPORTED, "the engine is for other GPUs", described(gpu),
                joined(expected) + (manifest.build.portable ? " or newer" : ""),
                again + " --compute-capability " + capability(gpu.major, gpu.minor) +
                    ", if TensorRT for RTX supports it");
}

}  // namespace

void require_product(const Manifest& manifest, const Product& product) {
    const std::string built_with = runtime_of(manifest);
    if (built_with == product.runtime) return;
    std::string words = built_with, hint = "install a newer rtseg";
    for (const Product& known : {kTensorRt, kTensorRtRtx}) {
        if (built_with != known.runtime) continue;
        words = known.words;
        hint = std::string("use the backend ") + known.runtime;
    }
    throw Error(RTSEG_STATUS_UNSUPPORTED, std::string("the engine was not built with ") + product.words,
                "one built with " + words, "", hint);
}

void require_release(const Manifest& manifest, const Product& product, const std::string& release) {
    const std::string again = again_for(manifest, product);
    const std::string& built = manifest.build.release;
    const std::vector<int> got = numbers_of(built), here = numbers_of(release);
    if (got.empty())
        throw Error(RTSEG_STATUS_UNSUPPORTED,
                    std::string("the manifest does not say which ") + product.words + " built the engine",
                    "'" + built + "'", "", again);
    const auto count = static_cast<std::ptrdiff_t>(std::min(got.size(), here.size()));
    if (!std::equal(got.begin(), got.begin() + count, here.begin()))
        throw Error(RTSEG_STATUS_UNSUPPORTED, std::string("the engine was built with another version of ") + product.words,
                    built + " in its manifest", release + ", which is installed here", again);
}

void require_capability(const Manifest& manifest, const Product& product, const Gpu& gpu) {
    const std::string again = again_for(manifest, product);
    if (product.is_rtx) return require_rtx_capability(manifest, gpu, again);
    const std::string built = joined(manifest.build.compute_capabilities);
    const std::vector<int> got = numbers_of(built);
    if (got.size() != 2)
        throw Error(RTSEG_STATUS_UNSUPPORTED, "the manifest does not say which GPU the engine is for", "'" + built + "'",
                    "", again);
    const std::array<int, 2> here = {gpu.major, gpu.minor};
    const bool is_compatible = manifest.build.hardware_compatibility == "ampere_plus";
    if (here == std::array<int, 2>{got[0], got[1]} || (is_compatible && here >= kAmpere)) return;
    throw Error(RTSEG_STATUS_UNSUPPORTED, "the engine is for another GPU", described(gpu),
                is_compatible ? "8.0 or newer" : built + ", as the engine", again);
}

void require_release_inside(const std::vector<char>& content, const std::string& release) {
    std::vector<int> got, here = numbers_of(release);
    here.resize(std::min<size_t>(here.size(), 3));
    std::string told;
    for (size_t at = 24; at < std::min<size_t>(content.size(), 27); ++at) {
        got.push_back(static_cast<unsigned char>(content[at]));
        told += (told.empty() ? "" : ".") + std::to_string(got.back());
    }
    if (got != here)
        throw Error(RTSEG_STATUS_UNSUPPORTED, "the file was not built by this release of TensorRT for RTX",
                    (told.empty() ? "nothing" : told) + " in its bytes 24 to 26", release, "run rtseg build again");
}

}  // namespace rtseg_internal
