// Checks the C++ header: owners, views, exceptions.
//
//     wrapper FOLDER BACKEND

#include <memory>
#include <type_traits>
#include <utility>

#include "test_images.h"

namespace {

static_assert(!std::is_copy_constructible<rtseg::Session>::value, "a session is one thread's");
static_assert(std::is_nothrow_move_constructible<rtseg::Session>::value || std::is_move_constructible<rtseg::Session>::value,
              "a session can be handed on");
static_assert(std::is_copy_constructible<rtseg::Model>::value, "models are shared");

// What OpenCV's picture has, as far as the header asks.
struct Mat {
    uint8_t* data;
    int rows, cols, count;
    size_t step;

    int channels() const { return count; }
    int depth() const { return 0; }
};

template <class Body>
rtseg_status status_of(const Body& body) {
    try {
        body();
        return RTSEG_STATUS_OK;
    } catch (const rtseg::Error& error) {
        REQUIRE(error.what()[0] != '\0');
        return error.status();
    }
}

void a_session_outlives_its_model(const std::string& folder, const std::string& backend) {
    TestFrame frame(40, 50, 1);
    auto session = [&] { return rtseg::Session(open_golden(folder, backend, "fp32-logits")); }();
    rtseg::Session moved = std::move(session);
    moved.run(frame.image(), frame.label_map());
    REQUIRE(frame.labels != std::vector<uint8_t>(frame.size(), 255));
    REQUIRE(moved.model().class_name(0) != "");
}

void a_region_is_labelled_as_a_copy_of_it(const rtseg::Model& model) {
    rtseg::Session session(model);
    TestFrame whole(60, 80, 2), part(20, 30, 0);
    for (int y = 0; y < part.height; ++y)
        for (int x = 0; x < 3 * part.width; ++x)
            part.pixels[static_cast<size_t>(y * 3 * part.width + x)] =
                whole.pixels[static_cast<size_t>((y + 7) * 3 * whole.width + 3 * 11 + x)];
    TestFrame other = part;
    session.run(part.image(), part.label_map());
    session.run(whole.image().region(7, 11, 20, 30), other.label_map());
    REQUIRE(part.labels == other.labels);
    REQUIRE(status_of([&] { whole.image().region(50, 0, 11, 1); }) == RTSEG_STATUS_INVALID_ARGUMENT);
    const struct { int x, y, width, height; } rect = {11, 7, 30, 20};  // as cv::Rect
    session.run(whole.image().region(rect), other.label_map());
    REQUIRE(part.labels == other.labels);
}

void pictures_of_opencv_are_taken(const rtseg::Model& model) {
    rtseg::Session session(model);
    TestFrame frame(24, 32, 3);
    std::vector<uint8_t> labels(24 * 40, 9);
    const Mat picture{frame.pixels.data(), 24, 32, 3, 96};
    Mat map{labels.data(), 24, 32, 1, 40};
    session.run(rtseg::Image(picture), rtseg::LabelMap(map));
    const rtseg::Image as_bgr(frame.pixels.data(), 24, 32, rtseg::PixelFormat::kBgr);
    session.run(as_bgr, frame.label_map());
    for (size_t y = 0; y < 24; ++y)
        for (size_t x = 0; x < 40; ++x) REQUIRE(labels[y * 40 + x] == (x < 32 ? frame.labels[y * 32 + x] : 9));
    const Mat of_two{frame.pixels.data(), 24, 32, 2, 96};
    REQUIRE(status_of([&] { rtseg::Image image(of_two); }) == RTSEG_STATUS_INVALID_ARGUMENT);
    const Mat empty{nullptr, 0, 0, 3, 0};
    REQUIRE(status_of([&] { rtseg::Image image(empty); }) == RTSEG_STATUS_INVALID_ARGUMENT);
    Mat of_three{frame.pixels.data(), 24, 32, 3, 96};
    REQUIRE(status_of([&] { rtseg::LabelMap wrong(of_three); }) == RTSEG_STATUS_INVALID_ARGUMENT);
}

void the_parts_are_the_whole(const rtseg::Model& model) {
    rtseg::Session session(model);
    TestFrame whole(33, 65, 4), parts(33, 65, 4);
    session.run(whole.image(), whole.label_map());
    session.write_input(parts.image());
    session.infer();
    session.read_labels(parts.label_map());
    REQUIRE(whole.labels == parts.labels);
    REQUIRE(session.input().shape[1] == 3 && session.input().rank == 4 && session.output().element_type == RTSEG_FLOAT32);
}

void the_parts_come_in_their_order(const rtseg::Model& model, const rtseg::Model& letterboxed) {
    TestFrame frame(32, 64, 5), other(64, 32, 5);
    rtseg::Session session(letterboxed);
    REQUIRE(status_of([&] { session.infer(); }) == RTSEG_STATUS_INVALID_ARGUMENT);
    REQUIRE(status_of([&] { session.read_labels(frame.label_map()); }) == RTSEG_STATUS_INVALID_ARGUMENT);
    REQUIRE(status_of([&] { session.output(); }) == RTSEG_STATUS_INVALID_ARGUMENT);
    session.write_input(frame.image());
    REQUIRE(status_of([&] { session.read_labels(frame.label_map()); }) == RTSEG_STATUS_INVALID_ARGUMENT);
    session.infer();
    session.read_labels(frame.label_map());
    REQUIRE(status_of([&] { session.read_labels(other.label_map()); }) == RTSEG_STATUS_INVALID_ARGUMENT);
    rtseg::Session stretched(model);
    stretched.run(frame.image(), frame.label_map());
    stretched.read_labels(other.label_map());  // in another size
}

void classes_have_names_and_numbers(const rtseg::Model& model) {
    for (int index = 0; index < model.classes(); ++index) REQUIRE(model.class_index(model.class_name(index)) == index);
    REQUIRE(status_of([&] { model.class_index("no such class"); }) == RTSEG_STATUS_INVALID_ARGUMENT);
}

void a_newer_programs_options_are_taken_where_they_say_nothing_new(const std::string& path) {
    struct Newer {
        rtseg_model_options options;
        void* option;
    } newer{};
    rtseg_model_options_default(&newer.options);
    newer.options.struct_size = sizeof newer;
    rtseg_model* model = nullptr;
    newer.option = &model;
    REQUIRE(rtseg_model_open(path.c_str(), &newer.options, &model) == RTSEG_STATUS_INVALID_ARGUMENT);
    newer.option = nullptr;
    newer.options.backend = "none";  // known to be read
    REQUIRE(rtseg_model_open(path.c_str(), &newer.options, &model) == RTSEG_STATUS_MISSING);
}

void an_overlay_is_between_image_and_colours(const rtseg::Model& model) {
    TestFrame frame(8, 8, 6);
    frame.labels.assign(frame.size(), 1);
    std::vector<uint8_t> canvas(frame.pixels.size());
    const rtseg::Canvas drawn(canvas.data(), 8, 8, rtseg::PixelFormat::kRgb);
    model.draw_overlay(frame.image(), frame.label_map(), drawn, 0);
    REQUIRE(canvas == frame.pixels);
    model.draw_overlay(frame.image(), frame.label_map(), drawn, 1);
    for (size_t i = 0; i < canvas.size(); ++i) REQUIRE(canvas[i] == model.class_colour(1)[i % 3]);
    REQUIRE(status_of([&] { model.draw_overlay(frame.image(), frame.label_map(), drawn, 2); }) ==
            RTSEG_STATUS_INVALID_ARGUMENT);
    REQUIRE(status_of([&] { model.class_name(999); }) == RTSEG_STATUS_INVALID_ARGUMENT);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const rtseg::Model model = open_golden(argv[1], argv[2], "fp32-logits");
    a_session_outlives_its_model(argv[1], argv[2]);
    a_region_is_labelled_as_a_copy_of_it(model);
    pictures_of_opencv_are_taken(model);
    the_parts_are_the_whole(model);
    the_parts_come_in_their_order(model, open_golden(argv[1], argv[2], "threshold-letterbox"));
    classes_have_names_and_numbers(model);
    a_newer_programs_options_are_taken_where_they_say_nothing_new(std::string(argv[1]) + "/fp32-logits.onnx");
    an_overlay_is_between_image_and_colours(model);
    REQUIRE(status_of([&] { open_golden(argv[1], argv[2], "nothing"); }) == RTSEG_STATUS_FILE);
    return 0;
}
