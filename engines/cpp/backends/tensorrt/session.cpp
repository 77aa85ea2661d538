#include "session.h"

#include <algorithm>
#include <cstring>

#include "pixels.h"

namespace rtseg_internal {

namespace {

constexpr size_t kKeptFrames = 4;  // each holds the buffers of one size of image

}  // namespace

FrameStep::FrameStep(const Lane& lane, const rtseg_image& image)
    : lane_(lane), height_(image.height), width_(image.width), is_bgr_(is_blue_first(image.format)) {
    const Engine& engine = lane_.engine();
    const Device& device = engine.device();
    const size_t pixels = static_cast<size_t>(height_) * static_cast<size_t>(width_);
    const StoredTensor &source = engine.input(), &result = engine.output();
    image_ = device_memory(device, 3 * pixels, "the image");
    labels_ = device_memory(device, pixels, "the label map");
    front_ = front_launch({image_.get(), height_, width_, is_bgr_}, lane_.input(), source.type == StoredType::kFloat16,
                          engine.manifest().image);
    const DeviceLogits logits = {lane_.output(), static_cast<int>(result.shape[1]), static_cast<int>(result.shape[2]),
                                 static_cast<int>(result.shape[3]), result.type == StoredType::kFloat16,
                                 result.channel_multiple};
    tail_ = tail_launch(logits, labels_.get(), height_, width_, engine.manifest().image, engine.manifest().output);
    front_kernel_ = engine.kernel(front_.kernel);
    tail_kernel_ = engine.kernel(tail_.kernel);
    given_ = pinned_memory(device, 3 * pixels, "the image");
    made_ = pinned_memory(device, pixels, "the label map");
    pack_pixels(image, static_cast<uint8_t*>(given_.get()));
    step_ = std::make_unique<Step>(lane_, [this] { work(); });
}

bool FrameStep::takes(const rtseg_image& image) const noexcept {
    return image.height == height_ && image.width == width_ && is_blue_first(image.format) == is_bgr_;
}

void FrameStep::run(const rtseg_image& image, const rtseg_label_map& labels) const {
    pack_pixels(image, static_cast<uint8_t*>(given_.get()));
    step_->run();
    unpack_labels(static_cast<const uint8_t*>(made_.get()), labels);
}

void FrameStep::work() {
    const size_t pixels = static_cast<size_t>(height_) * static_cast<size_t>(width_);
    lane_.upload(image_.get(), given_.get(), 3 * pixels);
    lane_.launch(front_kernel_, front_);
    lane_.execute();
    lane_.launch(tail_kernel_, tail_);
    lane_.download(made_.get(), labels_.get(), pixels);
}

TensorRtSession::TensorRtSession(std::shared_ptr<const Engine> engine) : engine_(std::move(engine)) {
    const Device& device = engine_->device();
    const StoredTensor &source = engine_->input(), &result = engine_->output();
    const InContext here(*device);
    lane_ = std::make_unique<Lane>(engine_);
    given_ = pinned_memory(device, source.stored_bytes(), "the engine's input");
    made_ = pinned_memory(device, result.stored_bytes(), "the engine's output");
    memset(given_.get(), 0, source.stored_bytes());
    memset(made_.get(), 0, result.stored_bytes());
    if (!source.is_plain()) plain_input_.resize(source.plain_bytes());
    if (!result.is_plain()) plain_output_.resize(result.plain_bytes());
}

TensorRtSession::~TensorRtSession() {
    try {
        const InContext here(*engine_->device());
        frames_.clear();
        staged_.reset();
        lane_.reset();
    } catch (...) {  // the context and everything in it are lost
    }
}

void* TensorRtSession::input() { return plain_input_.empty() ? given_.get() : plain_input_.data(); }

const void* TensorRtSession::output() { return plain_output_.empty() ? made_.get() : plain_output_.data(); }

void TensorRtSession::infer() {
    const StoredTensor &source = engine_->input(), &result = engine_->output();
    const InContext here(*engine_->device());
    if (!plain_input_.empty()) store(source, plain_input_.data(), given_.get());
    if (staged_ == nullptr)
        staged_ = std::make_unique<Step>(*lane_, [this, &source, &result] {
            lane_->upload(lane_->input(), given_.get(), source.stored_bytes());
            lane_->execute();
            lane_->download(made_.get(), lane_->output(), result.stored_bytes());
        });
    staged_->run();
    if (!plain_output_.empty()) unpack(result, made_.get(), plain_output_.data());
}

void TensorRtSession::run_frame(const rtseg_image& image, const rtseg_label_map& labels) {
    const InContext here(*engine_->device());
    const auto found =
        std::find_if(frames_.begin(), frames_.end(), [&](const FrameStep& step) { return step.takes(image); });
    if (found == frames_.end()) {
        while (frames_.size() >= kKeptFrames) frames_.pop_back();
        frames_.emplace_front(*lane_, image);
    } else {
        frames_.splice(frames_.begin(), frames_, found);
    }
    frames_.front().run(image, labels);
}

}  // namespace rtseg_internal
