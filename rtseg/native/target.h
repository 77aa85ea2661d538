// How the hot loops are compiled.
#ifndef RTSEG_TARGET_H
#define RTSEG_TARGET_H

#include <cstddef>  // defines __GLIBC__ where there is one

// Compile a function for several instruction sets; the loader chooses. Only where the loader can.
// Without contraction into fused multiply-adds all of them give the same bits.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__) && \
    !defined(RTSEG_NO_TARGET_CLONES)
#define RTSEG_TARGET_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define RTSEG_TARGET_CLONES
#endif

// Into each clone, so as to be compiled with it.
#if defined(__GNUC__)
#define RTSEG_INLINE inline __attribute__((always_inline))
#else
#define RTSEG_INLINE inline
#endif

#endif
