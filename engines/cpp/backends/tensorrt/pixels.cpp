#include "pixels.h"

#include <cstddef>
#include <cstring>

namespace rtseg_internal {

void pack_pixels(const rtseg_image& image, uint8_t* packed) {
    const size_t width = static_cast<size_t>(image.width);
    const uint8_t* row = image.data;
    for (int y = 0; y < image.height; ++y, row += image.row_bytes, packed += 3 * width) {
        switch (image.format) {
            case RTSEG_PIXELS_RGB:
            case RTSEG_PIXELS_BGR:
                memcpy(packed, row, 3 * width);
                break;
            case RTSEG_PIXELS_RGBA:
            case RTSEG_PIXELS_BGRA:
                for (size_t x = 0; x < width; ++x)
                    for (size_t c = 0; c < 3; ++c) packed[3 * x + c] = row[4 * x + c];
                break;
            case RTSEG_PIXELS_GREY:
                for (size_t x = 0; x < width; ++x)
                    for (size_t c = 0; c < 3; ++c) packed[3 * x + c] = row[x];
                break;
        }
    }
}

void unpack_labels(const uint8_t* packed, const rtseg_label_map& labels) {
    const size_t width = static_cast<size_t>(labels.width);
    uint8_t* row = labels.data;
    for (int y = 0; y < labels.height; ++y, row += labels.row_bytes, packed += width) memcpy(row, packed, width);
}

}  // namespace rtseg_internal
