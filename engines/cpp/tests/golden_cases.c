#include "golden_cases.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef enum field_type { FIELD_WORD, FIELD_INT, FIELD_FLOAT, FIELD_DOUBLE, FIELD_PLACE } field_type;

typedef struct field {
    const char* key;
    field_type type;
    size_t at;
    int count;
} field;

#define FIELD(name, type, count) \
    { #name, type, offsetof(golden_case, name), count }

static const field FIELDS[] = {
    {"case", FIELD_WORD, offsetof(golden_case, name), 1},
    FIELD(kind, FIELD_WORD, 1),
    FIELD(interface, FIELD_WORD, 1),
    FIELD(model, FIELD_WORD, 1),
    FIELD(colour_order, FIELD_WORD, 1),
    FIELD(fit, FIELD_WORD, 1),
    FIELD(format, FIELD_WORD, 1),
    FIELD(input_height, FIELD_INT, 1),
    FIELD(input_width, FIELD_INT, 1),
    FIELD(padding, FIELD_INT, 1),
    FIELD(scale, FIELD_FLOAT, 1),
    FIELD(mean, FIELD_FLOAT, 3),
    FIELD(std, FIELD_FLOAT, 3),
    FIELD(classes, FIELD_INT, 1),
    FIELD(stride, FIELD_INT, 1),
    FIELD(align_corners, FIELD_INT, 1),
    FIELD(threshold, FIELD_FLOAT, 1),
    FIELD(image_height, FIELD_INT, 1),
    FIELD(image_width, FIELD_INT, 1),
    FIELD(image_offset, FIELD_INT, 1),
    FIELD(image_row_bytes, FIELD_INT, 1),
    FIELD(result_channels, FIELD_INT, 1),
    FIELD(result_height, FIELD_INT, 1),
    FIELD(result_width, FIELD_INT, 1),
    FIELD(labels_row_bytes, FIELD_INT, 1),
    FIELD(output_tolerance, FIELD_DOUBLE, 1),
    FIELD(image, FIELD_PLACE, 1),
    FIELD(input, FIELD_PLACE, 1),
    FIELD(result, FIELD_PLACE, 1),
    FIELD(output, FIELD_PLACE, 1),
    FIELD(labels, FIELD_PLACE, 1),
};

static void fail(const char* what, const char* which) {
    fprintf(stderr, "golden vectors: %s: %s\n", what, which);
    exit(2);
}

static FILE* opened(const char* folder, const char* name, const char* ending) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s%s", folder, name, ending) >= (int)sizeof path) fail("too long", folder);
    FILE* file = fopen(path, "rb");
    if (file == NULL) fail(strerror(errno), path);
    return file;
}

/* Read a line without its end. Returns 0 at the end of the file. */
static int read_line(FILE* index, char* line, int size) {
    if (fgets(line, size, index) == NULL) return 0;
    char* end = strchr(line, '\n');
    if (end == NULL) fail("a line that is too long", line);
    *end = '\0';
    return 1;
}

FILE* golden_open(const char* folder) {
    char line[512];
    FILE* index = opened(folder, "cases", ".txt");
    if (!read_line(index, line, sizeof line) || strcmp(line, "rtseg-golden-vectors 1") != 0)
        fail("another format", folder);
    return index;
}

static double number(const char** text) {
    char* end;
    const double value = strtod(*text, &end);
    if (end == *text) fail("not a number", *text);
    *text = end;
    return value;
}

static long whole(const char** text) {
    char* end;
    const long value = strtol(*text, &end, 10);
    if (end == *text || value > INT_MAX || value < INT_MIN) fail("not a whole number", *text);
    *text = end;
    return value;
}

static void read_field(golden_case* found, const char* key, const char* text) {
    for (size_t i = 0; i < sizeof FIELDS / sizeof FIELDS[0]; ++i) {
        const field* known = &FIELDS[i];
        if (strcmp(key, known->key) != 0) continue;
        void* at = (char*)found + known->at;
        if (known->type == FIELD_WORD) {
            if (strlen(text) >= GOLDEN_WORD) fail("a word that is too long", text);
            strcpy(at, text);
            return;
        }
        for (int n = 0; n < known->count; ++n) {
            if (known->type == FIELD_INT) ((int*)at)[n] = (int)whole(&text);
            if (known->type == FIELD_FLOAT) ((float*)at)[n] = (float)number(&text);
            if (known->type == FIELD_DOUBLE) ((double*)at)[n] = number(&text);
            if (known->type == FIELD_PLACE) {
                ((golden_place*)at)[n].offset = whole(&text);
                ((golden_place*)at)[n].length = whole(&text);
            }
        }
        if (*text != '\0') fail("more than was expected", text);
        return;
    }
    fail("a key that this program does not know", key);
}

int golden_next(FILE* index, golden_case* found) {
    char line[512];
    int begun = 0;
    memset(found, 0, sizeof *found);
    while (read_line(index, line, sizeof line)) {
        if (line[0] == '\0') continue;
        if (strcmp(line, "end") == 0) return 1;
        begun = 1;
        char* text = strchr(line, ' ');
        if (text == NULL) fail("a key without a value", line);
        *text++ = '\0';
        if (strcmp(line, "threshold") == 0) {
            found->has_threshold = strcmp(text, "none") != 0;
            if (!found->has_threshold) continue;
        }
        read_field(found, line, text);
    }
    if (begun) fail("a case without an end", found->name);
    return 0;
}

uint8_t* golden_bytes(const char* folder, const char* key, golden_place place) {
    FILE* pack = opened(folder, key, ".bin");
    uint8_t* bytes = golden_room((size_t)place.length, 0);
    if (fseek(pack, place.offset, SEEK_SET) != 0 ||
        fread(bytes, 1, (size_t)place.length, pack) != (size_t)place.length)
        fail("a pack that is too short", key);
    fclose(pack);
    return bytes;
}

float* golden_floats(const char* folder, const char* key, golden_place place) {
    uint8_t* bytes = golden_bytes(folder, key, place);
    const size_t count = (size_t)place.length / 4;
    float* values = golden_room(count * sizeof(float), 0);
    for (size_t i = 0; i < count; ++i) {
        const uint8_t* from = bytes + 4 * i;
        const uint32_t bits =
            (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
        memcpy(&values[i], &bits, sizeof bits);
    }
    free(bytes);
    return values;
}

void* golden_room(size_t bytes, int filled_with) {
    void* room = malloc(bytes > 0 ? bytes : 1);
    if (room == NULL) fail("out of memory", "malloc");
    return memset(room, filled_with, bytes);
}

int golden_pixel(const char* format, int channel[3]) {
    const int is_grey = strcmp(format, "GREY") == 0, is_bgr = strncmp(format, "BGR", 3) == 0;
    if (!is_grey && !is_bgr && strncmp(format, "RGB", 3) != 0) fail("an unknown format", format);
    for (int c = 0; c < 3; ++c) channel[c] = is_grey ? 0 : is_bgr ? 2 - c : c;
    return is_grey ? 1 : (int)strlen(format);
}

int golden_equal(const golden_case* of, const char* what, const void* got, const void* expected, size_t bytes) {
    const uint8_t *a = got, *b = expected;
    for (size_t i = 0; i < bytes; ++i) {
        if (a[i] == b[i]) continue;
        fprintf(stderr, "%s: byte %lu of the %s is %d, expected %d\n", of->name, (unsigned long)i, what, a[i], b[i]);
        return 0;
    }
    return 1;
}
