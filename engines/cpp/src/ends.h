// Preprocessing and postprocessing on the host: an image becomes the graph's input, and the graph's output becomes
// labels.
//
// The C++ core, rtseg/native, does the work; Python uses it too.
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

// Return the number in an enumeration of the C interface. A C program may have stored any number, and C++ must not read
// a number that is not one of its values as the enumeration.
template <class Enumeration>
int number_of(const Enumeration& given) {
    static_assert(sizeof(Enumeration) == sizeof(int), "as C compilers store it");
    int number = 0;
    std::memcpy(&number, &given, sizeof number);
    return number;
}

// Return the bytes per pixel. Throws Error for an unknown format.
int bytes_of(const rtseg_pixel_format& format);

// Return a size as text: HEIGHTxWIDTH.
std::string size_text(int height, int width);

// Throw Error for an image or label map that is not valid.
void require_image(const rtseg_image* image);
void require_label_map(const rtseg_label_map* labels);

// Used by one thread, with all the scratch memory that it needs. It allocates nothing once it has seen an image of each
// size.
class Ends {
  public:
    Ends(const ImageContract& image, const OutputContract& output, int threads);

    // Fill the graph's input: float32 (1, 3, height, width), or uint8 (1, height, width, 3) if the graph returns
    // labels.
    void write_input(const rtseg_image& image, void* input);

    // Fill the labels of an image of the same size from the graph's output: float32 (1, channels, h, w), or uint8 (1,
    // height, width).
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
