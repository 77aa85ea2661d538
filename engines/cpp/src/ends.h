// The two ends of a frame on the host: an image becomes a graph's input, and what the graph gives becomes labels.
//
// The work is that of the C++ core, rtseg/native, which Python uses too.
#ifndef RTSEG_SRC_ENDS_H
#define RTSEG_SRC_ENDS_H

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "manifest.h"
#include "rtseg/rtseg.h"
#include "core_workspace.h"

namespace rtseg_internal {

// Return the number that an enumeration of the C interface holds. A program in C may have written any, and what is none
// of its values is not to be read as one in C++.
template <class Enumeration>
int number_of(const Enumeration& given) {
    static_assert(sizeof(Enumeration) == sizeof(int), "as C compilers store it");
    int number = 0;
    std::memcpy(&number, &given, sizeof number);
    return number;
}

// Return how many bytes a pixel has. Throws Error for an unknown format.
int bytes_of(const rtseg_pixel_format& format);

// Return a size in words, HEIGHTxWIDTH.
std::string size_text(int height, int width);

// Throw Error, naming what is wrong, for an image or label map that cannot be.
void require_image(const rtseg_image* image);
void require_label_map(const rtseg_label_map* labels);

// One thread's, with all the scratch that it needs. Nothing is allocated once an image of each size was seen.
class Ends {
  public:
    Ends(const ImageContract& image, const OutputContract& output, int threads);

    // Fill the graph's input, float32 (1, 3, height, width), or uint8 (1, height, width, 3) where it gives labels itself.
    void write_input(const rtseg_image& image, void* input);

    // Fill the labels of an image of their size from what the graph gave: float32 (1, channels, h, w), or uint8
    // (1, height, width).
    void read_labels(const void* output, const rtseg_label_map& labels);

  private:
    void write_pixels(const rtseg_image& image, uint8_t* pixels);
    void take_nearest(const uint8_t* given, const rtseg_label_map& labels);

    const ImageContract& image_;
    const OutputContract& output_;
    Workspace workspace_;
    std::vector<float> plain_;                // pixels resized but not normalised: only for graphs that give labels
    std::vector<int> source_row_, source_column_;  // of take_nearest
};

}  // namespace rtseg_internal

#endif
