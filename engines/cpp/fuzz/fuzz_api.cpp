// Calls the C interface with any arguments: handles that are open, closed, of the other kind or never existed; images
// and label maps that are valid, or wrong in any field. A valid call succeeds, an invalid one is refused with one line,
// and nothing else happens. Models and backend are real, and opened once.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "fuzz_input.h"
#include "rtseg/rtseg.h"

namespace {

constexpr int kMostSide = 40;

rtseg_status require_line(rtseg_status status) {
    REQUIRE(status >= RTSEG_STATUS_OK && status <= RTSEG_STATUS_BUSY);  // neither out of memory nor an internal error
    const std::string line = rtseg_last_message();
    REQUIRE(status == RTSEG_STATUS_OK || (!line.empty() && line.find('\n') == std::string::npos));
    return status;
}

std::string golden(const char* name) { return std::string(RTSEG_GOLDEN) + "/" + name + ".onnx"; }

rtseg_model* opened(const char* name) {
    rtseg_model_options options;
    rtseg_model_options_default(&options);
    options.threads = 1;
    rtseg_model* model = nullptr;
    if (rtseg_model_open(golden(name).c_str(), &options, &model) != RTSEG_STATUS_OK) {
        std::fprintf(stderr, "%s\n", rtseg_last_message());
        std::exit(1);
    }
    return model;
}

const std::array<rtseg_model*, 3>& models() {
    static const std::array<rtseg_model*, 3> made{opened("fp32-logits"), opened("labels"), opened("threshold-letterbox")};
    return made;
}

// A struct that states another size, with as many bytes behind it as it may state.
template <class Struct>
struct Sized {
    Struct given;
    uint8_t more[256];

    // Return whether the library accepts the size: it is not smaller than the first version's, and unknown fields are
    // zero.
    bool resize(FuzzInput& input) {
        const bool says_more = input.within(0, 3) == 0;
        if (says_more) more[input.any<uint8_t>()] = 1;
        given.struct_size = input.any<uint16_t>() % (sizeof(Struct) + sizeof more);
        if (given.struct_size < sizeof(Struct)) return false;
        return std::all_of(more, more + (given.struct_size - sizeof(Struct)), [](uint8_t byte) { return byte == 0; });
    }
};

// The handles of one input, and which of them are open.
class Calls {
  public:
    explicit Calls(FuzzInput input) : input_(input) {}
    ~Calls() {
        for (rtseg_session* session : open_) REQUIRE(rtseg_session_close(session) == RTSEG_STATUS_OK);
        for (rtseg_model* model : open_models_) REQUIRE(rtseg_model_close(model) == RTSEG_STATUS_OK);
    }
    Calls(const Calls&) = delete;
    Calls& operator=(const Calls&) = delete;

    void run() {
        for (int left = 60; left > 0 && !input_.empty(); --left) call(input_.within(0, 13));
    }

  private:
    // A frame with exactly the bytes that it needs; sometimes one field is made wrong.
    struct Frame {
        std::vector<uint8_t> pixels, labels;
        rtseg_image image{};
        rtseg_label_map map{};
        bool is_right = true;
    };

    Frame frame() {
        static constexpr int kBytes[] = {3, 3, 4, 4, 1};
        Frame made;
        const int height = input_.within(1, kMostSide), width = input_.within(1, kMostSide), format = input_.within(0, 4);
        const ptrdiff_t row = static_cast<ptrdiff_t>(width) * kBytes[format] + (input_.flag() ? 7 : 0);
        made.pixels.assign(static_cast<size_t>(row * height), input_.any<uint8_t>());
        made.labels.assign(static_cast<size_t>(width) * static_cast<size_t>(height), uint8_t{9});
        made.image = {made.pixels.data(), height, width, row, static_cast<rtseg_pixel_format>(format)};
        made.map = {made.labels.data(), height, width, width};
        spoil(made);
        return made;
    }

