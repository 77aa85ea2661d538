/* Checks that the two ends of the core, rtseg_core.h, give the golden vectors, byte for byte.
 *
 *     golden_ends FOLDER
 *
 * FOLDER is the one with cases.txt. Exits with 0 if all cases agree, 1 if not, 2 for files that cannot be read. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden_cases.h"
#include "rtseg_core.h"

static int is(const char* word, const char* other) { return strcmp(word, other) == 0; }

/* Where an image of the case's size lies in the network's input. */
static rtseg_window window_of(const golden_case* of) {
    rtseg_window window = {of->input_height, of->input_width, 0, 0, of->input_height, of->input_width};
    if (is(of->fit, "letterbox") &&
        rtseg_letterbox_window(of->image_height, of->image_width, of->input_height, of->input_width, &window))
        exit(2);
    return window;
}

/* Return the picture as height x width x 3, red first, without gaps. */
static uint8_t* rgb_of(const golden_case* of, const uint8_t* buffer) {
    int channel[3];
    const int pixel = golden_pixel(of->format, channel);
    uint8_t* rgb = golden_room((size_t)of->image_height * (size_t)of->image_width * 3, 0);
    for (int y = 0; y < of->image_height; ++y) {
        const uint8_t* row = buffer + of->image_offset + (ptrdiff_t)y * of->image_row_bytes;
        for (int x = 0; x < of->image_width; ++x)
            for (int c = 0; c < 3; ++c)
                rgb[((size_t)y * (size_t)of->image_width + (size_t)x) * 3 + (size_t)c] = row[x * pixel + channel[c]];
    }
    return rgb;
}

/* Return the tensor of the case's image, 3 x input_height x input_width. */
static float* tensor_of(const golden_case* of, const uint8_t* buffer, float scale, const float mean[3],
                        const float std[3], int threads) {
    const rtseg_window window = window_of(of);
    float* tensor = golden_room((size_t)of->input_height * (size_t)of->input_width * 3 * sizeof(float), 0);
    const int wants_bgr = is(of->colour_order, "BGR"), is_bgr = is(of->format, "BGR");
    uint8_t* rgb = NULL;
    const uint8_t* first = buffer + of->image_offset;
    ptrdiff_t row_bytes = of->image_row_bytes;
    if (!is_bgr && !is(of->format, "RGB")) { /* the core takes three bytes for a pixel */
        first = rgb = rgb_of(of, buffer);
        row_bytes = 3 * (ptrdiff_t)of->image_width;
    }
    const int code =
        rtseg_letterbox_from_image(first, of->image_height, of->image_width, row_bytes, wants_bgr != is_bgr, &window,
                                   of->padding, scale, mean, std, tensor, threads);
    if (code != RTSEG_OK) fprintf(stderr, "%s: %s\n", of->name, rtseg_core_message(code));
    free(rgb);
    return tensor;
}

static int check_input(const char* folder, const golden_case* of, int threads) {
    static const float zeros[3] = {0, 0, 0}, ones[3] = {1, 1, 1};
    const size_t plane = (size_t)of->input_height * (size_t)of->input_width;
    uint8_t* buffer = golden_bytes(folder, "image", of->image);
    int agrees;
    if (is(of->interface, "labels")) {
        float* tensor = tensor_of(of, buffer, 1, zeros, ones, threads);
        uint8_t* expected = golden_bytes(folder, "input", of->input);
        uint8_t* pixels = golden_room(plane * 3, 0);
        for (size_t i = 0; i < plane; ++i)
            for (size_t c = 0; c < 3; ++c) pixels[3 * i + c] = (uint8_t)lrintf(tensor[c * plane + i]);
        agrees = (size_t)of->input.length == plane * 3 && golden_equal(of, "input", pixels, expected, plane * 3);
        free(pixels);
        free(expected);
        free(tensor);
    } else {
        float* tensor = tensor_of(of, buffer, of->scale, of->mean, of->std, threads);
        float* expected = golden_floats(folder, "input", of->input);
        const size_t bytes = plane * 3 * sizeof(float);
        agrees = (size_t)of->input.length == bytes && golden_equal(of, "input", tensor, expected, bytes);
        free(expected);
        free(tensor);
    }
    free(buffer);
    return agrees;
}

/* The sample of `inputs` that lies under the middle of one of `outputs`. */
static int nearest(int output, int inputs, int outputs) {
    const int under = (int)((output + 0.5) * inputs / outputs);
    return under < inputs ? under : inputs - 1;
}

/* Write the labels of a graph that gives labels itself. */
static void resize_labels(const golden_case* of, const uint8_t* map, uint8_t* labels) {
    const rtseg_window window = window_of(of);
    for (int y = 0; y < of->image_height; ++y) {
        const int row = window.top + nearest(y, window.height, of->image_height);
        for (int x = 0; x < of->image_width; ++x) {
            const int column = window.left + nearest(x, window.width, of->image_width);
            labels[y * of->image_width + x] = map[row * of->result_width + column];
        }
    }
}

static int check_labels(const char* folder, const golden_case* of, int threads) {
    const int height = of->image_height, width = of->image_width;
    const size_t row_bytes = (size_t)of->labels_row_bytes, size = (size_t)height * row_bytes;
    const rtseg_window window = window_of(of);
    uint8_t* labels = golden_room((size_t)height * (size_t)width, 0);
    int code = RTSEG_OK;
    if (is(of->interface, "labels")) {
        uint8_t* map = golden_bytes(folder, "result", of->result);
        resize_labels(of, map, labels);
        free(map);
    } else {
        const int h = of->result_height, w = of->result_width;
        float* logits = golden_floats(folder, "result", of->result);
        if (of->has_threshold) {
            code = rtseg_mask_from_logits(logits, h, w, of->threshold, &window, labels, height, width,
                                          of->align_corners, threads);
        } else {
            code = rtseg_labels_in_window(logits, of->result_channels, h, w, &window, labels, height, width,
                                          of->align_corners, threads);
        }
        free(logits);
    }
    if (code != RTSEG_OK) fprintf(stderr, "%s: %s\n", of->name, rtseg_core_message(code));
    uint8_t* rows = golden_room(size, GOLDEN_GAP);
    for (int y = 0; y < height; ++y)
        memcpy(rows + (size_t)y * row_bytes, labels + (size_t)y * (size_t)width, (size_t)width);
    uint8_t* expected = golden_bytes(folder, "labels", of->labels);
    const int agrees = (size_t)of->labels.length == size && golden_equal(of, "label map", rows, expected, size);
    free(expected);
    free(rows);
    free(labels);
    return agrees;
}

int main(int argc, char** argv) {
    golden_case of;
    int inputs = 0, labels = 0, wrong = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: golden_ends FOLDER\n");
        return 2;
    }
    FILE* index = golden_open(argv[1]);
    while (golden_next(index, &of)) {
        for (int threads = 1; threads <= 3; threads += 2) {
            if (is(of.kind, "input")) wrong += !check_input(argv[1], &of, threads);
            if (is(of.kind, "labels")) wrong += !check_labels(argv[1], &of, threads);
        }
        inputs += is(of.kind, "input");
        labels += is(of.kind, "labels");
    }
    fclose(index);
    printf("%d inputs, %d label maps, %d wrong\n", inputs, labels, wrong);
    return wrong > 0 || inputs == 0 || labels == 0;
}
