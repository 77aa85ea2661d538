// The rule of bilinear sampling along one axis, the same for both ends: torch's, in float32.
#ifndef RTSEG_BILINEAR_H
#define RTSEG_BILINEAR_H

#include <algorithm>
#include <cstddef>
#include <vector>

#include "rtseg_core.h"

namespace rtseg {

inline bool is_side(int length) { return length >= 1 && length <= RTSEG_MAX_SIDE; }

// Output sample i is near_weight[i] * input[near[i]] + far_weight[i] * input[far[i]].
struct Axis {
    std::vector<int> near, far;
    std::vector<float> near_weight, far_weight;

    // Beyond the last output sample there are `padding` more weights, 0, that may be read in vain.
    Axis(int inputs, int outputs, bool align_corners, int padding = 0) {
        const size_t count = static_cast<size_t>(outputs);
        near.resize(count);
        far.resize(count);
        near_weight.resize(count + static_cast<size_t>(padding));
        far_weight.resize(count + static_cast<size_t>(padding));
        const float ratio = !align_corners ? static_cast<float>(inputs) / static_cast<float>(outputs)
                            : outputs > 1  ? static_cast<float>(inputs - 1) / static_cast<float>(outputs - 1)
                                           : 0.0f;
        for (size_t i = 0; i < count; ++i) {
            const float index = static_cast<float>(i);
            const float source = align_corners ? ratio * index : std::max(ratio * (index + 0.5f) - 0.5f, 0.0f);
            near[i] = std::min(static_cast<int>(source), inputs - 1);
            far[i] = std::min(near[i] + 1, inputs - 1);
            far_weight[i] = std::min(source - static_cast<float>(near[i]), 1.0f);
            near_weight[i] = 1.0f - far_weight[i];
        }
    }
};

}  // namespace rtseg

#endif
