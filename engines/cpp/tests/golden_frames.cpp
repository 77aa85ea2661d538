// Checks the golden vectors from C++: the ends as the library itself does them, by the core's workspace calls, and whole
// models through rtseg.hpp.
//
//     golden_frames FOLDER BACKEND

#include <array>
#include <cstring>
#include <memory>
#include <rtseg/rtseg.hpp>
#include <string>
#include <vector>

#include "ends.h"
#include "golden_cases.h"

namespace {

using rtseg_internal::Ends;
using rtseg_internal::ImageContract;
using rtseg_internal::Interface;
using rtseg_internal::OutputContract;

template <class Value>
using Held = std::unique_ptr<Value, decltype(&std::free)>;

Held<uint8_t> bytes_of(const char* folder, const char* key, golden_place place) {
    return {golden_bytes(folder, key, place), &std::free};
}

rtseg::PixelFormat format_of(const std::string& name) {
    return name == "RGB"    ? rtseg::PixelFormat::kRgb
           : name == "BGR"  ? rtseg::PixelFormat::kBgr
           : name == "RGBA" ? rtseg::PixelFormat::kRgba
           : name == "BGRA" ? rtseg::PixelFormat::kBgra
                            : rtseg::PixelFormat::kGrey;
}

rtseg::Image image_of(const golden_case& of, const uint8_t* bytes) {
    return {bytes + of.image_offset, of.image_height, of.image_width, format_of(of.format), of.image_row_bytes};
}

ImageContract image_contract(const golden_case& of) {
    ImageContract contract;
    contract.height = of.input_height;
    contract.width = of.input_width;
    contract.is_bgr = std::string(of.colour_order) == "BGR";
    contract.is_letterbox = std::string(of.fit) == "letterbox";
    contract.padding = of.padding;
    contract.scale = of.scale;
    for (size_t c = 0; c < 3; ++c) contract.mean[c] = of.mean[c], contract.std[c] = of.std[c];
    return contract;
}

OutputContract output_contract(const golden_case& of) {
    const std::string interface = of.interface;
    OutputContract contract;
    contract.names.resize(static_cast<size_t>(of.classes == 0 ? 2 : of.classes));
    contract.interface = interface == "labels"   ? Interface::kLabels
                         : interface == "scores" ? Interface::kScores
                                                 : Interface::kLogits;
    contract.stride = of.stride == 0 ? 1 : of.stride;
    contract.align_corners = of.align_corners != 0;
    if (of.has_threshold) contract.threshold = of.threshold;
    return contract;
}

bool input_agrees(const char* folder, const golden_case& of, int threads) {
    const ImageContract image = image_contract(of);
    const OutputContract output = output_contract(of);
    const size_t values = 3 * static_cast<size_t>(of.input_height) * static_cast<size_t>(of.input_width);
    std::vector<uint8_t> made(output.interface == Interface::kLabels ? values : values * sizeof(float));
    const auto picture = bytes_of(folder, "image", of.image);
    Ends(image, output, threads).write_input(image_of(of, picture.get()).view(), made.data());
    if (output.interface == Interface::kLabels)
        return golden_equal(&of, "input", made.data(), bytes_of(folder, "input", of.input).get(), made.size()) != 0;
    const Held<float> expected(golden_floats(folder, "input", of.input), &std::free);
    return golden_equal(&of, "input", made.data(), expected.get(), made.size()) != 0;
}

bool labels_agree(const char* folder, const golden_case& of, int threads) {
    const ImageContract image = image_contract(of);
    const OutputContract output = output_contract(of);
    std::vector<uint8_t> made(static_cast<size_t>(of.image_height) * static_cast<size_t>(of.labels_row_bytes), GOLDEN_GAP);
    const rtseg_label_map map{made.data(), of.image_height, of.image_width, of.labels_row_bytes};
    const bool has_bytes = output.interface == Interface::kLabels;
    const auto labels = bytes_of(folder, "result", of.result);
    const Held<float> logits(has_bytes ? nullptr : golden_floats(folder, "result", of.result), &std::free);
    Ends(image, output, threads).read_labels(has_bytes ? static_cast<const void*>(labels.get()) : logits.get(), map);
    return golden_equal(&of, "label map", made.data(), bytes_of(folder, "labels", of.labels).get(), made.size()) != 0;
}

bool frame_agrees(const char* folder, const char* backend, const golden_case& of) {
    rtseg::ModelOptions options;
    options.backend = backend;
    options.threads = 1;
    const rtseg::Model model(std::string(folder) + "/" + of.model, options);
    rtseg::Session session(model);
    const auto picture = bytes_of(folder, "image", of.image);
    std::vector<uint8_t> made(static_cast<size_t>(of.image_height) * static_cast<size_t>(of.labels_row_bytes), GOLDEN_GAP);
    session.run(image_of(of, picture.get()), {made.data(), of.image_height, of.image_width, of.labels_row_bytes});
    return golden_equal(&of, "label map", made.data(), bytes_of(folder, "labels", of.labels).get(), made.size()) != 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    int cases = 0, wrong = 0;
    golden_case of;
    FILE* const index = golden_open(argv[1]);
    while (golden_next(index, &of)) {
        const std::string kind = of.kind;
        ++cases;
        for (const int threads : {1, 3}) {
            if (kind == "input") wrong += !input_agrees(argv[1], of, threads);
            if (kind == "labels") wrong += !labels_agree(argv[1], of, threads);
        }
        if (kind == "model") wrong += !frame_agrees(argv[1], argv[2], of);
    }
    std::fclose(index);
    std::printf("%d cases, %d wrong\n", cases, wrong);
    return wrong > 0 || cases == 0;
}
