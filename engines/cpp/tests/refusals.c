/* Checks what the library says to arguments that cannot be: a status and one line, never a crash.
 *
 *     refusals FOLDER BACKEND
 *
 * FOLDER is the one of the golden vectors. Exits with 0 if all is refused as it should be. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rtseg/rtseg.h"

static int failures = 0;

/* Whether a call gave a status, and a message with those words in it. */
static void check(const char* what, rtseg_status got, rtseg_status expected, const char* words) {
    const char* const message = rtseg_last_message();
    if (got == expected && strstr(message, words) != NULL && strchr(message, '\n') == NULL) return;
    fprintf(stderr, "%s; got %s: %s\n    expected %s: ... %s ...\n", what, rtseg_status_name(got), message,
            rtseg_status_name(expected), words);
    ++failures;
}

#define REFUSED(call, words) check(#call, (call), RTSEG_STATUS_INVALID_ARGUMENT, words)

static void check_opening(const char* path, rtseg_model_options options) {
    rtseg_model* model = NULL;
    REFUSED(rtseg_model_open(NULL, &options, &model), "the path is NULL");
    REFUSED(rtseg_model_open(path, &options, NULL), "the place for the model is NULL");
    check("no file", rtseg_model_open("/nowhere/x.onnx", &options, &model), RTSEG_STATUS_FILE, "no such file");
    check("a folder", rtseg_model_open("/", &options, &model), RTSEG_STATUS_MANIFEST, "no manifest");
    options.threads = -1;
    REFUSED(rtseg_model_open(path, &options, &model), "the number of threads is out of range; got -1");
    options.threads = 0;
    options.parallel = 100000;
    REFUSED(rtseg_model_open(path, &options, &model), "the number of frames at once is out of range; got 100000");
    options.parallel = 0;
    options.struct_size = 3;
    REFUSED(rtseg_model_open(path, &options, &model), "the default function");
    options.struct_size = sizeof options;
    options.backend = "cuda";
    check("a backend that is none", rtseg_model_open(path, &options, &model), RTSEG_STATUS_MISSING,
          "unknown backend; got cuda; expected one of onnxruntime, openvino, tensorrt, tensorrt-rtx");
    options.backend = "tensorrt";
    check("a backend for engines", rtseg_model_open(path, &options, &model), RTSEG_STATUS_UNSUPPORTED,
          "tensorrt does not run");
    options.backend = "openvino";
    options.backend_folder = "/nowhere";
    check("a folder without backends", rtseg_model_open(path, &options, &model), RTSEG_STATUS_MISSING,
          "the backend openvino is not installed");
    if (model != NULL) ++failures; /* nothing is written on failure */
}

static void check_frames(rtseg_session* session) {
    static uint8_t pixels[64 * 64 * 4], labels[64 * 64];
    const rtseg_image good = {pixels, 48, 64, 64 * 3, RTSEG_PIXELS_RGB};
    const rtseg_label_map map = {labels, 48, 64, 64};
    rtseg_image image = good;
    rtseg_label_map other = map;
    rtseg_tensor tensor;
    check("a good frame", rtseg_session_run(session, &good, &map), RTSEG_STATUS_OK, "");
    REFUSED(rtseg_session_run(NULL, &good, &map), "the session is NULL");
    REFUSED(rtseg_session_run(session, NULL, &map), "the image is NULL");
    REFUSED(rtseg_session_run(session, &good, NULL), "the label map is NULL");
    image.data = NULL;
    REFUSED(rtseg_session_run(session, &image, &map), "the image has no data");
    image = good;
    image.height = 0;
    REFUSED(rtseg_session_run(session, &image, &map), "the size of the image is out of range; got 0x64");
    image.height = INT_MAX;
    REFUSED(rtseg_session_run(session, &image, &map), "the size of the image is out of range");
    image = good;
    image.width = -1;
    REFUSED(rtseg_session_run(session, &image, &map), "the size of the image is out of range");
    image = good;
    image.row_bytes = 64 * 3 - 1;
    REFUSED(rtseg_session_run(session, &image, &map), "the rows of the image overlap; got row_bytes 191");
    image.row_bytes = 0;
    REFUSED(rtseg_session_run(session, &image, &map), "the rows of the image overlap");
    image = good;
    image.format = (rtseg_pixel_format)7;
    REFUSED(rtseg_session_run(session, &image, &map), "unknown pixel format; got 7");
    other.width = 63;
    REFUSED(rtseg_session_run(session, &good, &other), "another size than the image; got 48x63; expected 48x64");
    other = map;
    other.row_bytes = 63;
    REFUSED(rtseg_session_run(session, &good, &other), "the rows of the label map overlap");
    other.data = NULL;
    REFUSED(rtseg_session_read_labels(session, &other), "the label map has no data");
    REFUSED(rtseg_session_write_input(session, &image), "unknown pixel format");
    REFUSED(rtseg_session_get_input(session, NULL), "the place for the tensor is NULL");
    REFUSED(rtseg_session_get_output(NULL, &tensor), "the session is NULL");
    check("a good frame afterwards", rtseg_session_run(session, &good, &map), RTSEG_STATUS_OK, "");
}

