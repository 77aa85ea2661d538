/* rtseg_core: preprocessing and tail of a segmentation frame, on the CPU.
 *
 *     uint8 image of any size  ->  normalised float32 tensor, channels first
 *     float32 logits           ->  uint8 label map of any size
 *
 * Both work for an image that was stretched to the network's input, or letterboxed into it (rtseg_window).
 * A third part serves calibration: it counts the magnitudes of a tensor's values.
 *
 * A complete program:
 *
 *     #include <stdint.h>
 *     #include <stdio.h>
 *     #include "rtseg_core.h"
 *
 *     int main(void) {
 *         static const uint8_t image[2 * 2 * 3] = {255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0};
 *         static const float mean[3] = {0.5f, 0.5f, 0.5f};
 *         static const float std[3] = {0.5f, 0.5f, 0.5f};
 *         static float tensor[3 * 4 * 8];
 *         int code = rtseg_tensor_from_image(image, 2, 2, 2 * 3, 0, 4, 8, 1.0f / 255, mean, std, tensor, 0);
 *         if (code != RTSEG_OK) {
 *             fprintf(stderr, "%s\n", rtseg_core_message(code));
 *             return 1;
 *         }
 *         // here a network turns the tensor into logits; these are of 2 classes, 2 x 2
 *         static const float logits[2 * 2 * 2] = {1, 0, 1, 0, 0, 1, 0, 1};
 *         static uint8_t labels[4 * 8];
 *         code = rtseg_labels_from_logits(logits, 2, 2, 2, labels, 4, 8, 0, 0);
 *         if (code != RTSEG_OK) {
 *             fprintf(stderr, "%s\n", rtseg_core_message(code));
 *             return 1;
 *         }
 *         for (int x = 0; x < 8; ++x) printf("%d", labels[x]);
 *         printf(" %g %g\n", tensor[0], tensor[2 * 4 * 8]);
 *         return 0;
 *     }
 *
 * It prints "00001111 1 -1".
 *
 * For a network that was trained on letterboxed images, rtseg_letterbox_window computes the place of the image,
 * rtseg_letterbox_from_image writes the tensor, and rtseg_labels_in_window takes the same window. For a network
 * with one channel for its two classes, use rtseg_mask_from_logits, with that window or none.
 *
 * A program that labels many images should keep a workspace: call rtseg_workspace_create once, then
 * rtseg_workspace_tensor and rtseg_workspace_labels or rtseg_workspace_mask for each image.
 *
 * Building. The library is tail.cpp, preprocess.cpp, workspace.cpp and magnitudes.cpp: C++17, the standard
 * library and its threads, nothing else. A program that calibrates nothing can leave out magnitudes.cpp. Compile
 * with -O3 -ffp-contract=off: without fused multiply-adds every machine gives the same bits. On x86 with
 * GCC and glibc the hot loops are compiled for several instruction sets and chosen when the library is
 * loaded; -DRTSEG_NO_TARGET_CLONES turns that off. On Windows, define RTSEG_CORE_BUILDING_DLL to make a DLL. Define
 * RTSEG_CORE_STATIC in a library that compiles the sources for its own use: its own options set what it exports.
 *
 * Threads. Only workspaces hold state: every function may be called from any number of threads at
 * once, as long as no two calls write to the same output or use the same workspace. The result does not
 * depend on the number of threads; small work stays on the caller's thread. If the system refuses a thread, the
 * others do its work. A call without a workspace starts its threads, uses them and joins them before it returns.
 * The first call with enough work starts the threads of a workspace. They sleep between calls, with the
 * program's signals blocked. A thread that the system refused is not requested again.
 *
 * fork(). The child may call as usual, with its own workspaces and with inherited ones: it starts new
 * threads for them. Only a workspace that was in use while another thread forked is unusable in the child.
 *
 * Memory. All pointers except that of a workspace may be freed when a call returns. Inputs are only read;
 * outputs must not overlap inputs. A call needs a few rows of scratch memory per thread. Without a workspace it
 * frees them. A workspace keeps them, as many as its largest call needed, and the tables for its last sizes: after
 * one call, the next call with the same sizes allocates nothing and starts no thread.
 */

