// rtseg in C++17: the C interface with ownership, exceptions and views. Header only; link librtseg.
//
//     #include <opencv2/imgcodecs.hpp>
//     #include <rtseg/rtseg.hpp>
//
//     int main(int, char** argv) {
//         const rtseg::Model model(argv[1]);
//         rtseg::Session session(model);
//         const cv::Mat picture = cv::imread(argv[2]);
//         cv::Mat labels(picture.size(), CV_8UC1);
//         session.run(rtseg::Image(picture), rtseg::LabelMap(labels));
//         cv::imwrite("labels.png", labels);
//     }
//
// The rules of rtseg.h for labels, threads and memory hold here too. A failure throws rtseg::Error; its what() is the
// line that says what is wrong and what to try.
#ifndef RTSEG_RTSEG_HPP
#define RTSEG_RTSEG_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "rtseg.h"

namespace rtseg {

class Error : public std::runtime_error {
  public:
    Error(rtseg_status status, const char* message) : std::runtime_error(message), status_(status) {}

    rtseg_status status() const noexcept { return status_; }

  private:
    rtseg_status status_;
};

// Throw Error unless the last call of the C interface by this thread succeeded.
inline void require(rtseg_status status) {
    if (status != RTSEG_STATUS_OK) throw Error(status, rtseg_last_message());
}

enum class PixelFormat {
    kRgb = RTSEG_PIXELS_RGB,
    kBgr = RTSEG_PIXELS_BGR,
    kRgba = RTSEG_PIXELS_RGBA,
    kBgra = RTSEG_PIXELS_BGRA,
    kGrey = RTSEG_PIXELS_GREY
};

namespace detail {

// Whether a type is a picture of OpenCV, which this header does not include.
template <class Type, class = void>
struct IsMat : std::false_type {};
template <class Type>
struct IsMat<Type, std::void_t<decltype(std::declval<Type&>().rows), decltype(std::declval<Type&>().channels()),
                               decltype(std::declval<Type&>().depth()), decltype(std::declval<Type&>().step)>>
    : std::true_type {};

// Throw Error if a picture of OpenCV is empty, or if its samples are not unsigned bytes or do not fit.
template <class Mat>
void require_bytes(const Mat& mat, bool fits, const char* what, const char* expected) {
    if (mat.data == nullptr)
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT,
                    (std::string(what) + "; got an empty cv::Mat; expected " + expected +
                     ". Try: check that the picture was read, or that the camera gave a frame").c_str());
    if (mat.depth() != 0 || !fits)  // CV_8U
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT,
                    (std::string(what) + "; got a cv::Mat of depth " + std::to_string(mat.depth()) + " with " +
                     std::to_string(mat.channels()) + " channels; expected " + expected).c_str());
}

}  // namespace detail

// A view of an image in other memory. It owns nothing.
class Image {
  public:
    Image(const uint8_t* data, int height, int width, PixelFormat format, std::ptrdiff_t row_bytes)
        : view_{data, height, width, row_bytes, static_cast<rtseg_pixel_format>(format)} {}

    // For rows without gaps.
    Image(const uint8_t* data, int height, int width, PixelFormat format)
        : Image(data, height, width, format, static_cast<std::ptrdiff_t>(width) * bytes_of(format)) {}

    // A cv::Mat of 8 bits with 1, 3 or 4 channels: grey, BGR or BGRA, as OpenCV reads pictures.
    template <class Mat, class = std::enable_if_t<detail::IsMat<Mat>::value>>
    explicit Image(const Mat& mat) : Image(mat.data, mat.rows, mat.cols, format_of(mat), row_bytes_of(mat)) {}

    // A part of the image, without a copy. Throws Error unless it is inside the image.
    Image region(int top, int left, int height, int width) const {
        rtseg_image part{};
        require(rtseg_image_region(&view_, top, left, height, width, &part));
        return Image(part);
    }

    // The same for a cv::Rect.
    template <class Rect, class = decltype(std::declval<const Rect&>().width)>
    Image region(const Rect& rect) const {
        return region(rect.y, rect.x, rect.height, rect.width);
    }

    int height() const noexcept { return view_.height; }
    int width() const noexcept { return view_.width; }
    const rtseg_image& view() const noexcept { return view_; }

  private:
    explicit Image(const rtseg_image& view) : view_(view) {}

    static std::ptrdiff_t bytes_of(PixelFormat format) {
        return format == PixelFormat::kGrey ? 1 : format == PixelFormat::kRgb || format == PixelFormat::kBgr ? 3 : 4;
    }

    template <class Mat>
    static PixelFormat format_of(const Mat& mat) {
        const int channels = mat.channels();
        detail::require_bytes(mat, channels == 1 || channels == 3 || channels == 4, "not an image",
                              "CV_8UC1, CV_8UC3 or CV_8UC4");
        return channels == 1 ? PixelFormat::kGrey : channels == 3 ? PixelFormat::kBgr : PixelFormat::kBgra;
    }

    template <class Mat>
    static std::ptrdiff_t row_bytes_of(const Mat& mat) {
        return static_cast<std::ptrdiff_t>(static_cast<std::size_t>(mat.step));
    }

    rtseg_image view_;
};

// A view of a label map in other memory: one byte for each pixel. It owns nothing, and is written to.
class LabelMap {
  public:
    LabelMap(uint8_t* data, int height, int width, std::ptrdiff_t row_bytes) : view_{data, height, width, row_bytes} {}
    LabelMap(uint8_t* data, int height, int width) : LabelMap(data, height, width, width) {}

