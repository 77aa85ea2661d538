// Both ends of a frame at some sizes, by the functions that keep nothing and in a workspace.
#ifndef RTSEG_TESTS_FRAME_JOBS_H
#define RTSEG_TESTS_FRAME_JOBS_H

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "rtseg_core.h"

struct Sizes {
    int image_height, image_width;
    int height, width;  // of the tensor
    int h, w, classes;  // of the logits
    bool letterboxed;
};

// What one end gives, byte by byte, and the code it returned.
struct Given {
    int code = RTSEG_OK;
    std::vector<uint8_t> bytes;

    bool operator==(const Given& other) const { return code == other.code && bytes == other.bytes; }
};

constexpr int kEnds = 3;  // the tensor, the labels, the mask

inline const char* name_of(int end) {
    static const char* const names[kEnds] = {"tensor", "labels", "mask"};
    return names[end];
}

class FrameJob {
  public:
    explicit FrameJob(const Sizes& sizes, uint32_t seed = 1) : sizes_(sizes) {
        image_.resize(3 * static_cast<size_t>(sizes.image_height) * static_cast<size_t>(sizes.image_width));
        logits_.resize(static_cast<size_t>(sizes.classes) * static_cast<size_t>(sizes.h) * static_cast<size_t>(sizes.w));
        for (uint8_t& value : image_) value = static_cast<uint8_t>(drawn(seed));
        for (float& value : logits_) value = (static_cast<float>(drawn(seed)) - 8388608.0f) / 65536.0f;
        window_ = {sizes.height, sizes.width, 0, 0, sizes.height, sizes.width};
        if (sizes.letterboxed)
            rtseg_letterbox_window(sizes.image_height, sizes.image_width, sizes.height, sizes.width, &window_);
        pixels_ = {image_.data(), sizes.image_height, sizes.image_width, 3 * static_cast<ptrdiff_t>(sizes.image_width),
                   3, {0, 1, 2}};
        made_.resize(std::max(tensor_bytes(), label_bytes()));
    }

    // One of the ends, by a function that keeps nothing.
    Given alone(int end, int threads) {
        uint8_t* const labels = made_.data();
        std::fill(made_.begin(), made_.end(), uint8_t{77});
        const Sizes& of = sizes_;
        switch (end) {
            case 0:
                return given(rtseg_letterbox_from_image(image_.data(), of.image_height, of.image_width,
                                                        pixels_.row_bytes, 0, &window_, 114, 1.0f / 255, kMean, kStd,
                                                        tensor(), threads),
                             tensor_bytes());
            case 1:
                return given(rtseg_labels_in_window(logits_.data(), of.classes, of.h, of.w, &window_, labels,
                                                    of.image_height, of.image_width, 0, threads),
                             label_bytes());
            default:
                return given(rtseg_mask_from_logits(logits_.data(), of.h, of.w, 0.5f, &window_, labels, of.image_height,
                                                    of.image_width, 1, threads),
                             label_bytes());
        }
    }

    // The same in a workspace, without touching memory that is not there yet: so what it allocates is the core's.
    int code_in(rtseg_workspace* workspace, int end) {
        uint8_t* const labels = made_.data();
        const Sizes& of = sizes_;
        switch (end) {
            case 0:
                return rtseg_workspace_tensor(workspace, &pixels_, &window_, 114, 1.0f / 255, kMean, kStd, tensor());
            case 1:
                return rtseg_workspace_labels(workspace, logits_.data(), of.classes, of.h, of.w, &window_, labels,
                                              of.image_height, of.image_width, of.image_width, 0);
            default:
                return rtseg_workspace_mask(workspace, logits_.data(), of.h, of.w, 0.5f, &window_, labels,
                                            of.image_height, of.image_width, of.image_width, 1);
        }
    }

    Given in(rtseg_workspace* workspace, int end) {
        std::fill(made_.begin(), made_.end(), uint8_t{77});
        return given(code_in(workspace, end), end == 0 ? tensor_bytes() : label_bytes());
    }

  private:
    static constexpr float kMean[3] = {0.485f, 0.456f, 0.406f};
    static constexpr float kStd[3] = {0.229f, 0.224f, 0.225f};

    static uint32_t drawn(uint32_t& state) {
        state = state * 1664525u + 1013904223u;
        return state >> 8;
    }

    size_t tensor_bytes() const {
        return 3 * sizeof(float) * static_cast<size_t>(sizes_.height) * static_cast<size_t>(sizes_.width);
    }
    size_t label_bytes() const { return static_cast<size_t>(sizes_.image_height) * static_cast<size_t>(sizes_.image_width); }
    float* tensor() { return reinterpret_cast<float*>(made_.data()); }  // from operator new: aligned for any type

    Given given(int code, size_t bytes) const {
        return {code, {made_.begin(), made_.begin() + static_cast<ptrdiff_t>(bytes)}};
    }

    Sizes sizes_;
    std::vector<uint8_t> image_, made_;
    std::vector<float> logits_;
    rtseg_window window_;
    rtseg_pixels pixels_;
};

#endif
