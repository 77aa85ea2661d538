/* rtseg_core: the two ends of a segmentation frame, on the CPU.
 *
 *     uint8 image of any size  ->  normalised float32 tensor, channels first
 *     float32 logits           ->  uint8 label map of any size
 *
 * each for an image that was stretched to the network's input, or letterboxed into it (rtseg_window),
 * and what calibration counts between them: the magnitudes of the values of a tensor.
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
 * A network that was trained on letterboxed images: rtseg_letterbox_window says where the image lies,
 * rtseg_letterbox_from_image writes the tensor, and rtseg_labels_in_window takes the same window. A network
 * with one channel for its two classes: rtseg_mask_from_logits, with that window or none.
 *
 * A program that labels one image after another keeps a workspace: rtseg_workspace_create once, then
 * rtseg_workspace_tensor and rtseg_workspace_labels or rtseg_workspace_mask for each image.
 *
 * Building. The library is tail.cpp, preprocess.cpp, workspace.cpp and magnitudes.cpp: C++17, the standard
 * library and its threads, nothing else. A program that calibrates nothing can leave out magnitudes.cpp. Compile
 * with -O3 -ffp-contract=off: without fused multiply-adds every machine gives the same bits. On x86 with
 * GCC and glibc the hot loops are compiled for several instruction sets and chosen when the library is
 * loaded; -DRTSEG_NO_TARGET_CLONES turns that off. On Windows, define RTSEG_CORE_BUILDING_DLL to make a DLL. Define
 * RTSEG_CORE_STATIC in a library that takes in the sources for itself: its own options say what it exports.
 *
 * Threads. There is no state but in workspaces: every function may be called from any number of threads at
 * once, as long as no two calls write to the same output or use the same workspace. The result does not
 * depend on how many threads there are; small work stays on the caller's. Where the system refuses a thread, the
 * others do its work. A call without a workspace starts its threads, uses them and joins them before it returns.
 * The threads of a workspace are started by the first call that has work for them, and sleep between calls,
 * with the program's signals blocked; a thread that was refused is not asked for again.
 *
 * fork(). The child may call as usual, with workspaces of its own and with those it inherits: it starts new
 * threads for them. Only a workspace that was in use while another thread forked is lost to the child.
 *
 * Memory. All pointers but that of a workspace may be freed when a call returns. Inputs are only read;
 * outputs must not overlap inputs. A call takes a few rows of scratch per thread. Without a workspace it returns
 * them. A workspace keeps them, as many as its largest call took, and also what it knows of the last sizes: once it
 * has done a call, the next one of the same sizes allocates nothing and starts no thread.
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
#define RTSEG_API /* so a program may link the DLL's import library, or take in the sources */
#endif
#elif defined(__GNUC__)
#define RTSEG_API __attribute__((visibility("default")))
#else
#define RTSEG_API
#endif

/* Grows whenever a declaration below changes its meaning or its arguments, or one is added. */
#define RTSEG_CORE_ABI_VERSION 4

#define RTSEG_MIN_CLASSES 2
#define RTSEG_MAX_CLASSES 256
/* Up to here a pixel's centre is an exact float32. */
#define RTSEG_MAX_SIDE 8388608
/* Logits beyond this count as this, so that no sum can overflow. */
#define RTSEG_MAX_LOGIT 1e30f
/* Bins of a histogram of magnitudes. */
#define RTSEG_MAGNITUDE_BINS 4096
/* A bin is 2 to the power of one of these wide: with the greatest, every float32 falls inside. */
#define RTSEG_MIN_BIN_EXPONENT (-126)
#define RTSEG_MAX_BIN_EXPONENT 116
/* Values one call takes at most. */
#define RTSEG_MAX_VALUES 4294967296

/* What every function that can fail returns. On any code but RTSEG_OK the output is untouched. */
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

/* Where an image lies in the network's input, the canvas: `height` rows from row `top` on, `width` columns from column
 * `left` on. All around it is padding. */
typedef struct rtseg_window {
    int canvas_height, canvas_width;
    int top, left;
    int height, width;
} rtseg_window;

/* An image: `height` rows of `width` pixels of `pixel_bytes` bytes, 1, 3 or 4. The next row begins `row_bytes` further on;
 * negative for an image stored bottom up, whose `data` then points at the top row. |row_bytes| >= pixel_bytes * width.
 * channel: which byte of a pixel the tensor's channel i is made of. For a tensor in RGB that is 0, 1, 2 of an image in
 * RGB or RGBA, 2, 1, 0 of one in BGR or BGRA, and 0, 0, 0 of one in grey. */
