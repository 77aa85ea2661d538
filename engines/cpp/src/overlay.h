// The colours of the classes over an image: the arithmetic of rtseg.frame.palette.
#ifndef RTSEG_SRC_OVERLAY_H
#define RTSEG_SRC_OVERLAY_H

#include "manifest.h"
#include "rtseg/rtseg.h"

namespace rtseg_internal {

// Write the colour of a label: its class's, or black.
void colour_of(const OutputContract& output, int label, uint8_t rgb[3]);

// Throws Error for arguments that cannot be.
void draw_overlay(const OutputContract& output, const rtseg_image* image, const rtseg_label_map* labels, double opacity,
                  const rtseg_canvas* canvas);

}  // namespace rtseg_internal

#endif
