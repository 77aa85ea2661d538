// Copies between a caller's image or label map, whose rows may have gaps, and packed buffers.
#ifndef RTSEG_TENSORRT_PIXELS_H
#define RTSEG_TENSORRT_PIXELS_H

#include <cstdint>

#include "rtseg/rtseg.h"

namespace rtseg_internal {

// Whether a pixel of that format begins with blue. The kernels take both orders; grey has none.
constexpr bool is_blue_first(rtseg_pixel_format format) {
    return format == RTSEG_PIXELS_BGR || format == RTSEG_PIXELS_BGRA;
}

// Write height x width x 3 bytes, in the image's own order of channels: without alpha, grey three times.
void pack_pixels(const rtseg_image& image, uint8_t* packed);

// Write the label map from height x width bytes.
void unpack_labels(const uint8_t* packed, const rtseg_label_map& labels);

}  // namespace rtseg_internal

#endif