    // A cv::Mat of 8 bits with 1 channel.
    template <class Mat, class = std::enable_if_t<detail::IsMat<Mat>::value>>
    explicit LabelMap(Mat& mat)
        : LabelMap(mat.data, mat.rows, mat.cols, static_cast<std::ptrdiff_t>(static_cast<std::size_t>(mat.step))) {
        detail::require_bytes(mat, mat.channels() == 1, "not a label map", "CV_8UC1");
    }

    const rtseg_label_map& view() const noexcept { return view_; }

  private:
    rtseg_label_map view_;
};

// A view of an RGB or BGR image to draw to. It owns nothing.
class Canvas {
  public:
    Canvas(uint8_t* data, int height, int width, PixelFormat format, std::ptrdiff_t row_bytes)
        : view_{data, height, width, row_bytes, static_cast<rtseg_pixel_format>(format)} {}
    Canvas(uint8_t* data, int height, int width, PixelFormat format)
        : Canvas(data, height, width, format, 3 * static_cast<std::ptrdiff_t>(width)) {}

    // A cv::Mat of 8 bits with 3 channels, BGR.
    template <class Mat, class = std::enable_if_t<detail::IsMat<Mat>::value>>
    explicit Canvas(Mat& mat)
        : Canvas(mat.data, mat.rows, mat.cols, PixelFormat::kBgr,
                 static_cast<std::ptrdiff_t>(static_cast<std::size_t>(mat.step))) {
        detail::require_bytes(mat, mat.channels() == 3, "not a canvas", "CV_8UC3");
    }

    const rtseg_canvas& view() const noexcept { return view_; }

  private:
    rtseg_canvas view_;
};

struct ModelOptions {
    std::string backend;         // "openvino", "onnxruntime", "tensorrt", "tensorrt-rtx"; empty: by the kind of file
    std::string backend_folder;  // the folder of the backends; empty: beside the library
    int threads = 0;             // most cores that the backend uses; 0 is all
    int parallel = 1;            // how many frames, of as many sessions, it runs at once on those cores
};

// A verified and loaded rtseg file. Immutable: any number of threads may use it. Copies share the same model.
class Model {
  public:
    explicit Model(const std::string& path, const ModelOptions& options = {}) {
        rtseg_model_options given;
        rtseg_model_options_default(&given);
        given.backend = options.backend.empty() ? nullptr : options.backend.c_str();
        given.backend_folder = options.backend_folder.empty() ? nullptr : options.backend_folder.c_str();
        given.threads = options.threads;
        given.parallel = options.parallel;
        rtseg_model* opened = nullptr;
        require(rtseg_model_open(path.c_str(), &given, &opened));
        model_.reset(opened, rtseg_model_close);
        rtseg_model_info_default(&info_);
        require(rtseg_model_get_info(opened, &info_));
    }

    // Facts about the model. The strings live as long as the model or a copy of it.
    const rtseg_model_info& info() const noexcept { return info_; }
    int classes() const noexcept { return info_.classes; }

    // Throws Error for a number outside the classes.
    std::string class_name(int index) const {
        const char* const name = rtseg_model_class_name(model_.get(), index);
        if (name == nullptr) throw Error(RTSEG_STATUS_INVALID_ARGUMENT, rtseg_last_message());
        return name;
    }

    // Throws Error for an unknown name.
    int class_index(const std::string& name) const {
        const int index = rtseg_model_class_index(model_.get(), name.c_str());
        if (index < 0) throw Error(RTSEG_STATUS_INVALID_ARGUMENT, rtseg_last_message());
        return index;
    }

    // Red, green, blue.
    std::array<uint8_t, 3> class_colour(int index) const {
        std::array<uint8_t, 3> colour{};
        require(rtseg_model_class_colour(model_.get(), index, colour.data()));
        return colour;
    }

    // Blend the class colours over an image. The canvas may be the image's own memory. opacity is from 0 to 1.
    void draw_overlay(const Image& image, const LabelMap& labels, const Canvas& canvas, double opacity = 0.5) const {
        require(rtseg_draw_overlay(model_.get(), &image.view(), &labels.view(), opacity, &canvas.view()));
    }

    const rtseg_model* get() const noexcept { return model_.get(); }

  private:
    std::shared_ptr<rtseg_model> model_;
    rtseg_model_info info_{};
};

// One thread's buffers for a model. It can be moved but not copied.
class Session {
  public:
    // threads: most cores that preprocessing and postprocessing use; 0 is as many as the model's.
    explicit Session(const Model& model, int threads = 0) : model_(model) {
        rtseg_session_options given;
        rtseg_session_options_default(&given);
        given.threads = threads;
        rtseg_session* opened = nullptr;
        require(rtseg_session_open(model.get(), &given, &opened));
        session_.reset(opened);
    }

    // Label an image of any size; the label map has the same size.
    void run(const Image& image, const LabelMap& labels) {
        require(rtseg_session_run(session_.get(), &image.view(), &labels.view()));
    }

    // The three parts of run, in this order.
    void write_input(const Image& image) { require(rtseg_session_write_input(session_.get(), &image.view())); }
    void infer() { require(rtseg_session_infer(session_.get())); }
    void read_labels(const LabelMap& labels) { require(rtseg_session_read_labels(session_.get(), &labels.view())); }

    // The network's input, and its output for the parts.
    rtseg_tensor input() const { return tensor(rtseg_session_get_input); }
    rtseg_tensor output() const { return tensor(rtseg_session_get_output); }

    const Model& model() const noexcept { return model_; }

  private:
    struct Close {
        void operator()(rtseg_session* session) const { rtseg_session_close(session); }
    };

    rtseg_tensor tensor(rtseg_status (*get)(rtseg_session*, rtseg_tensor*)) const {
        rtseg_tensor found{};
        require(get(session_.get(), &found));
        return found;
    }

    Model model_;
    std::unique_ptr<rtseg_session, Close> session_;
};

}  // namespace rtseg

#endif