static void check_drawing(const rtseg_model* model) {
    static uint8_t pixels[16 * 16 * 3], labels[16 * 16];
    const rtseg_image image = {pixels, 16, 16, 48, RTSEG_PIXELS_BGR};
    const rtseg_label_map map = {labels, 16, 16, 16};
    rtseg_canvas canvas = {pixels, 16, 16, 48, RTSEG_PIXELS_BGR};
    rtseg_image region;
    check("a good overlay", rtseg_draw_overlay(model, &image, &map, 0.5, &canvas), RTSEG_STATUS_OK, "");
    REFUSED(rtseg_draw_overlay(model, &image, &map, 1.5, &canvas), "the opacity is out of range");
    REFUSED(rtseg_draw_overlay(NULL, &image, &map, 0.5, &canvas), "the model is NULL");
    REFUSED(rtseg_draw_overlay(model, &image, &map, 0.5, NULL), "the canvas is NULL");
    canvas.format = RTSEG_PIXELS_GREY;
    REFUSED(rtseg_draw_overlay(model, &image, &map, 0.5, &canvas), "the canvas has another pixel format");
    canvas.format = RTSEG_PIXELS_BGR;
    canvas.height = 15;
    REFUSED(rtseg_draw_overlay(model, &image, &map, 0.5, &canvas), "differ in size");
    REFUSED(rtseg_image_region(&image, 0, 0, 17, 16, &region), "the region is not inside the image");
    REFUSED(rtseg_image_region(&image, INT_MAX, 0, 1, 1, &region), "the region is not inside the image");
    REFUSED(rtseg_image_region(&image, 0, 0, INT_MAX, 1, &region), "the region is not inside the image");
    REFUSED(rtseg_image_region(&image, -1, 0, 1, 1, &region), "the region is not inside the image");
    REFUSED(rtseg_image_region(&image, 0, 0, 1, 1, NULL), "the place for the region is NULL");
}

static void check_facts(const rtseg_model* model) {
    rtseg_model_info info = {0};
    uint8_t rgb[3] = {9, 9, 9};
    REFUSED(rtseg_model_get_info(model, &info), "have a struct_size that cannot be");
    rtseg_model_info_default(&info);
    REFUSED(rtseg_model_get_info(model, NULL), "is NULL");
    check("the facts", rtseg_model_get_info(model, &info), RTSEG_STATUS_OK, "");
    if (rtseg_model_class_name(model, info.classes) != NULL || rtseg_model_class_name(model, -1) != NULL) ++failures;
    if (rtseg_model_class_name(model, 0) == NULL || rtseg_model_class_name(NULL, 0) != NULL) ++failures;
    check("a colour of no class", rtseg_model_class_colour(model, 255, rgb), RTSEG_STATUS_OK, "");
    if (rgb[0] != 0 || rgb[1] != 0 || rgb[2] != 0) ++failures;
    REFUSED(rtseg_model_class_colour(model, 0, NULL), "the place for the colour is NULL");
}

int main(int argc, char** argv) {
    rtseg_model_options options;
    rtseg_session_options session_options;
    rtseg_model *model = NULL, *never = (rtseg_model*)&options;
    rtseg_session* session = NULL;
    char path[4096];
    if (argc != 3) return 2;
    snprintf(path, sizeof path, "%s/fp32-logits.onnx", argv[1]);
    rtseg_model_options_default(&options);
    rtseg_session_options_default(&session_options);
    rtseg_model_options_default(NULL);
    rtseg_session_options_default(NULL);
    check_opening(path, options);
    options.backend = argv[2];
    check("a good model", rtseg_model_open(path, &options, &model), RTSEG_STATUS_OK, "");
    if (model == NULL) return 1;
    check_facts(model);
    check_drawing(model);
    REFUSED(rtseg_session_open(never, NULL, &session), "the model is not open");
    REFUSED(rtseg_session_open(model, NULL, NULL), "the place for the session is NULL");
    session_options.threads = -2;
    REFUSED(rtseg_session_open(model, &session_options, &session), "the number of threads is out of range");
    check("a good session", rtseg_session_open(model, NULL, &session), RTSEG_STATUS_OK, "");
    if (session == NULL) return 1;
    check_frames(session);
    check("a model closed before its session", rtseg_model_close(model), RTSEG_STATUS_OK, "");
    check_frames(session);
    REFUSED(rtseg_model_close(model), "the model is not open");
    check("a session closed", rtseg_session_close(session), RTSEG_STATUS_OK, "");
    REFUSED(rtseg_session_close(session), "the session is not open");
    REFUSED(rtseg_session_infer(session), "the session is not open");
    check("nothing closed", rtseg_session_close(NULL), RTSEG_STATUS_OK, "");
    check("nothing closed", rtseg_model_close(NULL), RTSEG_STATUS_OK, "");
    if (strcmp(rtseg_status_name((rtseg_status)77), "unknown status") != 0) ++failures;
    if (rtseg_abi_version() != RTSEG_ABI_VERSION || strlen(rtseg_version()) < 5) ++failures;
    return failures == 0 ? 0 : 1;
}
