/* rtseg: labels from a frame, in C.
 *
 * A model is an rtseg file with its manifest beside it: an ONNX file, an OpenVINO model or a TensorRT engine. It is
 * opened once, is immutable, and serves any number of threads. A session belongs to one thread: it owns the buffers and
 * threads for labelling a frame, so only the first frame of a size allocates memory.
 *
 * A complete program, which labels an image of one colour:
 *
 *     #include <rtseg/rtseg.h>
 *     #include <stdio.h>
 *     #include <stdlib.h>
 *
 *     static void require(rtseg_status status) {
 *         if (status == RTSEG_STATUS_OK) return;
 *         fprintf(stderr, "%s\n", rtseg_last_message());
 *         exit(1);
 *     }
 *
 *     int main(int argc, char** argv) {
 *         static uint8_t pixels[480 * 640 * 3], labels[480 * 640];
 *         const rtseg_image image = {pixels, 480, 640, 640 * 3, RTSEG_PIXELS_BGR};
 *         const rtseg_label_map label_map = {labels, 480, 640, 640};
 *         rtseg_model* model;
 *         rtseg_session* session;
 *         if (argc != 2) return 2;
 *         require(rtseg_model_open(argv[1], NULL, &model));
 *         require(rtseg_session_open(model, NULL, &session));
 *         require(rtseg_session_run(session, &image, &label_map));
 *         printf("%s\n", rtseg_model_class_name(model, labels[0]));
 *         require(rtseg_session_close(session));
 *         require(rtseg_model_close(model));
 *         return 0;
 *     }
 *
 * Labels. The label map has the image's own size. Preprocessing, network and postprocessing give the same bits as rtseg
 * in Python on the same backend: the image is fitted to the network's input by the rule in the manifest, and the logits
 * are interpolated directly to the image's size.
 *
 * Errors. Every function that can fail returns a status. rtseg_last_message then returns one line: what is wrong, what
 * was found, what was expected, what to try. It belongs to the calling thread and stays valid until that thread's next
 * failure. A failed call writes nothing to its arguments, with one exception: with RTSEG_STATUS_BACKEND a label map may
 * be partly written.
 *
 * Threads. Any thread may call any function. Any number of threads may use a model at once. A session runs one call at
 * a time: a second thread immediately gets RTSEG_STATUS_BUSY. A closed or invalid handle gives
 * RTSEG_STATUS_INVALID_ARGUMENT. A model may be closed while it has sessions; they keep what they need. After fork()
 * the child must not use what its parent opened.
 *
 * Memory. The caller owns images and label maps; a call reads or writes them and keeps no pointer. Returned strings
 * stay valid until their model is closed.
 */

#ifndef RTSEG_RTSEG_H
#define RTSEG_RTSEG_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(RTSEG_SHARED)
#if defined(RTSEG_BUILDING)
#define RTSEG_EXPORT __declspec(dllexport)
#else
#define RTSEG_EXPORT __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define RTSEG_EXPORT __attribute__((visibility("default")))
#else
#define RTSEG_EXPORT
#endif

/* Grows whenever a declaration below changes its meaning. Structs with a struct_size may get more fields at their end;
 * the default functions store the size that a program was compiled with, so older programs keep working. */
#define RTSEG_ABI_VERSION 1

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rtseg_status {
    RTSEG_STATUS_OK = 0,
    RTSEG_STATUS_INVALID_ARGUMENT = 1, /* NULL, an impossible size or stride, a closed handle */
    RTSEG_STATUS_FILE = 2,             /* a file that is missing or cannot be read */
    RTSEG_STATUS_MANIFEST = 3,         /* no manifest, an unreadable one, or one that does not match the file */
    RTSEG_STATUS_UNSUPPORTED = 4,      /* a file that this backend or this version does not run */
    RTSEG_STATUS_MISSING = 5,          /* a backend or a library that is not installed, or an unknown backend */
    RTSEG_STATUS_BACKEND = 6,          /* an error that a backend reports while it loads or runs a file */
    RTSEG_STATUS_BUSY = 7,             /* another thread is using the session */
    RTSEG_STATUS_NO_MEMORY = 8,
    RTSEG_STATUS_INTERNAL = 9 /* a bug in rtseg */
} rtseg_status;

