/* Checks that whole models give the golden vectors through rtseg.h: inputs and labels byte for byte, outputs within the
 * tolerance of the case.
 *
 *     golden_models FOLDER [BACKEND]
 *
 * FOLDER is the one with cases.txt; without BACKEND the library chooses. Exits with 0 if all cases agree, 1 if not, 2 for
 * files that cannot be read. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden_cases.h"
#include "rtseg/rtseg.h"

enum { ABOVE = 2, BESIDE = 3 }; /* of an image that is a region of a larger one */

static int is_done(const golden_case* of, rtseg_status status) {
    if (status == RTSEG_STATUS_OK) return 1;
    fprintf(stderr, "%s: %s: %s\n", of->name, rtseg_status_name(status), rtseg_last_message());
    return 0;
}

static rtseg_pixel_format format_of(const golden_case* of) {
    static const char* const names[] = {"RGB", "BGR", "RGBA", "BGRA", "GREY"};
    for (int i = 0; i < 5; ++i)
        if (strcmp(of->format, names[i]) == 0) return (rtseg_pixel_format)i;
    fprintf(stderr, "%s: an unknown format: %s\n", of->name, of->format);
    exit(2);
}

/* A label map whose every byte is GOLDEN_GAP. */
static rtseg_label_map empty_map(const golden_case* of) {
    rtseg_label_map map = {NULL, of->image_height, of->image_width, of->labels_row_bytes};
    map.data = golden_room((size_t)of->image_height * (size_t)of->labels_row_bytes, GOLDEN_GAP);
    return map;
}

static int check_map(const golden_case* of, const char* what, rtseg_label_map map, const uint8_t* expected) {
    const size_t bytes = (size_t)of->image_height * (size_t)of->labels_row_bytes;
    const int agrees = (size_t)of->labels.length == bytes && golden_equal(of, what, map.data, expected, bytes);
    free(map.data);
    return agrees;
}

static size_t bytes_of(rtseg_tensor tensor) {
    size_t bytes = tensor.element_type == RTSEG_UINT8 ? 1 : sizeof(float);
    for (int i = 0; i < tensor.rank; ++i) bytes *= (size_t)tensor.shape[i];
    return bytes;
}

/* Whether a tensor is the one in the pack of a key, with a tolerance for each float32. */
static int check_tensor(const char* folder, const golden_case* of, const char* key, golden_place place,
                        rtseg_tensor tensor, double tolerance) {
    int agrees = 1;
    if (bytes_of(tensor) != (size_t)place.length) {
        fprintf(stderr, "%s: the %s has %lu bytes, expected %ld\n", of->name, key, (unsigned long)bytes_of(tensor),
                place.length);
        return 0;
    }
    if (tensor.element_type == RTSEG_UINT8) {
        uint8_t* expected = golden_bytes(folder, key, place);
        agrees = golden_equal(of, key, tensor.data, expected, (size_t)place.length);
        free(expected);
        return agrees;
    }
    const float* got = tensor.data;
    float* expected = golden_floats(folder, key, place);
    if (tolerance == 0) {
        agrees = golden_equal(of, key, got, expected, (size_t)place.length);
    } else {
        for (long i = 0; agrees && i < place.length / 4; ++i) {
            agrees = fabs((double)got[i] - (double)expected[i]) <= tolerance; /* NaN is not */
            if (!agrees)
                fprintf(stderr, "%s: value %ld of the %s is %g, expected %g\n", of->name, i, key, (double)got[i],
                        (double)expected[i]);
        }
    }
    free(expected);
    return agrees;
}

static int check_whole(rtseg_session* session, const golden_case* of, const rtseg_image* image, const char* what,
                       const uint8_t* expected) {
    const rtseg_label_map map = empty_map(of);
    const int done = is_done(of, rtseg_session_run(session, image, &map));
    return check_map(of, what, map, expected) && done;
}

static int check_parts(const char* folder, rtseg_session* session, const golden_case* of, const rtseg_image* image,
                       const uint8_t* expected) {
    rtseg_tensor input, output;
    if (!is_done(of, rtseg_session_write_input(session, image)) ||
        !is_done(of, rtseg_session_get_input(session, &input)) ||
        !check_tensor(folder, of, "input", of->input, input, 0) || !is_done(of, rtseg_session_infer(session)) ||
        !is_done(of, rtseg_session_get_output(session, &output)) ||
        !check_tensor(folder, of, "output", of->output, output, of->output_tolerance))
        return 0;
    const rtseg_label_map map = empty_map(of);
    const int done = is_done(of, rtseg_session_read_labels(session, &map));
    return check_map(of, "label map in parts", map, expected) && done;
}

/* The same picture inside a larger one, of which it is a region. */
static int check_region(rtseg_session* session, const golden_case* of, const rtseg_image* image,
                        const uint8_t* expected) {
    int channel[3];
    const size_t pixel = (size_t)golden_pixel(of->format, channel), row = pixel * (size_t)image->width;
    const size_t pitch = row + 2 * BESIDE * pixel;
    rtseg_image larger = *image, region;
    larger.height += 2 * ABOVE;
    larger.width += 2 * BESIDE;
    larger.row_bytes = (ptrdiff_t)pitch;
    uint8_t* buffer = golden_room((size_t)larger.height * pitch, 77);
    larger.data = buffer;
    for (int y = 0; y < image->height; ++y)
        memcpy(buffer + (size_t)(y + ABOVE) * pitch + BESIDE * pixel, image->data + (ptrdiff_t)y * image->row_bytes, row);
    const int agrees =
        is_done(of, rtseg_image_region(&larger, ABOVE, BESIDE, image->height, image->width, &region)) &&
        check_whole(session, of, &region, "label map of a region", expected);
    free(buffer);
    return agrees;
}

static int check(const char* folder, const char* backend, const golden_case* of) {
    char path[4096];
    rtseg_model* model = NULL;
    rtseg_session* session = NULL;
    rtseg_model_options options;
    rtseg_model_options_default(&options);
    options.backend = backend;
    options.threads = 1;
    if (snprintf(path, sizeof path, "%s/%s", folder, of->model) >= (int)sizeof path) return 0;
    if (!is_done(of, rtseg_model_open(path, &options, &model))) return 0;
    if (!is_done(of, rtseg_session_open(model, NULL, &session))) {
        rtseg_model_close(model);
        return 0;
    }
    uint8_t* buffer = golden_bytes(folder, "image", of->image);
    uint8_t* expected = golden_bytes(folder, "labels", of->labels);
    const rtseg_image image = {buffer + of->image_offset, of->image_height, of->image_width, of->image_row_bytes,
                               format_of(of)};
    int agrees = check_whole(session, of, &image, "label map", expected);
    agrees = check_parts(folder, session, of, &image, expected) && agrees;
    agrees = check_region(session, of, &image, expected) && agrees;
    agrees = is_done(of, rtseg_session_close(session)) && agrees;
    agrees = is_done(of, rtseg_model_close(model)) && agrees;
    free(expected);
    free(buffer);
    return agrees;
}

int main(int argc, char** argv) {
    golden_case of;
    int cases = 0, wrong = 0;
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: golden_models FOLDER [BACKEND]\n");
        return 2;
    }
    FILE* index = golden_open(argv[1]);
    while (golden_next(index, &of)) {
        if (strcmp(of.kind, "model") != 0) continue;
        wrong += !check(argv[1], argc == 3 ? argv[2] : NULL, &of);
        ++cases;
    }
    fclose(index);
    printf("%d frames through models, %d wrong\n", cases, wrong);
    return wrong > 0 || cases == 0;
}
