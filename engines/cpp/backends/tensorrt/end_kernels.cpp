#include "end_kernels.h"

// RTSEG_END_KERNELS is the path of the fat binary, in quotes.
__asm__(
    ".pushsection .rodata\n"
    ".balign 16\n"
    ".global rtseg_end_kernels\n"
    ".hidden rtseg_end_kernels\n"
    "rtseg_end_kernels:\n"
    ".incbin \"" RTSEG_END_KERNELS
    "\"\n"
    ".popsection\n");
