/* Labels of a frame in C: reads 640x480 BGR frames from standard input, writes their label maps to standard output.
 * Usage: ten_lines_c MODEL.onnx < frames.bgr > labels.bin */
#include <rtseg/rtseg.h>
#include <stdio.h>

int main(int argc, char** argv) {
    static uint8_t pixels[480 * 640 * 3], labels[480 * 640];
    const rtseg_image frame = {pixels, 480, 640, 640 * 3, RTSEG_PIXELS_BGR};
    const rtseg_label_map label_map = {labels, 480, 640, 640};
    rtseg_model* model = NULL;
    rtseg_session* session = NULL;
    rtseg_status status = rtseg_model_open(argc > 1 ? argv[1] : "model.onnx", NULL, &model);
    if (status == RTSEG_STATUS_OK) status = rtseg_session_open(model, NULL, &session);
    while (status == RTSEG_STATUS_OK && fread(pixels, sizeof pixels, 1, stdin) == 1) {
        status = rtseg_session_run(session, &frame, &label_map);
        if (status == RTSEG_STATUS_OK) fwrite(labels, sizeof labels, 1, stdout);
    }
    if (status != RTSEG_STATUS_OK) fprintf(stderr, "%s\n", rtseg_last_message());
    rtseg_session_close(session);
    rtseg_model_close(model);
    return status;
}
