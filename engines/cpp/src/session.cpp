#include "session.h"

#include <string>
#include <utility>

#include "errors.h"

namespace rtseg_internal {
namespace {

rtseg_tensor tensor_of(const TensorSpec& spec, const void* data) {
    const rtseg_element_type type = spec.type == ElementType::kUint8 ? RTSEG_UINT8 : RTSEG_FLOAT32;
    rtseg_tensor tensor{data, static_cast<int>(spec.shape.size()), {}, type};
    for (size_t i = 0; i < spec.shape.size() && i < 4; ++i) tensor.shape[i] = spec.shape[i];
    return tensor;
}

}  // namespace

Session::Session(std::shared_ptr<const Model> model, int threads)
    : model_(std::move(model)),
      graph_(model_->graph->open_session()),
      ends_(model_->manifest.image, model_->manifest.output, threads > 0 ? threads : model_->threads) {}

void Session::run(const rtseg_image* image, const rtseg_label_map* labels) {
    require_image(image);
    require_label_map(labels);
    if (image->height != labels->height || image->width != labels->width)
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the label map has another size than the image",
                    size_text(labels->height, labels->width), size_text(image->height, image->width));
    if (graph_->has_frames()) {
        is_written_ = is_inferred_ = false;  // of the parts nothing is there
        return graph_->run_frame(*image, *labels);
    }
    write_input(image);
    infer();
    ends_.read_labels(graph_->output(), *labels);
}

void Session::write_input(const rtseg_image* image) {
    require_image(image);
    is_inferred_ = false;
    ends_.write_input(*image, graph_->input());
    is_written_ = true;
    written_height_ = image->height;
    written_width_ = image->width;
}

void Session::infer() {
    if (!is_written_)
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "no image was written into the session", "", "",
                    "call rtseg_session_write_input first");
    is_inferred_ = false;
    graph_->infer();
    is_inferred_ = true;
}

void Session::read_labels(const rtseg_label_map* labels) {
    require_label_map(labels);
    require_inferred();
    if (model_->manifest.image.is_letterbox && (labels->height != written_height_ || labels->width != written_width_))
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the label map has another size than the letterboxed image",
                    size_text(labels->height, labels->width), size_text(written_height_, written_width_));
    ends_.read_labels(graph_->output(), *labels);
}

rtseg_tensor Session::input() { return tensor_of(model_->graph->input(), graph_->input()); }

rtseg_tensor Session::output() {
    require_inferred();
    return tensor_of(model_->graph->output(), graph_->output());
}

void Session::require_inferred() const {
    if (!is_inferred_)
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the network was not run on what was written into the session", "", "",
                    "call rtseg_session_infer first");
}

}  // namespace rtseg_internal
