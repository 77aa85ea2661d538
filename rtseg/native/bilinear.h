// The rule of bilinear sampling along one axis, the same for both ends: torch's, in float32.
#ifndef RTSEG_BILINEAR_H
#define RTSEG_BILINEAR_H

#include <algorithm>
#include <cstddef>
#include <vector>

#include "rtseg_core.h"

namespace rtseg {

inline bool is_side(int length) { return length >= 1 && length <= RTSEG_MAX_SIDE; }

// The part of the input that the output covers: `length` samples from `begin` on, of the `canvas` of the input.
struct Part {
    int canvas, begin, length;
};

// The whole, of any canvas: with two samples it has corners that differ.
constexpr Part kWhole{2, 0, 2};

inline bool operator==(const Part& one, const Part& other) {
    return one.canvas == other.canvas && one.begin == other.begin && one.length == other.length;
}

// Output sample i is near_weight[i] * input[near[i]] + far_weight[i] * input[far[i]].
struct Axis {
    // Beyond the last output sample this many more weights, 0, may be read in vain.
    static constexpr size_t kSpare = 8;

    std::vector<int> near, far;
    std::vector<float> near_weight, far_weight;

    size_t outputs() const { return near.size(); }

    // Fit the axis to `part` and these numbers of input and output samples; return whether it changed.
    bool fit(int inputs, int outputs, bool align_corners, Part part = kWhole) {
        if (part.length == part.canvas) part = kWhole;
        if (inputs == inputs_ && static_cast<size_t>(outputs) == near.size() && align_corners == align_corners_ &&
            part == part_)
            return false;
        inputs_ = 0;  // none, should memory run out below
        compute(inputs, outputs, align_corners, part);
        inputs_ = inputs;
        align_corners_ = align_corners;
        part_ = part;
        return true;
    }

  private:
    int inputs_ = 0;
    bool align_corners_ = false;
    Part part_ = kWhole;

    void compute(int inputs, int outputs, bool align_corners, const Part& part) {
        const size_t count = static_cast<size_t>(outputs);
        near.resize(count);
        far.resize(count);
        for (std::vector<float>* weights : {&near_weight, &far_weight}) {
            weights->resize(count + kSpare);
            std::fill(weights->begin() + outputs, weights->end(), 0.0f);
        }
        // Products of two sizes are exact in double, and so its quotients round to the float that one division in
        // float32 gives for the whole: torch's own.
        const int less = align_corners ? 1 : 0;
        const double reach = static_cast<double>(inputs - less), canvas = static_cast<double>(part.canvas - less);
        const float ratio = outputs > less ? static_cast<float>(reach * static_cast<double>(part.length - less) /
                                                                (canvas * static_cast<double>(outputs - less)))
                                           : 0.0f;
        const float shift = static_cast<float>(reach * static_cast<double>(part.begin) / canvas);
        for (size_t i = 0; i < count; ++i) {
            const float index = static_cast<float>(i);
            const float source =
                align_corners ? ratio * index + shift : std::max(ratio * (index + 0.5f) - 0.5f + shift, 0.0f);
            near[i] = std::min(static_cast<int>(source), inputs - 1);
            far[i] = std::min(near[i] + 1, inputs - 1);
            far_weight[i] = std::min(source - static_cast<float>(near[i]), 1.0f);
            near_weight[i] = 1.0f - far_weight[i];
        }
    }
};

}  // namespace rtseg

#endif
