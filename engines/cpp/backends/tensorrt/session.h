// One thread's use of an engine: step by step between host buffers, or whole frames on the GPU.
#ifndef RTSEG_TENSORRT_SESSION_H
#define RTSEG_TENSORRT_SESSION_H

#include <list>
#include <memory>
#include <vector>

#include "backend.h"
#include "lane.h"

namespace rtseg_internal {

// Frames of one size and channel order. Upload, front kernel, engine, tail kernel and download form one CUDA graph. The
// image and its labels are in page-locked host memory.
class FrameStep {
  public:
    // Label the image once. Must be called in the GPU's context. Throws Error.
    FrameStep(const Lane& lane, const rtseg_image& image);

    bool takes(const rtseg_image& image) const noexcept;
    // Label an image that fits this step. Throws Error.
    void run(const rtseg_image& image, const rtseg_label_map& labels) const;

  private:
    void work();

    const Lane& lane_;
    const int height_, width_;
    const bool is_bgr_;
    PinnedMemory given_, made_;
    DeviceMemory image_, labels_;
    Launch front_, tail_;
    CUfunction front_kernel_, tail_kernel_;
    std::unique_ptr<Step> step_;
};

class TensorRtSession final : public BackendSession {
  public:
    // Throws Error.
    explicit TensorRtSession(std::shared_ptr<const Engine> engine);
    ~TensorRtSession() override;

    void* input() override;
    const void* output() override;
    void infer() override;

    // A graph that returns labels takes images of one size only; for other sizes the library resizes on the host.
    bool has_frames() const noexcept override { return !engine_->gives_labels(); }
    void run_frame(const rtseg_image& image, const rtseg_label_map& labels) override;

  private:
    const std::shared_ptr<const Engine> engine_;
    std::unique_ptr<Lane> lane_;
    PinnedMemory given_, made_;               // as the engine stores them
    std::vector<char> plain_input_, plain_output_;  // empty if that is C order
    std::unique_ptr<Step> staged_;            // made by the first infer
    std::list<FrameStep> frames_;             // the most recently used one first
};

}  // namespace rtseg_internal

#endif
