// Checks what programs may do to the library: handles kept too long, strides beyond memory, a thousand sessions, threads
// that the system refuses, fork, and use until the very end of the process.
//
//     hostile_use FOLDER BACKEND

#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>

#include "test_images.h"

namespace {

// Run something in a child, and return its exit code; 1000 and the signal where one ended it.
int in_child(const std::function<int()>& body) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        alarm(60);  // whoever hangs is ended by a signal
        std::exit(body());
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

void a_closed_handle_stays_closed(const rtseg::Model& model) {
    std::vector<rtseg_session*> closed;
    for (int i = 0; i < 20; ++i) {
        rtseg_session* session = nullptr;
        REQUIRE(rtseg_session_open(model.get(), nullptr, &session) == RTSEG_STATUS_OK);
        for (rtseg_session* const before : closed) REQUIRE(rtseg_session_infer(before) == RTSEG_STATUS_INVALID_ARGUMENT);
        REQUIRE(rtseg_session_close(session) == RTSEG_STATUS_OK);
        closed.push_back(session);
    }
}

void handles_of_the_other_kind_are_refused(const rtseg::Model& model) {
    rtseg_session* session = nullptr;
    REQUIRE(rtseg_session_open(model.get(), nullptr, &session) == RTSEG_STATUS_OK);
    REQUIRE(rtseg_model_close(reinterpret_cast<rtseg_model*>(session)) == RTSEG_STATUS_INVALID_ARGUMENT);
    REQUIRE(rtseg_session_close(reinterpret_cast<rtseg_session*>(const_cast<rtseg_model*>(model.get()))) ==
            RTSEG_STATUS_INVALID_ARGUMENT);
    REQUIRE(rtseg_session_close(session) == RTSEG_STATUS_OK);
}

void rows_outside_of_memory_are_refused(const rtseg::Model& model) {
    rtseg::Session session(model);
    TestFrame frame(3, 4, 1);
    for (const std::ptrdiff_t row_bytes : {PTRDIFF_MAX, PTRDIFF_MIN, PTRDIFF_MAX / 2, PTRDIFF_MIN / 2, PTRDIFF_MIN + 98}) {
        const rtseg_image image{frame.pixels.data(), 3, 4, row_bytes, RTSEG_PIXELS_RGB};
        rtseg_image part{};
        REQUIRE(rtseg_image_region(&image, 2, 0, 1, 4, &part) == RTSEG_STATUS_INVALID_ARGUMENT);
        try {
            session.run(rtseg::Image(frame.pixels.data(), 3, 4, rtseg::PixelFormat::kRgb, row_bytes), frame.label_map());
            REQUIRE(false);
        } catch (const rtseg::Error& error) {
            REQUIRE(std::string(error.what()).find("lie outside of memory") != std::string::npos);
        }
        try {
            session.run(frame.image(), rtseg::LabelMap(frame.labels.data(), 3, 4, row_bytes));
            REQUIRE(false);
        } catch (const rtseg::Error& error) {
            REQUIRE(error.status() == RTSEG_STATUS_INVALID_ARGUMENT);
        }
    }
    // a single row has no next one
    TestFrame row(1, 4, 1);
    session.run(rtseg::Image(row.pixels.data(), 1, 4, rtseg::PixelFormat::kRgb, PTRDIFF_MIN), row.label_map());
}

void the_longest_images_are_labelled(const rtseg::Model& model) {
    rtseg::Session session(model);
    for (const bool is_high : {false, true}) {
        TestFrame frame(is_high ? 8388608 : 1, is_high ? 1 : 8388608, 1);
        session.run(frame.image(), frame.label_map());
        for (const uint8_t label : frame.labels) REQUIRE(label < model.classes());
    }
}

void a_label_map_may_lie_in_the_image(const rtseg::Model& model) {
    rtseg::Session session(model);
    TestFrame apart(31, 40, 1), inside(31, 40, 1);
    session.run(apart.image(), apart.label_map());
    session.run(inside.image(), rtseg::LabelMap(inside.pixels.data(), 31, 40, 3 * 40));
    for (size_t y = 0; y < 31; ++y)
        for (size_t x = 0; x < 40; ++x) REQUIRE(inside.pixels[y * 120 + x] == apart.labels[y * 40 + x]);
}

void a_thousand_sessions_are_one(const rtseg::Model& model) {
    TestFrame expected(20, 30, 1);
    rtseg::Session(model).run(expected.image(), expected.label_map());
    std::vector<std::unique_ptr<rtseg::Session>> sessions;
    for (int i = 0; i < 1000; ++i) sessions.push_back(std::make_unique<rtseg::Session>(model));
    for (const auto& session : sessions) {
        TestFrame frame(20, 30, 1);
        session->run(frame.image(), frame.label_map());
        REQUIRE(frame.labels == expected.labels);
    }
}

void more_threads_than_cores_can_be_asked_for(const rtseg::Model& model) {
    rtseg::Session session(model, 256);
    TestFrame frame(720, 1280, 1);
    session.run(frame.image(), frame.label_map());
}

// Label a frame without a right to start threads. Returns 0 where that is done, or refused with a message.
int label_without_threads(const std::string& folder, const std::string& backend) {
    const rlimit none{1, 1};
    if (setrlimit(RLIMIT_NPROC, &none) != 0) return 3;
    if (geteuid() == 0 && (setgroups(0, nullptr) != 0 || setuid(65534) != 0)) return 3;  // nothing limits root
    try {
        rtseg::ModelOptions options;
        options.backend = backend;
        rtseg::Session session(rtseg::Model(folder + "/fp32-logits.onnx", options), 8);
        TestFrame frame(720, 1280, 1);
        session.run(frame.image(), frame.label_map());
    } catch (const rtseg::Error& error) {
        std::fprintf(stderr, "without threads: %s\n", error.what());
        return error.what()[0] == '\0' ? 4 : 0;
    }
    return 0;
}

void threads_that_are_refused_end_nothing(const std::string& folder, const std::string& backend) {
    const auto child = [&]() -> int { _exit(label_without_threads(folder, backend)); };  // sanitizers end by a thread
    REQUIRE(in_child(child) == 0);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which take all addresses there are
// Open sessions until there is no memory left. Returns 0 where that is said, and all that were opened are whole.
int open_sessions_until_memory_ends(const std::string& folder, const std::string& backend) {
    const rtseg::Model model = open_golden(folder, backend, "fp32-logits");
    TestFrame frame(40, 50, 1);
    rtseg::Session(model).run(frame.image(), frame.label_map());  // what a backend makes once is made
    std::vector<rtseg_session*> sessions;
    sessions.reserve(1 << 20);
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t most = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (rlim_t{64} << 20);
    const rlimit little{most, most};
    if (setrlimit(RLIMIT_AS, &little) != 0) return 3;
    rtseg_status status = RTSEG_STATUS_OK;
    while (status == RTSEG_STATUS_OK && sessions.size() < sessions.capacity()) {
        rtseg_session* session = nullptr;
        status = rtseg_session_open(model.get(), nullptr, &session);
        if (status == RTSEG_STATUS_OK) sessions.push_back(session);
    }
    std::fprintf(stderr, "after %zu sessions: %s\n", sessions.size(), rtseg_last_message());
    for (rtseg_session* const session : sessions)
        if (rtseg_session_close(session) != RTSEG_STATUS_OK) return 4;
    rtseg::Session(model).run(frame.image(), frame.label_map());
    return status == RTSEG_STATUS_NO_MEMORY ? 0 : 5;
}

void want_of_memory_is_said(const std::string& folder, const std::string& backend) {
    REQUIRE(in_child([&] { return open_sessions_until_memory_ends(folder, backend); }) == 0);
}
#else
void want_of_memory_is_said(const std::string&, const std::string&) {}
#endif

void a_child_ends_as_it_should(const rtseg::Model& model) {
    rtseg::Session session(model, 4);
    TestFrame frame(720, 1280, 1);
    session.run(frame.image(), frame.label_map());
    REQUIRE(in_child([] { return 7; }) == 7);  // with all destructors, beside threads that are not there
    session.run(frame.image(), frame.label_map());
}

// Destroyed after main, when the library's own static objects may be gone.
struct UsedLast {
    std::unique_ptr<rtseg::Session> session;

    ~UsedLast() {
        if (session == nullptr) return;
        TestFrame frame(20, 30, 1);
        session->run(frame.image(), frame.label_map());
        try {
            rtseg::Model("/nowhere/x.onnx");
        } catch (const rtseg::Error& error) {
            if (error.status() == RTSEG_STATUS_FILE) return;
        }
        std::abort();
    }
};
UsedLast used_last;

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    threads_that_are_refused_end_nothing(argv[1], argv[2]);  // before this process has a backend
    want_of_memory_is_said(argv[1], argv[2]);
    const rtseg::Model model = open_golden(argv[1], argv[2], "fp32-logits");
    a_closed_handle_stays_closed(model);
    handles_of_the_other_kind_are_refused(model);
    rows_outside_of_memory_are_refused(model);
    the_longest_images_are_labelled(model);
    the_longest_images_are_labelled(open_golden(argv[1], argv[2], "threshold-letterbox"));
    a_label_map_may_lie_in_the_image(model);
    a_thousand_sessions_are_one(model);
    more_threads_than_cores_can_be_asked_for(model);
    a_child_ends_as_it_should(model);
    // ONNX Runtime's own static objects are gone after main.
    if (std::string(argv[2]) != "onnxruntime") used_last.session = std::make_unique<rtseg::Session>(model);
    return 0;
}
