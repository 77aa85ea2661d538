#include <cstdint>
#include <iostream>
#include <rtseg/rtseg.hpp>
#include <vector>

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    try {
        const rtseg::Model model(argv[1]);
        rtseg::Session session(model);
        const std::vector<uint8_t> pixels(30 * 40 * 3, 128);
        std::vector<uint8_t> labels(30 * 40);
        session.run(rtseg::Image(pixels.data(), 30, 40, rtseg::PixelFormat::kRgb), rtseg::LabelMap(labels.data(), 30, 40));
        std::cout << model.class_name(labels[0]) << "\n";
    } catch (const rtseg::Error& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
