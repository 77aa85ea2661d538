// The C functions: they take handles, and return a status and a message. No exception leaves them.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "ends.h"
#include "errors.h"
#include "handles.h"
#include "model.h"
#include "overlay.h"
#include "rtseg/rtseg.h"
#include "session.h"

#ifndef RTSEG_VERSION
#error "RTSEG_VERSION is set by CMakeLists.txt"
#endif

namespace rtseg_internal {
namespace {

// A fixed buffer: an out-of-memory message must not allocate.
thread_local char last_message[1024] = "";

// Keep a line of printable UTF-8. A line that is too long is cut after a whole character and ends in three dots.
rtseg_status failed(rtseg_status status, const char* line) {
    constexpr size_t kMost = sizeof last_message - 1;
    size_t length = std::strlen(line);
    const bool is_cut = length > kMost;
    if (is_cut) {
        length = kMost - 3;
        while (length > 0 && (static_cast<unsigned char>(line[length]) & 0xc0) == 0x80) --length;
    }
    std::memcpy(last_message, line, length);
    std::strcpy(last_message + length, is_cut ? "..." : "");
    return status;
}

// A text from outside, which may contain anything.
rtseg_status failed_inside(const char* text) {
    try {
        return failed(RTSEG_STATUS_INTERNAL, one_line(text).c_str());
    } catch (...) {
        return failed(RTSEG_STATUS_NO_MEMORY, "there is not enough memory");
    }
}

template <class Body>
rtseg_status guarded(const Body& body) {
    try {
        body();
        return RTSEG_STATUS_OK;
    } catch (const Error& error) {
        return failed(error.status(), error.what());
    } catch (const std::bad_alloc&) {
        return failed(RTSEG_STATUS_NO_MEMORY, "there is not enough memory");
    } catch (const std::exception& error) {
        return failed_inside(error.what());
    } catch (...) {
        return failed(RTSEG_STATUS_INTERNAL, "an exception of an unknown type");
    }
}

// A session, and whether a thread is using it.
struct OpenSession {
    Session session;
    std::atomic_flag in_use = ATOMIC_FLAG_INIT;

    OpenSession(std::shared_ptr<const Model> model, int threads) : session(std::move(model), threads) {}
};

Handles<rtseg_model, const Model>& models() {
    static auto* const handles = new Handles<rtseg_model, const Model>("model");  // outlives every thread
    return *handles;
}

Handles<rtseg_session, OpenSession>& sessions() {
    static auto* const handles = new Handles<rtseg_session, OpenSession>("session");
    return *handles;
}

// Marks a session as used by one thread.
class Use {
  public:
    explicit Use(const rtseg_session* handle) : open_(sessions().get(handle)) {
        if (open_->in_use.test_and_set(std::memory_order_acquire))
            throw Error(RTSEG_STATUS_BUSY, "another thread is using the session", "", "use one session for each thread");
    }
    ~Use() { open_->in_use.clear(std::memory_order_release); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    Session* operator->() const { return &open_->session; }

  private:
    std::shared_ptr<OpenSession> open_;
};

// A backend would start that many threads.
int require_threads(int threads) {
    constexpr int kMost = 256;
    if (threads < 0 || threads > kMost)
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the number of threads is out of range", std::to_string(threads),
                    "0, all, to " + std::to_string(kMost));
    return threads;
}

// Return a struct as this version knows it, with defaults for a null pointer. A struct smaller than the first version's
// is refused. The fields that only a newer version has must be zero: an unknown option must not be ignored.
template <class Struct>
Struct known(const Struct* given, const char* what) {
    Struct made{};
    if (given == nullptr) return made;
    constexpr size_t kLargest = 4096;
    const unsigned char* const bytes = reinterpret_cast<const unsigned char*>(given);
    bool fits = given->struct_size >= sizeof(Struct) && given->struct_size <= kLargest;
    for (size_t i = sizeof(Struct); fits && i < given->struct_size; ++i) fits = bytes[i] == 0;
    if (!fits)
        throw Error(RTSEG_STATUS_INVALID_ARGUMENT, std::string(what) + " have a struct_size that cannot be",
                    std::to_string(given->struct_size), std::to_string(sizeof(Struct)),
                    "call the default function, which fills it in");
    std::memcpy(&made, given, sizeof made);
    return made;
}

std::string text_of(const char* given) { return given == nullptr ? "" : given; }

template <class Value>
void require_place(const Value* place, const char* what) {
    if (place == nullptr) throw Error(RTSEG_STATUS_INVALID_ARGUMENT, std::string(what) + " is NULL");
}

}  // namespace
}  // namespace rtseg_internal

using namespace rtseg_internal;  // the C functions lie outside

const char* rtseg_version(void) { return RTSEG_VERSION; }

int rtseg_abi_version(void) { return RTSEG_ABI_VERSION; }

const char* rtseg_status_name(rtseg_status status) {
    switch (number_of(status)) {
        case RTSEG_STATUS_OK: return "done";
        case RTSEG_STATUS_INVALID_ARGUMENT: return "invalid argument";
        case RTSEG_STATUS_FILE: return "file";
        case RTSEG_STATUS_MANIFEST: return "manifest";
        case RTSEG_STATUS_UNSUPPORTED: return "unsupported";
        case RTSEG_STATUS_MISSING: return "missing";
        case RTSEG_STATUS_BACKEND: return "backend";
        case RTSEG_STATUS_BUSY: return "busy";
        case RTSEG_STATUS_NO_MEMORY: return "out of memory";
        case RTSEG_STATUS_INTERNAL: return "internal";
    }
    return "unknown status";
}

