/* Prints digests of what the core's functions give, for inputs that are the same wherever this is compiled. */
#include <stdio.h>
#include <stdlib.h>

#include "rtseg_core.h"

static uint32_t state;

static uint32_t drawn(void) {
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static void show(const char* what, int code, const void* data, size_t bytes) {
    uint64_t digest = 14695981039346656037u;
    const uint8_t* byte = (const uint8_t*)data;
    for (size_t i = 0; i < bytes; ++i) digest = (digest ^ byte[i]) * 1099511628211u;
    printf("%s %d %08x%08x\n", what, code, (unsigned)(digest >> 32), (unsigned)digest);
}

static void* room(size_t bytes) {
    void* data = calloc(bytes, 1);
    if (data == NULL) exit(2);
    return data;
}

int main(void) {
    enum { CLASSES = 19, H = 33, W = 70, HEIGHT = 260, WIDTH = 555, COUNT = 400000 };
    const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f}, scale = 1.0f / 255;
    float* values = room(COUNT * sizeof(float));
    uint8_t* image = room(3 * HEIGHT * WIDTH);
    uint8_t* labels = room(HEIGHT * WIDTH);
    float* tensor = room(3 * HEIGHT * WIDTH * sizeof(float));
    state = 1;
    for (size_t i = 0; i < COUNT; ++i) values[i] = ((float)drawn() - 8388608.0f) / 65536.0f;
    for (size_t i = 0; i < 3 * HEIGHT * WIDTH; ++i) image[i] = (uint8_t)drawn();
    for (int threads = 1; threads <= 5; threads += 2) {
        uint64_t bins[RTSEG_MAGNITUDE_BINS] = {0}, zeros = 0;
        float extremes[2] = {0, 0};
        int code;
        for (int aligned = 0; aligned < 2; ++aligned) {
            code = rtseg_labels_from_logits(values, CLASSES, H, W, labels, HEIGHT, WIDTH, aligned, threads);
            show("labels", code, labels, HEIGHT * WIDTH);
        }
        code = rtseg_labels_from_logits(values, CLASSES, H, W, labels, H, W, 0, threads);
        show("argmax", code, labels, H * W);
        code = rtseg_tensor_from_image(image, 120, 200, 600, 1, HEIGHT, WIDTH, scale, mean, std, tensor, threads);
        show("resize", code, tensor, 3 * HEIGHT * WIDTH * sizeof(float));
        code = rtseg_tensor_from_image(image, HEIGHT, WIDTH, 3 * WIDTH, 0, HEIGHT, WIDTH, scale, mean, std, tensor,
                                       threads);
        show("same size", code, tensor, 3 * HEIGHT * WIDTH * sizeof(float));
        rtseg_window window;
        code = rtseg_letterbox_window(120, 200, HEIGHT, WIDTH, &window);
        show("window", code, &window, sizeof window);
        code = rtseg_letterbox_from_image(image, 120, 200, 600, 0, &window, 114, scale, mean, std, tensor, threads);
        show("letterbox", code, tensor, 3 * HEIGHT * WIDTH * sizeof(float));
        code = rtseg_labels_in_window(values, CLASSES, H, W, &window, labels, 120, 200, 0, threads);
        show("labels in window", code, labels, 120 * 200);
        code = rtseg_mask_from_logits(values, H, W, 0.5f, &window, labels, HEIGHT, WIDTH, 1, threads);
        show("mask", code, labels, HEIGHT * WIDTH);
        rtseg_workspace* workspace = NULL;
        code = rtseg_workspace_create(threads, &workspace);
        if (code != RTSEG_OK) return 3;
        const rtseg_pixels pixels = {image, 120, 150, 600, 4, {2, 1, 0}};
        for (int again = 0; again < 2; ++again) {
            code = rtseg_workspace_tensor(workspace, &pixels, &window, 114, scale, mean, std, tensor);
            show("tensor", code, tensor, 3 * HEIGHT * WIDTH * sizeof(float));
            code = rtseg_workspace_labels(workspace, values, CLASSES, H, W, NULL, labels, HEIGHT, WIDTH, WIDTH, again);
            show("labels", code, labels, HEIGHT * WIDTH);
            code = rtseg_workspace_mask(workspace, values, H, W, 0.5f, &window, labels, HEIGHT, WIDTH, WIDTH, 1);
            show("mask", code, labels, HEIGHT * WIDTH);
        }
        rtseg_workspace_destroy(workspace);
        code = rtseg_value_range(values, COUNT, &extremes[0], &extremes[1], &zeros, threads);
        show("range", code, extremes, sizeof extremes);
        code = rtseg_count_magnitudes(values, COUNT, -5, bins, threads);
        show("bins", code, bins, sizeof bins);
    }
    printf("%s\n", rtseg_core_message(rtseg_value_range(NULL, 1, NULL, NULL, NULL, 0)));
    return 0;
}