    // Make a field wrong in a way that no memory could make right.
    void spoil(Frame& made) {
        const int field = input_.within(0, 40);
        made.is_right = field > 9;
        if (field == 0) made.image.data = nullptr;
        if (field == 1) made.map.data = nullptr;
        if (field == 2) made.image.height = -std::abs(input_.within(0, INT32_MAX));
        if (field == 3) made.image.width = input_.within(8388609, INT32_MAX);
        if (field == 4) made.map.height = input_.within(kMostSide + 1, INT32_MAX);
        if (field == 5) made.map.width = -input_.within(0, INT32_MAX);
        if (field == 6) made.image.row_bytes = input_.within(0, made.image.width - 1);
        if (field == 7) made.map.row_bytes = -input_.within(0, made.map.width - 1);
        if (field == 8) {
            const int format = 5 + input_.any<uint16_t>();
            std::memcpy(&made.image.format, &format, sizeof format);
        }
        if (field == 9) {
            made.is_right = made.map.height == 1;  // then the next row is nowhere
            made.map.row_bytes = PTRDIFF_MIN + input_.within(0, 100);
        }
    }

    rtseg_session* session() {
        const int kind = input_.within(0, 9);
        if (kind == 0) return nullptr;
        if (kind == 1) return reinterpret_cast<rtseg_session*>(input_.any<uintptr_t>() & ~uintptr_t{1});
        if (kind == 2) return reinterpret_cast<rtseg_session*>(model());
        if (seen_.empty()) return nullptr;
        return seen_[input_.any<uint16_t>() % seen_.size()];
    }

    rtseg_model* model() {
        const int kind = input_.within(0, 9);
        if (kind == 0) return nullptr;
        if (kind == 1) return reinterpret_cast<rtseg_model*>(input_.any<uintptr_t>() & ~uintptr_t{1});
        if (kind == 2 && !seen_.empty()) return reinterpret_cast<rtseg_model*>(seen_[0]);
        if (kind == 3 && !seen_models_.empty()) return seen_models_[input_.any<uint16_t>() % seen_models_.size()];
        return models()[static_cast<size_t>(input_.within(0, 2))];
    }

    bool is_open(const rtseg_session* session) const {
        return std::find(open_.begin(), open_.end(), session) != open_.end();
    }

    bool is_open(const rtseg_model* model) const {
        return std::find(models().begin(), models().end(), model) != models().end() ||
               std::find(open_models_.begin(), open_models_.end(), model) != open_models_.end();
    }

    // Whether a call succeeded exactly when it should.
    void require_as(bool is_right, rtseg_status status) {
        require_line(status);
        REQUIRE(is_right ? status == RTSEG_STATUS_OK : status == RTSEG_STATUS_INVALID_ARGUMENT);
    }

    void call(int which) {
        switch (which) {
            case 0: return open_session();
            case 1: return close_session();
            case 2: return open_model();
            case 3: return close_model();
            case 4: return facts();
            case 5: return overlay();
            case 6: return region();
            case 7: return parts();
            default: return frames();
        }
    }

    void open_session() {
        rtseg_model* const from = model();
        Sized<rtseg_session_options> sized{};
        rtseg_session_options& options = sized.given;
        rtseg_session_options_default(&options);
        options.threads = input_.within(-1, 3);
        const bool wrong_size = input_.within(0, 15) == 0 && !sized.resize(input_);
        rtseg_session* made = nullptr;
        const bool is_right = is_open(from) && options.threads >= 0 && !wrong_size;
        if (open_.size() >= 20) return;
        require_as(is_right, rtseg_session_open(from, &options, &made));
        REQUIRE((made != nullptr) == is_right);
        if (!is_right) return;
        REQUIRE(std::find(seen_.begin(), seen_.end(), made) == seen_.end());  // no handle is given out twice
        seen_.push_back(made);
        open_.push_back(made);
    }

    void close_session() {
        rtseg_session* const closed = session();
        require_as(closed == nullptr || is_open(closed), rtseg_session_close(closed));
        open_.erase(std::remove(open_.begin(), open_.end(), closed), open_.end());
    }

    void open_model() {
        static const char* const kPaths[] = {"", "/", "/dev/null", "/dev/zero", "/proc/self/mem", "/nowhere", "\xff\n"};
        static const char* const kBackends[] = {nullptr, "", "openvino", "tensorrt", "../x", "\xed\xa0\x80"};
        rtseg_model_options options;
        rtseg_model_options_default(&options);
        options.backend = kBackends[input_.within(0, 5)];
        options.backend_folder = input_.within(0, 7) == 0 ? "/dev" : nullptr;
        options.threads = input_.within(-1, 2);
        rtseg_model* made = nullptr;
        const int path = input_.within(0, 40);
        if (path < 7) {
            REQUIRE(require_line(rtseg_model_open(kPaths[path], &options, &made)) != RTSEG_STATUS_OK && made == nullptr);
        } else if (path == 7 && open_models_.empty()) {  // which takes long
            if (require_line(rtseg_model_open(golden("threshold-letterbox").c_str(), &options, &made)) != RTSEG_STATUS_OK)
                return;
            seen_models_.push_back(made);
            open_models_.push_back(made);
        }
    }

