#include "manifest.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "errors.h"
#include "files.h"
#include "json_fields.h"

namespace rtseg_internal {
namespace {

using nlohmann::json;

constexpr int kContractVersion = 2;
constexpr int kMinSide = 16, kMaxSide = 16384, kMaxPixels = 64 * 1024 * 1024, kMaxClasses = 256;
constexpr double kMaxLogit = 1e30;

// Return the version of a contract, 1 if it states none. Exactly the fields of that version are required: an unknown
// field may change the meaning of the others.
int contract_version(const Fields& contract, const std::vector<std::string>& first,
                     const std::vector<std::string>& second) {
    const int version = contract.has("version") ? contract.integer("version", 1, 1 << 30) : 1;
    if (version > kContractVersion)
        throw Error(RTSEG_STATUS_MANIFEST, contract.name() + " is of a newer version", std::to_string(version),
                    std::to_string(kContractVersion) + " or less", "install a newer rtseg");
    std::vector<std::string> expected = first;
    if (contract.has("version")) expected.push_back("version");
    if (version > 1) expected.insert(expected.end(), second.begin(), second.end());
    contract.require_exactly(expected);
    return version;
}

bool is_float32(double value) { return std::isfinite(static_cast<float>(value)); }

// Each pixel value must become a finite float32 number.
void require_normalizing(const Fields& image) {
    const double scale = image.number("scale");
    const std::vector<double> mean = image.numbers("mean", 3), std = image.numbers("std", 3);
    bool usable = is_float32(scale) && static_cast<float>(scale) > 0 && is_float32(1 / scale);
    for (size_t i = 0; i < 3; ++i) {
        usable = usable && is_float32(mean[i]) && is_float32(std[i]) && static_cast<float>(std[i]) > 0;
        usable = usable && is_float32(1 / std[i]) && is_float32((255 * scale - mean[i]) / std[i]);
        usable = usable && is_float32(mean[i] / std[i]) && is_float32(255 * scale);
    }
    if (!usable)
        throw Error(RTSEG_STATUS_MANIFEST, image.name() + " has a scale, mean or std that float32 cannot use");
}

ImageContract image_contract(const json& data) {
    const Fields image(data, "the image contract");
    const int version =
        contract_version(image, {"height", "width", "colour_order", "scale", "mean", "std", "resize"}, {"fit", "padding"});
    ImageContract contract;
    contract.height = image.integer("height", kMinSide, kMaxSide);
    contract.width = image.integer("width", kMinSide, kMaxSide);
    if (static_cast<int64_t>(contract.height) * contract.width > kMaxPixels)
        throw Error(RTSEG_STATUS_MANIFEST, image.name() + " has too many pixels");
    contract.is_bgr = image.choice("colour_order", {"RGB", "BGR"}) == 1;
    image.choice("resize", {"bilinear"});
    require_normalizing(image);
    contract.scale = static_cast<float>(image.number("scale"));
    for (size_t i = 0; i < 3; ++i) {
        contract.mean[i] = static_cast<float>(image.numbers("mean", 3)[i]);
        contract.std[i] = static_cast<float>(image.numbers("std", 3)[i]);
    }
    if (version > 1) {
        contract.is_letterbox = image.choice("fit", {"stretch", "letterbox"}) == 1;
        contract.padding = image.integer("padding", 0, 255);
    }
    return contract;
}

void read_classes(const json& data, OutputContract& contract) {
    const Fields classes(data, "the list of classes");
    contract_version(classes, {"dataset", "names", "palette", "ignore_index"}, {});
    contract.dataset = classes.text("dataset");
    contract.names = classes.texts("names");
    contract.ignore_index = classes.integer("ignore_index", -(1 << 30), 1 << 30);
    const size_t count = contract.names.size();
    if (count < 2 || count > static_cast<size_t>(kMaxClasses))
        throw Error(RTSEG_STATUS_MANIFEST, "the number of classes is out of range", std::to_string(count), "2 to 256");
    const std::vector<const json*> palette = classes.list("palette");
    if (palette.size() != count)
        throw Error(RTSEG_STATUS_MANIFEST, "a palette has one colour per class", std::to_string(palette.size()),
                    std::to_string(count));
    for (const json* colour : palette) {
        const std::vector<int> values = integers_of(*colour, "a palette colour", 3, 0, 255);
        contract.palette.push_back({static_cast<uint8_t>(values[0]), static_cast<uint8_t>(values[1]),
                                    static_cast<uint8_t>(values[2])});
    }
}

OutputContract output_contract(const json& data) {
    const Fields output(data, "the output contract");
    const int version = contract_version(output, {"classes", "interface", "stride", "align_corners", "upsampling"},
                                         {"threshold"});
    OutputContract contract;
    read_classes(output.at("classes"), contract);
    contract.interface = static_cast<Interface>(output.choice("interface", {"logits", "scores", "labels"}));
    contract.stride = output.integer("stride", 1, 32);
    if ((contract.stride & (contract.stride - 1)) != 0)
        throw Error(RTSEG_STATUS_MANIFEST, "the stride of the logits is no power of 2", std::to_string(contract.stride));
    contract.align_corners = output.flag("align_corners");
    output.choice("upsampling", {"bilinear"});
    if (version > 1 && !output.at("threshold").is_null()) {
        const double threshold = output.number("threshold");
        if (!(threshold >= -kMaxLogit && threshold <= kMaxLogit) || contract.names.size() != 2)
            throw Error(RTSEG_STATUS_MANIFEST, "the threshold is out of range, or not of two classes");
        contract.threshold = static_cast<float>(threshold);
    }
    return contract;
}

BuildDetails build_details(const json& data) {
    const Fields details(data, "the manifest's details");
    BuildDetails build;
    if (details.has("runtime")) build.runtime = details.text("runtime");
    if (details.has("release")) build.release = details.text("release");
    if (details.has("lowering")) build.lowering = details.text("lowering");
    if (details.has("weights_sha256")) build.weights_sha256 = details.text("weights_sha256");
    if (details.has("compute_capabilities")) build.compute_capabilities = details.texts("compute_capabilities");
    if (details.has("portable")) build.portable = details.flag("portable");
    if (details.has("settings")) {
        const Fields settings(details.at("settings"), "the settings of the build");
        if (settings.has("hardware_compatibility"))
            build.hardware_compatibility = settings.text("hardware_compatibility");
    }
    return build;
}

Manifest manifest_of(const json& data) {
    const Fields fields(data, "the manifest");
    const std::string format = fields.text("format");
    if (format != "rtseg/2" && format != "rtseg/1")
        throw Error(RTSEG_STATUS_MANIFEST, "the manifest has an unsupported format", format, "rtseg/2", "install a newer rtseg");
    Manifest manifest;
    manifest.kind = fields.text("kind");
    if (format == "rtseg/1" && manifest.kind == "engine")
        throw Error(RTSEG_STATUS_MANIFEST, "the manifest of an engine of an older rtseg", format, "rtseg/2",
                    "run rtseg build again");
    manifest.network = fields.text("network");
    manifest.precision = fields.text("precision");
    manifest.sha256 = fields.text("sha256");
    manifest.image = image_contract(fields.at("image"));
    manifest.output = output_contract(fields.at("output"));
    if (format == "rtseg/2") manifest.build = build_details(fields.at("details"));
    // nlohmann::json keeps the fields of an object sorted
    manifest.image_json = fields.at("image").dump();
    manifest.output_json = fields.at("output").dump();
    return manifest;
}

// Parse JSON. Text that is nested deeper than any manifest is refused, because other code walks through it recursively.
json parsed(const std::string& text) {
    constexpr int kDepth = 64;
    return json::parse(text, [](int depth, json::parse_event_t, json&) {
        if (depth > kDepth) throw Error(RTSEG_STATUS_MANIFEST, "its JSON is nested too deeply");
        return true;
    });
}

// Return the first field in which two objects differ, as "name: value of the first, value of the second".
std::pair<std::string, std::string> difference(const json& got, const json& expected) {
    for (const auto& field : expected.items()) {
        const json found = got.is_object() && got.contains(field.key()) ? got.at(field.key()) : json();
        if (found == field.value()) continue;
        if (found.is_object() && field.value().is_object()) return difference(found, field.value());
        return {field.key() + " " + found.dump().substr(0, 120), field.key() + " " + field.value().dump().substr(0, 120)};
    }
    return {"other fields", "those of the manifest"};
}

// Return the contract in a graph's metadata; null if it is not JSON.
json stated_contract(const std::string& text) {
    try {
        return parsed(text);
    } catch (const std::exception&) {
        return json();
    }
}

}  // namespace

Manifest parse_manifest(const std::string& text, const std::string& sidecar) {
    try {
        return manifest_of(parsed(text));
    } catch (const Error& error) {
        throw Error(RTSEG_STATUS_MANIFEST, sidecar + " is not an rtseg manifest (" + error.what() + ")");
    } catch (const json::exception& error) {
        throw Error(RTSEG_STATUS_MANIFEST, sidecar + " is not an rtseg manifest (" + error.what() + ")");
    }
}

Manifest read_manifest(const std::string& path) {
    const std::string sidecar = path + ".json";
    if (!exists(path)) throw Error(RTSEG_STATUS_FILE, "cannot read " + path + ": no such file");
    const bool is_sidecar = path.size() > 5 && path.compare(path.size() - 5, 5, ".json") == 0;
    if (is_sidecar && !exists(sidecar) && exists(path.substr(0, path.size() - 5)))
        throw Error(RTSEG_STATUS_MANIFEST, path + " is a manifest", "", "the file that it describes",
                    "open " + path.substr(0, path.size() - 5));
    if (!exists(sidecar))
        throw Error(RTSEG_STATUS_MANIFEST, path + " has no manifest beside it", "", sidecar,
                    "copy both, or run rtseg import-onnx " + path + " if another exporter wrote it");
    const std::vector<char> text = read_file(sidecar, kMaxManifestBytes);
    return parse_manifest(std::string(text.begin(), text.end()), sidecar);
}

void require_same_contract(const Manifest& manifest, const std::string& image_json, const std::string& output_json,
                           const std::string& path) {
    const std::pair<const std::string*, const std::string*> sides[] = {{&image_json, &manifest.image_json},
                                                                       {&output_json, &manifest.output_json}};
    for (const auto& [stated, wanted] : sides) {
        const json got = stated_contract(*stated), expected = parsed(*wanted);
        if (got == expected) continue;
        const auto [found, described] = difference(got, expected);
        throw Error(RTSEG_STATUS_MANIFEST, path + " and its manifest state different contracts", found, described);
    }
}

}  // namespace rtseg_internal
