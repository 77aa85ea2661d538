#include "session.h"

#include <string>
#include <utility>

#include "errors.h"

namespace rtseg_internal {
namespace {

rtseg_tensor tensor_of(const TensorSpec& spec, const void* data) {
    rtseg_tensor tensor{data, static_cast<int>(spec.shape.size()), {}, spec.type == ElementType::kUint8};
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
                    std::to_string(labels->height) + "x" + std::to_string(labels->width),
                    std::to_string(image->height) + "x" + std::to_string(image->width));
    if (graph_->has_frames()) return graph_->run_frame(*image, *labels);
    ends_.write_input(*image, graph_->input());
    graph_->infer();
    ends_.read_labels(graph_->output(), *labels);
}

void Session::write_input(const rtseg_image* image) {
    require_image(image);
    ends_.write_input(*image, graph_->input());
}

void Session::infer() { graph_->infer(); }

void Session::read_labels(const rtseg_label_map* labels) {
    require_label_map(labels);
    ends_.read_labels(graph_->output(), *labels);
}

rtseg_tensor Session::input() { return tensor_of(model_->graph->input(), graph_->input()); }

rtseg_tensor Session::output() { return tensor_of(model_->graph->output(), graph_->output()); }

}  // namespace rtseg_internal
