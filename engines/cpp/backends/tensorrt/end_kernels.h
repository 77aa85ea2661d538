// The machine code of rtseg/native/frame_ends.cu, which CMake compiles with nvcc and embeds in the module.
#ifndef RTSEG_TENSORRT_END_KERNELS_H
#define RTSEG_TENSORRT_END_KERNELS_H

// A fat binary: code for each compute capability of RTSEG_CUDA_ARCHITECTURES, and PTX for later ones.
extern "C" __attribute__((visibility("hidden"))) const unsigned char rtseg_end_kernels[];

#endif