#ifndef RTSEG_CORE_H
#define RTSEG_CORE_H

#include <stddef.h>
#include <stdint.h>

#if defined(RTSEG_CORE_STATIC)
#define RTSEG_API
#elif defined(_WIN32)
#if defined(RTSEG_CORE_BUILDING_DLL)
#define RTSEG_API __declspec(dllexport)
#else
#define RTSEG_API /* a program may link the DLL's import library, or compile the sources */
#endif
#elif defined(__GNUC__)
#define RTSEG_API __attribute__((visibility("default")))
#else
#define RTSEG_API
#endif

/* Grows whenever a declaration below is added, or changes its meaning or its arguments. */
#define RTSEG_CORE_ABI_VERSION 4

#define RTSEG_MIN_CLASSES 2
#define RTSEG_MAX_CLASSES 256
/* Up to this side a pixel's centre is an exact float32. */
#define RTSEG_MAX_SIDE 8388608
/* Logits are clamped to this magnitude, so that no sum can overflow. */
#define RTSEG_MAX_LOGIT 1e30f
/* Bins of a histogram of magnitudes. */
#define RTSEG_MAGNITUDE_BINS 4096
/* The width of a bin is 2 to the power of an exponent in this range; with the greatest, every float32 falls inside. */
#define RTSEG_MIN_BIN_EXPONENT (-126)
#define RTSEG_MAX_BIN_EXPONENT 116
/* Maximum number of values in one call. */
#define RTSEG_MAX_VALUES 4294967296

/* The return codes. With any code except RTSEG_OK the output is unchanged. */
enum {
    RTSEG_OK = 0,
    RTSEG_NULL_POINTER = -1, /* an image, tensor, ... pointer is NULL */
    RTSEG_BAD_SIZE = -2,     /* a side or count out of range (RTSEG_MAX_SIDE, RTSEG_MAX_VALUES), rows that overlap, or
                                a window that is not inside its canvas */
    RTSEG_BAD_CLASSES = -3,  /* classes outside RTSEG_MIN_CLASSES..RTSEG_MAX_CLASSES */
    RTSEG_BAD_VALUE = -4,    /* threads below 0; scale or std not positive and finite; mean not finite; threshold;
                                padding; exponent; the layout of a pixel */
    RTSEG_NO_MEMORY = -5,    /* the scratch could not be allocated */
    RTSEG_NOT_FINITE = -6    /* a value is NaN or infinite */
};

/* The place of an image in the network's input, the canvas: `height` rows from row `top` on, `width` columns from
 * column `left` on. Everything around it is padding. */
typedef struct rtseg_window {
    int canvas_height, canvas_width;
    int top, left;
    int height, width;
} rtseg_window;

/* An image: `height` rows of `width` pixels of `pixel_bytes` bytes, 1, 3 or 4. The next row begins `row_bytes` further on;
 * negative for an image stored bottom up, whose `data` then points at the top row. |row_bytes| >= pixel_bytes * width.
 * channel: the byte of a pixel that becomes the tensor's channel i. For a tensor in RGB that is 0, 1, 2 with an image in
 * RGB or RGBA, 2, 1, 0 with BGR or BGRA, and 0, 0, 0 with grey. */
typedef struct rtseg_pixels {
    const uint8_t* data;
    int height, width;
    ptrdiff_t row_bytes;
    int pixel_bytes;
    int channel[3];
} rtseg_pixels;

/* Scratch memory and threads that are kept between calls. Only one call at a time may use a workspace: two at once
 * are undefined behaviour, which is not checked. */
typedef struct rtseg_workspace rtseg_workspace;