    void close_model() {
        rtseg_model* const closed = model();
        if (std::find(models().begin(), models().end(), closed) != models().end()) return;
        require_as(closed == nullptr || is_open(closed), rtseg_model_close(closed));
        open_models_.erase(std::remove(open_models_.begin(), open_models_.end(), closed), open_models_.end());
    }

    void facts() {
        rtseg_model* const of = model();
        Sized<rtseg_model_info> sized{};
        rtseg_model_info& info = sized.given;
        rtseg_model_info_default(&info);
        const bool is_right = is_open(of) && (input_.flag() || sized.resize(input_));
        require_as(is_right, rtseg_model_get_info(of, &info));
        const int index = input_.any<int>();
        const char* const name = rtseg_model_class_name(of, index);
        if (is_right) REQUIRE((name != nullptr) == (index >= 0 && index < info.classes));
        uint8_t rgb[3];
        require_as(is_open(of), rtseg_model_class_colour(of, index, rgb));
        rtseg_status_name(static_cast<rtseg_status>(input_.within(0, 15)));
    }

    void overlay() {
        Frame given = frame();
        rtseg_model* const of = model();
        std::vector<uint8_t> drawn(given.labels.size() * 3);
        const double opacity = input_.flag() ? 0.5 : input_.any<double>();
        const rtseg_canvas canvas{drawn.data(), given.image.height, given.image.width, 3 * ptrdiff_t{given.image.width},
                                  input_.flag() ? RTSEG_PIXELS_RGB : RTSEG_PIXELS_BGR};
        const bool is_right = given.is_right && is_open(of) && opacity >= 0 && opacity <= 1;
        require_as(is_right, rtseg_draw_overlay(of, &given.image, &given.map, opacity, &canvas));
    }

    void region() {
        const Frame given = frame();
        rtseg_image part{};
        const int top = input_.within(-1, kMostSide), left = input_.any<int>();
        const int height = input_.within(-1, kMostSide), width = input_.any<int>();
        if (require_line(rtseg_image_region(&given.image, top, left, height, width, &part)) != RTSEG_STATUS_OK) return;
        REQUIRE(part.data >= given.pixels.data() && part.height == height && part.width == width);
        const ptrdiff_t end = (height - 1) * part.row_bytes + (part.data - given.pixels.data()) + width;
        REQUIRE(end <= static_cast<ptrdiff_t>(given.pixels.size()));
    }

    void parts() {
        rtseg_session* const of = session();
        Frame given = frame();
        rtseg_tensor tensor{};
        require_as(is_open(of), rtseg_session_get_input(of, &tensor));
        const bool had_output = require_line(rtseg_session_get_output(of, &tensor)) == RTSEG_STATUS_OK;
        REQUIRE(is_open(of) || !had_output);
        if (given.map.height > kMostSide) given.map.height = 0;  // alone it is legal, and its memory is too small
        const rtseg_status written = require_line(rtseg_session_write_input(of, &given.image));
        const rtseg_status inferred = require_line(rtseg_session_infer(of));
        if (written == RTSEG_STATUS_OK || had_output) REQUIRE((inferred == RTSEG_STATUS_OK) == is_open(of));
        const rtseg_status read = require_line(rtseg_session_read_labels(of, &given.map));
        if (given.is_right) REQUIRE((written == RTSEG_STATUS_OK && read == RTSEG_STATUS_OK) == is_open(of));
    }

    void frames() {
        rtseg_session* const of = session();
        Frame given = frame();
        require_as(given.is_right && is_open(of), rtseg_session_run(of, &given.image, &given.map));
    }

    FuzzInput input_;
    std::vector<rtseg_session*> seen_, open_;
    std::vector<rtseg_model*> seen_models_, open_models_;
};

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    models();
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Calls(FuzzInput(data, size)).run();
    return 0;
}
