/* Labels pictures that another program hands over, through rtseg.h:
 *
 *     label_pictures MODEL BACKEND THREADS < pictures > labels
 *
 * A picture is its height and its width, 4 bytes each, the least first, then height * width * 3 bytes: red, green,
 * blue. The answer to it is height * width bytes, one label each, written before the next picture is read: so a program
 * can ask and wait. Exits with 0 where the pictures end, 1 where the library refuses, 2 for arguments or a picture cut
 * short. */

#include <stdio.h>
#include <stdlib.h>

#include "rtseg/rtseg.h"

enum { MOST_SIDE = 16384 };

static void require(rtseg_status status) {
    if (status == RTSEG_STATUS_OK) return;
    fprintf(stderr, "label_pictures: %s: %s\n", rtseg_status_name(status), rtseg_last_message());
    exit(1);
}

static void give_up(const char* why) {
    fprintf(stderr, "label_pictures: %s\n", why);
    exit(2);
}

static unsigned long number_of(const unsigned char* bytes) {
    return bytes[0] | (unsigned long)bytes[1] << 8 | (unsigned long)bytes[2] << 16 | (unsigned long)bytes[3] << 24;
}

/* Read the size of the next picture. 0 where there is none. */
static int next_size(int* height, int* width) {
    unsigned char header[8];
    const size_t count = fread(header, 1, sizeof header, stdin);
    if (count == 0 && feof(stdin)) return 0;
    if (count != sizeof header) give_up("the size of a picture is cut short");
    if (number_of(header) - 1 >= MOST_SIDE || number_of(header + 4) - 1 >= MOST_SIDE)
        give_up("a side of a picture is out of range");
    *height = (int)number_of(header);
    *width = (int)number_of(header + 4);
    return 1;
}

int main(int argc, char** argv) {
    rtseg_model_options options;
    rtseg_model* model;
    rtseg_session* session;
    int height, width;
    if (argc != 4) give_up("expected MODEL BACKEND THREADS");
    rtseg_model_options_default(&options);
    options.backend = argv[2];
    options.threads = atoi(argv[3]);
    require(rtseg_model_open(argv[1], &options, &model));
    require(rtseg_session_open(model, NULL, &session));
    while (next_size(&height, &width)) {
        const size_t pixels = (size_t)height * (size_t)width;
        uint8_t* const picture = malloc(pixels * 3);
        uint8_t* const labels = malloc(pixels);
        const rtseg_image image = {picture, height, width, (ptrdiff_t)width * 3, RTSEG_PIXELS_RGB};
        const rtseg_label_map map = {labels, height, width, width};
        if (picture == NULL || labels == NULL) give_up("there is not enough memory");
        if (fread(picture, 1, pixels * 3, stdin) != pixels * 3) give_up("a picture is cut short");
        require(rtseg_session_run(session, &image, &map));
        if (fwrite(labels, 1, pixels, stdout) != pixels || fflush(stdout) != 0) give_up("the labels cannot be written");
        free(picture);
        free(labels);
    }
    require(rtseg_session_close(session));
    require(rtseg_model_close(model));
    return 0;
}
