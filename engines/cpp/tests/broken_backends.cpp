// Checks that no exception of a backend gets past the C functions, and that a session outlives each.
//
//     broken_backends FOLDER BACKENDS
//
// BACKENDS is the folder of broken_backend.cpp's module, which stands in for onnxruntime's.

#include "test_images.h"

namespace {

struct Failure {
    int how;
    rtseg_status status;
    const char* message;
};

constexpr Failure kFailures[] = {
    {1, RTSEG_STATUS_NO_MEMORY, "there is not enough memory"},
    {2, RTSEG_STATUS_INTERNAL, "two lines of ?"},
    {3, RTSEG_STATUS_INTERNAL, "an exception of an unknown type"},
    {4, RTSEG_STATUS_BACKEND, "an error of its own"},
};

rtseg_status opened(const std::string& folder, const std::string& backends, int how, rtseg_model** model) {
    rtseg_model_options options;
    rtseg_model_options_default(&options);
    options.backend = "onnxruntime";
    options.backend_folder = backends.c_str();
    options.threads = how;
    return rtseg_model_open((folder + "/fp32-logits.onnx").c_str(), &options, model);
}

void require(const Failure& expected, rtseg_status got) {
    const std::string message = rtseg_last_message();
    if (got != expected.status || message != expected.message)
        std::fprintf(stderr, "%s: %s\n", rtseg_status_name(got), message.c_str());
    REQUIRE(got == expected.status && message == expected.message);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    rtseg_model* model = nullptr;
    for (const Failure& failure : kFailures) {  // while a model is opened
        require(failure, opened(argv[1], argv[2], failure.how, &model));
        REQUIRE(model == nullptr);
    }
    for (const Failure& failure : kFailures) {  // while a session is opened
        rtseg_session* session = nullptr;
        REQUIRE(opened(argv[1], argv[2], 10 + failure.how, &model) == RTSEG_STATUS_OK);
        require(failure, rtseg_session_open(model, nullptr, &session));
        REQUIRE(session == nullptr && rtseg_model_close(model) == RTSEG_STATUS_OK);
    }
    for (const Failure& failure : kFailures) {  // in a frame
        rtseg_session* session = nullptr;
        TestFrame frame(40, 50, 1);
        const rtseg_label_map map{frame.labels.data(), 40, 50, 50};
        REQUIRE(opened(argv[1], argv[2], 20 + failure.how, &model) == RTSEG_STATUS_OK);
        REQUIRE(rtseg_session_open(model, nullptr, &session) == RTSEG_STATUS_OK);
        for (int again = 0; again < 2; ++again) require(failure, rtseg_session_run(session, &frame.image().view(), &map));
        REQUIRE(rtseg_session_read_labels(session, &map) == RTSEG_STATUS_INVALID_ARGUMENT);  // nothing was inferred
        REQUIRE(rtseg_session_write_input(session, &frame.image().view()) == RTSEG_STATUS_OK);
        REQUIRE(rtseg_session_close(session) == RTSEG_STATUS_OK && rtseg_model_close(model) == RTSEG_STATUS_OK);
    }
    model = nullptr;
    REQUIRE(opened(argv[1], argv[2], 30, &model) == RTSEG_STATUS_MANIFEST && model == nullptr);
    return 0;
}
