// Draws the class colours over an image, with the arithmetic of rtseg.frame.palette.
#ifndef RTSEG_SRC_OVERLAY_H
#define RTSEG_SRC_OVERLAY_H

#include "manifest.h"
#include "rtseg/rtseg.h"

namespace rtseg_internal {

// Write the colour of a label: that of its class, or black.
void colour_of(const OutputContract& output, int label, uint8_t rgb[3]);

// Throws Error for invalid arguments.
void draw_overlay(const OutputContract& output, const rtseg_image* image, const rtseg_label_map* labels, double opacity,
                  const rtseg_canvas* canvas);

}  // namespace rtseg_internal

#endif
