/* The golden vectors, read by C programs: golden/README.md says what is in the files. */
#ifndef GOLDEN_CASES_H
#define GOLDEN_CASES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { GOLDEN_WORD = 64, GOLDEN_GAP = 165 };

/* Bytes of a pack. */
typedef struct golden_place {
    long offset, length;
} golden_place;

/* What the index says of a case; 0 and "" for what it does not say. */
typedef struct golden_case {
    char name[GOLDEN_WORD], kind[GOLDEN_WORD], interface[GOLDEN_WORD], model[GOLDEN_WORD];
    char colour_order[GOLDEN_WORD], fit[GOLDEN_WORD], format[GOLDEN_WORD];
    int input_height, input_width, padding;
    float scale, mean[3], std[3];
    int classes, stride, align_corners, has_threshold;
    float threshold;
    int image_height, image_width, image_offset, image_row_bytes;
    int result_channels, result_height, result_width;
    int labels_row_bytes;
    double output_tolerance;
    golden_place image, input, result, output, labels;
} golden_case;

/* All of these write a line to stderr and exit with code 2 for files that are not as described. */

/* Open the index in a folder and read its first line. */
FILE* golden_open(const char* folder);

/* Read the next case. Returns 0 at the end, else 1. */
int golden_next(FILE* index, golden_case* found);

/* Return bytes of the pack of a key, "image" for image.bin. The caller frees them. */
uint8_t* golden_bytes(const char* folder, const char* key, golden_place place);

/* The same as float32 numbers of this machine, place.length / 4 of them. */
float* golden_floats(const char* folder, const char* key, golden_place place);

/* Return a buffer filled with one byte. The caller frees it. */
void* golden_room(size_t bytes, int filled_with);

/* Return how many bytes a pixel has, and where in it red, green and blue lie. */
int golden_pixel(const char* format, int channel[3]);

/* Return 1 if both are equal; else write to stderr which byte of what is not, and return 0. */
int golden_equal(const golden_case* of, const char* what, const void* got, const void* expected, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