#ifdef __cplusplus
extern "C" {
#endif

/* Return the RTSEG_CORE_ABI_VERSION that the library was built with. Cannot fail. */
RTSEG_API int rtseg_core_abi_version(void);

/* Return one English line about a code, without a full stop. Never NULL; static, do not free it. */
RTSEG_API const char* rtseg_core_message(int code);

/* Write the label map of height x width for the logits.
 *
 * logits: classes x h x w, contiguous, channels first.
 * labels: height x width, contiguous. Any size: smaller, larger or equal; no integer ratio needed.
 * align_corners: 0 or not 0, as in torch.nn.functional.interpolate.
 * threads: the maximum number of threads; 0 means one per processor.
 *
 * A label is the argmax over classes of the logits upsampled bilinearly in float32; the lowest class
 * wins ties. If two classes differ by less than float32 rounding, the label may be either.
 * A logit is clamped to -RTSEG_MAX_LOGIT..RTSEG_MAX_LOGIT, and NaN becomes -RTSEG_MAX_LOGIT: it wins
 * against no finite logit and affects no neighbour. If all logits are NaN the label is 0.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_CLASSES, RTSEG_BAD_VALUE or
 * RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_labels_from_logits(const float* logits, int classes, int h, int w, uint8_t* labels, int height,
                                       int width, int align_corners, int threads);

/* The same for an image that covers only a window of the network's input.
 *
 * The logits cover the whole canvas, at any size; the label map covers only the image, whose pixels are
 * spread evenly over the window. Logits around the window matter only where pixels at the window's rim
 * are interpolated with them. So the labels are those of the whole canvas, enlarged by the factor by which
 * the image was reduced, and cropped to the image.
 * With align_corners the centres of the image's outermost pixels are those of the window's.
 * window: NULL for the whole canvas.
 *
 * Returns what rtseg_labels_from_logits returns.
 */
RTSEG_API int rtseg_labels_in_window(const float* logits, int classes, int h, int w, const rtseg_window* window,
                                     uint8_t* labels, int height, int width, int align_corners, int threads);

/* Write the label map of height x width for logits of one channel, h x w: 1 where the channel,
 * upsampled bilinearly in float32, is greater than the threshold, else 0.
 *
 * threshold: -RTSEG_MAX_LOGIT to RTSEG_MAX_LOGIT, in the units of the channel: 0.5 after a sigmoid.
 * window: NULL for the whole canvas, else as in rtseg_labels_in_window.
 *
 * A value is clamped to -RTSEG_MAX_LOGIT..RTSEG_MAX_LOGIT, and NaN becomes -RTSEG_MAX_LOGIT. Between four
 * values above the threshold the label is 1; between four values that are not above it, it is 0. If
 * the interpolated value differs from the threshold by less than float32 rounding, the label may be either.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_VALUE or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_mask_from_logits(const float* logits, int h, int w, float threshold, const rtseg_window* window,
                                     uint8_t* labels, int height, int width, int align_corners, int threads);

/* Write the network's input for an image.
 *
 * image: height rows of width pixels of 3 bytes. The next row begins row_bytes further on; negative
 *     for an image stored bottom up, whose `image` then points at the top row. |row_bytes| >= 3 * width.
 * swap_channels: not 0 swaps the first and the third channel (BGR image, RGB tensor, or the reverse).
 * scale, mean, std: each value becomes (pixel * scale - mean) / std; mean and std in the tensor's order.
 * tensor: 3 x out_height x out_width, contiguous, channels first.
 * threads: the maximum number of threads; 0 means one per processor.
 *
 * The image is resized bilinearly in float32: half-pixel centres, edges clamped, no antialiasing, no
 * rounding back to bytes. An image of the tensor's size is not interpolated.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_VALUE or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_tensor_from_image(const uint8_t* image, int height, int width, ptrdiff_t row_bytes,
                                      int swap_channels, int out_height, int out_width, float scale,
                                      const float mean[3], const float std[3], float* tensor, int threads);

/* Set *window to the place of a letterboxed image of height x width in a canvas.
 *
 * Both sides are scaled by min(canvas_height / height, canvas_width / width) in double, each rounded to
 * whole pixels, halves to even, and at least 1. The image is centred: top is
 * (canvas_height - window->height) / 2, rounded down, and left likewise.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER or RTSEG_BAD_SIZE.
 */
RTSEG_API int rtseg_letterbox_window(int height, int width, int canvas_height, int canvas_width, rtseg_window* window);

/* Write the network's input for an image that covers only a window of it.
 *
 * The image is resized to the window as rtseg_tensor_from_image resizes it to the tensor. Around the
 * window each channel is (padding * scale - mean) / std.
 * window: its canvas is the tensor. From rtseg_letterbox_window, or any other inside the canvas.
 * padding: 0 to 255.
 * tensor: 3 x canvas_height x canvas_width, contiguous, channels first.
 *
 * Returns what rtseg_tensor_from_image returns.
 */
RTSEG_API int rtseg_letterbox_from_image(const uint8_t* image, int height, int width, ptrdiff_t row_bytes,
                                         int swap_channels, const rtseg_window* window, int padding, float scale,
                                         const float mean[3], const float std[3], float* tensor, int threads);

/* Set *workspace to a new workspace, which rtseg_workspace_destroy frees. No thread is started yet.
 *
 * threads: the maximum number that its calls use, including the caller's; 0 means one per processor.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_VALUE or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_workspace_create(int threads, rtseg_workspace** workspace);

/* End the threads of a workspace and free it. NULL is ignored. Cannot fail. No call may be using it. */
RTSEG_API void rtseg_workspace_destroy(rtseg_workspace* workspace);

/* Write the network's input for an image that covers a window of it. The result is bit for bit that of
 * rtseg_letterbox_from_image for the same image stored with 3 bytes per pixel.
 *
 * window: its canvas is the tensor; never NULL. For an image that covers all of it, {height, width, 0, 0, height, width}.
 *     An image of the window's size is not interpolated.
 * padding: 0 to 255; the pixel value around the window.
 * tensor: 3 x canvas_height x canvas_width, contiguous, channels first.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_VALUE or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_workspace_tensor(rtseg_workspace* workspace, const rtseg_pixels* image, const rtseg_window* window,
                                     int padding, float scale, const float mean[3], const float std[3],
                                     float* tensor);

/* Write the label map of height x width for the logits, with the same labels as rtseg_labels_in_window.
 *
 * window: NULL for the whole canvas.
 * label_row_bytes: the distance to the next row of labels; negative for a map stored bottom up, whose
 *     `labels` then points at the top row. |label_row_bytes| >= width; bytes between rows are not written.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_CLASSES or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_workspace_labels(rtseg_workspace* workspace, const float* logits, int classes, int h, int w,
                                     const rtseg_window* window, uint8_t* labels, int height, int width,
                                     ptrdiff_t label_row_bytes, int align_corners);

/* Write the label map of height x width for logits of one channel, with the same labels as rtseg_mask_from_logits.
 *
 * window, label_row_bytes: as in rtseg_workspace_labels.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_VALUE or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_workspace_mask(rtseg_workspace* workspace, const float* logits, int h, int w, float threshold,
                                   const rtseg_window* window, uint8_t* labels, int height, int width,
                                   ptrdiff_t label_row_bytes, int align_corners);

/* Write the minimum and the maximum of count values, and the number of zeros among them.
 *
 * A minimum or maximum of zero is written as 0, never as -0.
 * threads: the maximum number of threads; 0 means one per processor.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_VALUE, RTSEG_NO_MEMORY, or
 * RTSEG_NOT_FINITE if a value is NaN or infinite.
 */
RTSEG_API int rtseg_value_range(const float* values, size_t count, float* minimum, float* maximum, uint64_t* zeros,
                                int threads);

/* Add count values to a histogram of magnitudes: value v to bins[floor(|v| / 2^exponent)], exactly.
 *
 * bins: RTSEG_MAGNITUDE_BINS counters. Values beyond the last bin, and NaN, count in the last.
 * exponent: RTSEG_MIN_BIN_EXPONENT to RTSEG_MAX_BIN_EXPONENT.
 * threads: the maximum number of threads; 0 means one per processor.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_VALUE or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_count_magnitudes(const float* values, size_t count, int exponent, uint64_t* bins, int threads);

#ifdef __cplusplus
}
#endif

#endif
