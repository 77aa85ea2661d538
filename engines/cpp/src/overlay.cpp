#include "overlay.h"

#include <cmath>
#include <string>

#include "ends.h"
#include "errors.h"

namespace rtseg_internal {

void colour_of(const OutputContract& output, int label, uint8_t rgb[3]) {
    const bool is_class = label >= 0 && static_cast<size_t>(label) < output.palette.size();
    for (size_t c = 0; c < 3; ++c) rgb[c] = is_class ? output.palette[static_cast<size_t>(label)][c] : uint8_t{0};
}

void draw_overlay(const OutputContract& output, const rtseg_image* image, const rtseg_label_map* labels, double opacity,
                  const rtseg_canvas* canvas) {
    require_image(image);
    require_label_map(labels);
    if (canvas == nullptr) throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the canvas is NULL");
    if (number_of(canvas->format) != RTSEG_PIXELS_RGB && number_of(canvas->format) != RTSEG_PIXELS_BGR)
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the canvas has another pixel format", "",
                    "RTSEG_PIXELS_RGB or RTSEG_PIXELS_BGR");
    const rtseg_image drawn{canvas->data, canvas->height, canvas->width, canvas->row_bytes, canvas->format};
    require_image(&drawn);
    if (image->height != labels->height || image->width != labels->width || image->height != canvas->height ||
        image->width != canvas->width)
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "image, label map and canvas differ in size");
    if (!(opacity >= 0 && opacity <= 1))
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the opacity is out of range", std::to_string(opacity), "0 to 1");
    // As in NumPy: the colour's share is float32, the image's share and the sum are float64, and halves are rounded to
    // even.
    double shares[256][3];
    for (int value = 0; value < 256; ++value) {
        uint8_t rgb[3];
        colour_of(output, value, rgb);
        for (int c = 0; c < 3; ++c)
            shares[value][c] = static_cast<double>(static_cast<float>(rgb[c]) * static_cast<float>(opacity));
    }
    const int bytes = bytes_of(image->format);
    const bool is_bgr = image->format == RTSEG_PIXELS_BGR || image->format == RTSEG_PIXELS_BGRA;
    const int first = is_bgr ? 2 : 0, step = bytes == 1 ? 0 : is_bgr ? -1 : 1;  // from red to green to blue
    const bool draws_bgr = canvas->format == RTSEG_PIXELS_BGR;
    for (int y = 0; y < image->height; ++y) {
        const uint8_t* from = image->data + y * image->row_bytes;
        const uint8_t* const label = labels->data + y * labels->row_bytes;
        uint8_t* to = canvas->data + y * canvas->row_bytes;
        for (int x = 0; x < image->width; ++x, from += bytes, to += 3) {
            uint8_t rgb[3];
            for (int c = 0; c < 3; ++c) {
                const double value = from[first + c * step];
                rgb[c] = static_cast<uint8_t>(std::nearbyint(value * (1 - opacity) + shares[label[x]][c]));
            }
            for (int c = 0; c < 3; ++c) to[c] = rgb[draws_bgr ? 2 - c : c];
        }
    }
}

}  // namespace rtseg_internal
