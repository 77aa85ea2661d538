// The part of the network's input that a letterboxed image covers, for both ends.
#ifndef RTSEG_WINDOW_H
#define RTSEG_WINDOW_H

#include "bilinear.h"
#include "rtseg_core.h"

namespace rtseg {

inline bool is_inside(int canvas, int begin, int length) {
    return is_side(canvas) && is_side(length) && length <= canvas && begin >= 0 && begin <= canvas - length;
}

inline bool is_inside(const rtseg_window& window) {
    return is_inside(window.canvas_height, window.top, window.height) &&
           is_inside(window.canvas_width, window.left, window.width);
}

// A window's two axes.
struct Parts {
    Part rows, columns;

    bool are_whole() const { return rows.length == rows.canvas && columns.length == columns.canvas; }
};

// No window is the whole.
inline Parts parts_of(const rtseg_window* window) {
    if (window == nullptr) return {kWhole, kWhole};
    return {{window->canvas_height, window->top, window->height}, {window->canvas_width, window->left, window->width}};
}

}  // namespace rtseg

#endif