/* The order of a pixel's bytes. Alpha is ignored; grey counts as equal red, green and blue. */
typedef enum rtseg_pixel_format {
    RTSEG_PIXELS_RGB = 0,
    RTSEG_PIXELS_BGR = 1,
    RTSEG_PIXELS_RGBA = 2,
    RTSEG_PIXELS_BGRA = 3,
    RTSEG_PIXELS_GREY = 4
} rtseg_pixel_format;

/* An image in the caller's memory: `height` rows of `width` pixels. Height comes before width, here and everywhere.
 * `data` is the top row; each row begins `row_bytes` after the row above it, which is negative for an image stored
 * bottom up. */
typedef struct rtseg_image {
    const uint8_t* data;
    int height, width;
    ptrdiff_t row_bytes;
    rtseg_pixel_format format;
} rtseg_image;

/* The label map to write: `height` rows of `width` bytes, each a class index. */
typedef struct rtseg_label_map {
    uint8_t* data;
    int height, width;
    ptrdiff_t row_bytes;
} rtseg_label_map;

/* The image that the library draws to: RGB or BGR. */
typedef struct rtseg_canvas {
    uint8_t* data;
    int height, width;
    ptrdiff_t row_bytes;
    rtseg_pixel_format format;
} rtseg_canvas;

typedef enum rtseg_element_type { RTSEG_FLOAT32 = 0, RTSEG_UINT8 = 1 } rtseg_element_type;

/* A network's input or output in host memory, contiguous, for one image. The input is float32 (1, 3, height, width),
 * the output float32 (1, channels, height / stride, width / stride). A network that returns labels itself takes uint8
 * (1, height, width, 3) and returns uint8 (1, height, width). The pointer stays valid until the session is closed; the
 * next frame overwrites the data. */
typedef struct rtseg_tensor {
    const void* data;
    int rank;
    int64_t shape[4];
    rtseg_element_type element_type;
} rtseg_tensor;

typedef struct rtseg_model rtseg_model;
typedef struct rtseg_session rtseg_session;

typedef struct rtseg_model_options {
    size_t struct_size;
    const char* backend;         /* "openvino", "onnxruntime", "tensorrt", "tensorrt-rtx"; NULL: by the kind of file */
    const char* backend_folder;  /* the folder of the backends; NULL: beside this library, or $RTSEG_BACKENDS */
    int threads;                 /* most cores that the backend uses; 0 is all */
    int parallel;                /* how many frames, of as many sessions, the backend runs at once on those cores; 0 is 1.
                                    With 1 each frame is done soonest, and on openvino sessions wait for each other */
} rtseg_model_options;

typedef struct rtseg_session_options {
    size_t struct_size;
    int threads; /* most cores that preprocessing and postprocessing use; 0 is as many as the model's */
} rtseg_session_options;

/* Facts about a model. Strings are valid until the model is closed. */
typedef struct rtseg_model_info {
    size_t struct_size;
    const char* network;
    const char* precision; /* "fp32", "fp16" or "int8" */
    const char* dataset;   /* the dataset whose classes the labels are */
    const char* backend;
    const char* device;
    int height, width;     /* of the network's input; images may have any size */
    int classes;
    int ignore_index;      /* the label of unlabelled pixels in datasets; no network returns it */
} rtseg_model_info;

/* Return the library's version, such as "0.1.0". Cannot fail. */
RTSEG_EXPORT const char* rtseg_version(void);

/* Return RTSEG_ABI_VERSION as it was when the library was built. Cannot fail. */
RTSEG_EXPORT int rtseg_abi_version(void);

/* Return the name of a status, such as "invalid argument". Cannot fail. */
RTSEG_EXPORT const char* rtseg_status_name(rtseg_status status);

/* Return the line about this thread's last failure; empty if there was none. Cannot fail. */
RTSEG_EXPORT const char* rtseg_last_message(void);

/* Fill in the defaults, and the size of the struct as this program knows it. NULL is ignored. */
static inline void rtseg_model_options_default(rtseg_model_options* options) {
    const rtseg_model_options defaults = {sizeof(rtseg_model_options), NULL, NULL, 0, 0};
    if (options != NULL) *options = defaults;
}