typedef struct rtseg_pixels {
    const uint8_t* data;
    int height, width;
    ptrdiff_t row_bytes;
    int pixel_bytes;
    int channel[3];
} rtseg_pixels;

/* Scratch memory and threads that are kept from call to call. For one call at a time: two at once in one workspace
 * are undefined behaviour, and nothing checks it. */
typedef struct rtseg_workspace rtseg_workspace;

#ifdef __cplusplus
extern "C" {
#endif

/* Return RTSEG_CORE_ABI_VERSION as it was when the library was built. Cannot fail. */
RTSEG_API int rtseg_core_abi_version(void);

/* Return one English line on a code, without a full stop. Never NULL; static, so never freed. */
RTSEG_API const char* rtseg_core_message(int code);

/* Write the label map of height x width that the logits stand for.
 *
 * logits: classes x h x w, contiguous, channels first.
 * labels: height x width, contiguous. Any size: smaller, larger or equal; no integer ratio needed.
 * align_corners: 0 or not 0, as in torch.nn.functional.interpolate.
 * threads: at most so many; 0 means one per processor.
 *
 * A label is the argmax over classes of the logits upsampled bilinearly in float32, the lowest class
 * winning ties. Where two classes differ by less than float32 rounding, either may be given.
 * A logit is read as clamped to -RTSEG_MAX_LOGIT..RTSEG_MAX_LOGIT, and NaN as -RTSEG_MAX_LOGIT: it wins
 * against no finite logit and spoils no neighbour. Where all logits are NaN the label is 0.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_CLASSES, RTSEG_BAD_VALUE or
 * RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_labels_from_logits(const float* logits, int classes, int h, int w, uint8_t* labels, int height,
                                       int width, int align_corners, int threads);

/* The same for an image that covered a window of the network's input only.
 *
 * The logits are of the whole canvas, of any size, and the label map of the image alone: its pixels lie
 * evenly over the window. What is around the window counts only as a neighbour that the pixels at the
 * window's rim are interpolated with. So labels are those of the whole canvas, enlarged as the image
 * was made smaller, of which the image's part is cut out.
 * With align_corners the middles of the image's outermost pixels are those of the window's.
 * window: NULL for the whole.
 *
 * Returns what rtseg_labels_from_logits returns.
 */
RTSEG_API int rtseg_labels_in_window(const float* logits, int classes, int h, int w, const rtseg_window* window,
                                     uint8_t* labels, int height, int width, int align_corners, int threads);

/* Write the label map of height x width for logits of one channel, h x w: 1 where the channel,
 * upsampled bilinearly in float32, is greater than the threshold, else 0.
 *
 * threshold: -RTSEG_MAX_LOGIT to RTSEG_MAX_LOGIT, in the units of the channel: 0.5 behind a sigmoid.
 * window: NULL for the whole, else as in rtseg_labels_in_window.
 *
 * A value is read as clamped to -RTSEG_MAX_LOGIT..RTSEG_MAX_LOGIT, and NaN as -RTSEG_MAX_LOGIT. Between four
 * values that all are above the threshold the label is 1, between four of which none is it is 0. Where
 * the interpolated value differs from the threshold by less than float32 rounding, either may be given.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_VALUE or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_mask_from_logits(const float* logits, int h, int w, float threshold, const rtseg_window* window,
                                     uint8_t* labels, int height, int width, int align_corners, int threads);

/* Write the network's input that an image stands for.
 *
 * image: height rows of width pixels of 3 bytes. The next row begins row_bytes further on; negative
 *     for an image stored bottom up, whose `image` then points at the top row. |row_bytes| >= 3 * width.
 * swap_channels: not 0 exchanges the first and the third channel (BGR image, RGB tensor, or the reverse).
 * scale, mean, std: each value becomes (pixel * scale - mean) / std; mean and std in the tensor's order.
 * tensor: 3 x out_height x out_width, contiguous, channels first.
 * threads: at most so many; 0 means one per processor.
 *
 * The image is resized bilinearly in float32: half-pixel centres, edges clamped, no antialiasing, no
 * rounding back to bytes. An image of the tensor's size is not interpolated.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_VALUE or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_tensor_from_image(const uint8_t* image, int height, int width, ptrdiff_t row_bytes,
                                      int swap_channels, int out_height, int out_width, float scale,
                                      const float mean[3], const float std[3], float* tensor, int threads);

/* Set *window to where a letterboxed image of height x width lies in a canvas.
 *
 * Both sides are scaled by min(canvas_height / height, canvas_width / width) in double, each rounded to
 * whole pixels, halves to even, and at least 1. The image lies in the middle: top is
 * (canvas_height - window->height) / 2, rounded down, and left likewise.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER or RTSEG_BAD_SIZE.
 */
RTSEG_API int rtseg_letterbox_window(int height, int width, int canvas_height, int canvas_width, rtseg_window* window);

/* Write the network's input of an image that covers a window of it only.
 *
 * The image is resized to the window as rtseg_tensor_from_image resizes it to the tensor. Around the
 * window each channel is (padding * scale - mean) / std.
 * window: the canvas is the tensor. Of rtseg_letterbox_window, or any other inside the canvas.
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
 * threads: the most that its calls use, the caller's among them; 0 means one per processor.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_VALUE or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_workspace_create(int threads, rtseg_workspace** workspace);

/* End the threads of a workspace and free it. NULL is left aside. Cannot fail. No call may be using it. */
RTSEG_API void rtseg_workspace_destroy(rtseg_workspace* workspace);

/* Write the network's input of an image that covers a window of it, as rtseg_letterbox_from_image does and with
 * its bits: those of the image with 3 bytes to a pixel that its channels make.
 *
 * window: the canvas is the tensor; never NULL. For an image that covers all of it, {height, width, 0, 0, height, width}.
 *     An image of the window's size is not interpolated.
 * padding: 0 to 255; what is around the window.
 * tensor: 3 x canvas_height x canvas_width, contiguous, channels first.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_VALUE or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_workspace_tensor(rtseg_workspace* workspace, const rtseg_pixels* image, const rtseg_window* window,
                                     int padding, float scale, const float mean[3], const float std[3],
                                     float* tensor);

/* Write the label map of height x width that the logits stand for, as rtseg_labels_in_window does and with its labels.
 *
 * window: NULL for the whole.
 * label_row_bytes: the next row of labels begins so much further on; negative for a map stored bottom up, whose
 *     `labels` then points at the top row. |label_row_bytes| >= width; bytes between rows are left alone.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_CLASSES or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_workspace_labels(rtseg_workspace* workspace, const float* logits, int classes, int h, int w,
                                     const rtseg_window* window, uint8_t* labels, int height, int width,
                                     ptrdiff_t label_row_bytes, int align_corners);

/* Write the label map of height x width for logits of one channel, as rtseg_mask_from_logits does and with its labels.
 *
 * window, label_row_bytes: as in rtseg_workspace_labels.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_VALUE or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_workspace_mask(rtseg_workspace* workspace, const float* logits, int h, int w, float threshold,
                                   const rtseg_window* window, uint8_t* labels, int height, int width,
                                   ptrdiff_t label_row_bytes, int align_corners);

/* Write the least and the greatest of count values, and how many of them are zero.
 *
 * A zero that is the least or greatest is given as 0, never as -0.
 * threads: at most so many; 0 means one per processor.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_VALUE, RTSEG_NO_MEMORY, or
 * RTSEG_NOT_FINITE where a value is NaN or infinite.
 */
RTSEG_API int rtseg_value_range(const float* values, size_t count, float* minimum, float* maximum, uint64_t* zeros,
                                int threads);

/* Add count values to a histogram of magnitudes: value v to bins[floor(|v| / 2^exponent)], exactly.
 *
 * bins: RTSEG_MAGNITUDE_BINS counters. What lies beyond the last bin, NaN too, counts in the last.
 * exponent: RTSEG_MIN_BIN_EXPONENT to RTSEG_MAX_BIN_EXPONENT.
 * threads: at most so many; 0 means one per processor.
 *
 * Returns RTSEG_OK, or RTSEG_NULL_POINTER, RTSEG_BAD_SIZE, RTSEG_BAD_VALUE or RTSEG_NO_MEMORY.
 */
RTSEG_API int rtseg_count_magnitudes(const float* values, size_t count, int exponent, uint64_t* bins, int threads);

#ifdef __cplusplus
}
#endif

#endif
