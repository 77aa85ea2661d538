// Images for tests, and a way to give up.
#ifndef RTSEG_TESTS_TEST_IMAGES_H
#define RTSEG_TESTS_TEST_IMAGES_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <rtseg/rtseg.hpp>
#include <string>
#include <vector>

// End the test unless something holds.
#define REQUIRE(condition)                                                            \
    do {                                                                              \
        if (!(condition)) {                                                           \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                             \
        }                                                                             \
    } while (false)

// Noise of one size, with labels beside it.
struct TestFrame {
    int height, width;
    std::vector<uint8_t> pixels, labels;

    TestFrame(int rows, int columns, unsigned seed)
        : height(rows), width(columns), pixels(size() * 3), labels(size(), uint8_t{255}) {
        std::mt19937 random(seed);
        for (uint8_t& value : pixels) value = static_cast<uint8_t>(random());
    }

    size_t size() const { return static_cast<size_t>(height) * static_cast<size_t>(width); }
    rtseg::Image image() const { return {pixels.data(), height, width, rtseg::PixelFormat::kRgb}; }
    rtseg::LabelMap label_map() { return {labels.data(), height, width}; }
};

inline rtseg::Model open_golden(const std::string& folder, const std::string& backend, const std::string& name) {
    rtseg::ModelOptions options;
    options.backend = backend;
    options.threads = 1;
    return rtseg::Model(folder + "/" + name + ".onnx", options);
}

#endif