static inline void rtseg_session_options_default(rtseg_session_options* options) {
    const rtseg_session_options defaults = {sizeof(rtseg_session_options), 0};
    if (options != NULL) *options = defaults;
}

static inline void rtseg_model_info_default(rtseg_model_info* info) {
    const rtseg_model_info nothing = {sizeof(rtseg_model_info), NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0};
    if (info != NULL) *info = nothing;
}

/* Open the file at `path`, whose manifest is `path`.json: compare its digest, load it with a backend, compare the
 * contracts that graph and manifest state. options: NULL for the defaults. */
RTSEG_EXPORT rtseg_status rtseg_model_open(const char* path, const rtseg_model_options* options, rtseg_model** model);

/* Close a model. NULL is ignored. */
RTSEG_EXPORT rtseg_status rtseg_model_close(rtseg_model* model);

/* Fill in the facts about a model, in a struct that rtseg_model_info_default prepared. */
RTSEG_EXPORT rtseg_status rtseg_model_get_info(const rtseg_model* model, rtseg_model_info* info);

/* Return the name of a class; NULL for an invalid number or model. */
RTSEG_EXPORT const char* rtseg_model_class_name(const rtseg_model* model, int index);

/* Return the number of a class by its name; -1 for an unknown name or an invalid model. */
RTSEG_EXPORT int rtseg_model_class_index(const rtseg_model* model, const char* name);

/* Write the colour of a label: red, green, blue. Labels outside the classes are black. */
RTSEG_EXPORT rtseg_status rtseg_model_class_colour(const rtseg_model* model, int index, uint8_t rgb[3]);

/* Open a session. options: NULL for the defaults. */
RTSEG_EXPORT rtseg_status rtseg_session_open(const rtseg_model* model, const rtseg_session_options* options,
                                             rtseg_session** session);

/* Close a session. NULL is ignored. While another thread uses it, returns RTSEG_STATUS_BUSY and leaves it open. */
RTSEG_EXPORT rtseg_status rtseg_session_close(rtseg_session* session);

/* Label an image of any size; the label map has the same size. The first frame of a size allocates memory, later ones
 * do not. */
RTSEG_EXPORT rtseg_status rtseg_session_run(rtseg_session* session, const rtseg_image* image,
                                            const rtseg_label_map* labels);

/* The three parts of rtseg_session_run, in this order, for programs that measure them or need logits. A part gives
 * RTSEG_STATUS_INVALID_ARGUMENT if the part before it was not called. Labels may be read at any size; for a letterboxed
 * image, only at the image's size. If a backend does the whole frame on its own device (tensorrt), the parts use the
 * host instead, with the same result. */
RTSEG_EXPORT rtseg_status rtseg_session_write_input(rtseg_session* session, const rtseg_image* image);
RTSEG_EXPORT rtseg_status rtseg_session_infer(rtseg_session* session);
RTSEG_EXPORT rtseg_status rtseg_session_read_labels(rtseg_session* session, const rtseg_label_map* labels);

/* Set *tensor to the network's input or output. Call rtseg_session_write_input and rtseg_session_infer before
 * rtseg_session_get_output, else it gives RTSEG_STATUS_INVALID_ARGUMENT; rtseg_session_run is not enough on every backend. */
RTSEG_EXPORT rtseg_status rtseg_session_get_input(rtseg_session* session, rtseg_tensor* tensor);
RTSEG_EXPORT rtseg_status rtseg_session_get_output(rtseg_session* session, rtseg_tensor* tensor);

/* Blend the class colours over an image. opacity is from 0 (the image) to 1 (the colours). Image, label map and canvas
 * have the same size; the canvas may be the image's own memory if the format is the same. */
RTSEG_EXPORT rtseg_status rtseg_draw_overlay(const rtseg_model* model, const rtseg_image* image,
                                             const rtseg_label_map* labels, double opacity, const rtseg_canvas* canvas);

/* Set *region to a part of an image, without a copy. */
RTSEG_EXPORT rtseg_status rtseg_image_region(const rtseg_image* image, int top, int left, int height, int width,
                                             rtseg_image* region);

#ifdef __cplusplus
}
#endif

#endif