const char* rtseg_last_message(void) { return last_message; }

rtseg_status rtseg_model_open(const char* path, const rtseg_model_options* options, rtseg_model** model) {
    return guarded([&] {
        require_place(path, "the path");
        require_place(model, "the place for the model");
        const rtseg_model_options chosen = known(options, "the model's options");
        constexpr int kMostAtOnce = 1024;
        if (chosen.parallel < 0 || chosen.parallel > kMostAtOnce)
            throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the number of frames at once is out of range",
                        std::to_string(chosen.parallel), "1 to " + std::to_string(kMostAtOnce));
        *model = models().add(open_model(path, text_of(chosen.backend), text_of(chosen.backend_folder),
                                         require_threads(chosen.threads), std::max(chosen.parallel, 1)));
    });
}

rtseg_status rtseg_model_close(rtseg_model* model) {
    return guarded([&] {
        if (model != nullptr) models().remove(model);
    });
}

rtseg_status rtseg_model_get_info(const rtseg_model* model, rtseg_model_info* info) {
    return guarded([&] {
        require_place(info, "the place for the information");
        known(info, "the model's facts");
        const std::shared_ptr<const Model> open = models().get(model);
        const Manifest& manifest = open->manifest;
        *info = {info->struct_size,  // as the caller has it: more fields stay as they are
                 manifest.network.c_str(),
                 manifest.precision.c_str(),
                 manifest.output.dataset.c_str(),
                 open->backend.c_str(),
                 open->graph->device().c_str(),
                 manifest.image.height,
                 manifest.image.width,
                 static_cast<int>(manifest.output.names.size()),
                 manifest.output.ignore_index};
    });
}

const char* rtseg_model_class_name(const rtseg_model* model, int index) {
    const char* name = nullptr;
    guarded([&] {
        const std::vector<std::string>& names = models().get(model)->manifest.output.names;
        if (index < 0 || static_cast<size_t>(index) >= names.size())
            throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "there is no such class", std::to_string(index),
                        "0 to " + std::to_string(names.size() - 1));
        name = names[static_cast<size_t>(index)].c_str();
    });
    return name;
}

int rtseg_model_class_index(const rtseg_model* model, const char* name) {
    int index = -1;
    guarded([&] {
        require_place(name, "the name of the class");
        const std::vector<std::string>& names = models().get(model)->manifest.output.names;
        const auto found = std::find(names.begin(), names.end(), name);
        if (found == names.end())
            throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "there is no such class", name, "a name of " + names.front() +
                        ", " + names[1] + ", ...");
        index = static_cast<int>(found - names.begin());
    });
    return index;
}

rtseg_status rtseg_model_class_colour(const rtseg_model* model, int index, uint8_t rgb[3]) {
    return guarded([&] {
        require_place(rgb, "the place for the colour");
        colour_of(models().get(model)->manifest.output, index, rgb);
    });
}

rtseg_status rtseg_session_open(const rtseg_model* model, const rtseg_session_options* options,
                                rtseg_session** session) {
    return guarded([&] {
        require_place(session, "the place for the session");
        const int threads = require_threads(known(options, "the session's options").threads);
        *session = sessions().add(std::make_shared<OpenSession>(models().get(model), threads));
    });
}

rtseg_status rtseg_session_close(rtseg_session* session) {
    return guarded([&] {
        if (session == nullptr) return;
        const Use use(session);  // which no other thread begins or ends now
        sessions().remove(session);
    });
}

rtseg_status rtseg_session_run(rtseg_session* session, const rtseg_image* image, const rtseg_label_map* labels) {
    return guarded([&] { Use(session)->run(image, labels); });
}

rtseg_status rtseg_session_write_input(rtseg_session* session, const rtseg_image* image) {
    return guarded([&] { Use(session)->write_input(image); });
}

rtseg_status rtseg_session_infer(rtseg_session* session) {
    return guarded([&] { Use(session)->infer(); });
}

rtseg_status rtseg_session_read_labels(rtseg_session* session, const rtseg_label_map* labels) {
    return guarded([&] { Use(session)->read_labels(labels); });
}

rtseg_status rtseg_session_get_input(rtseg_session* session, rtseg_tensor* tensor) {
    return guarded([&] {
        require_place(tensor, "the place for the tensor");
        *tensor = Use(session)->input();
    });
}

rtseg_status rtseg_session_get_output(rtseg_session* session, rtseg_tensor* tensor) {
    return guarded([&] {
        require_place(tensor, "the place for the tensor");
        *tensor = Use(session)->output();
    });
}

rtseg_status rtseg_draw_overlay(const rtseg_model* model, const rtseg_image* image, const rtseg_label_map* labels,
                                double opacity, const rtseg_canvas* canvas) {
    return guarded([&] { draw_overlay(models().get(model)->manifest.output, image, labels, opacity, canvas); });
}

rtseg_status rtseg_image_region(const rtseg_image* image, int top, int left, int height, int width,
                                rtseg_image* region) {
    return guarded([&] {
        require_image(image);
        require_place(region, "the place for the region");
        if (top < 0 || left < 0 || height < 1 || width < 1 || height > image->height - top ||
            width > image->width - left)
            throw Error(RTSEG_STATUS_INVALID_ARGUMENT, "the region is not inside the image");
        const ptrdiff_t begin = top * image->row_bytes + static_cast<ptrdiff_t>(left) * bytes_of(image->format);
        *region = {image->data + begin, height, width, image->row_bytes, image->format};
    });
}
