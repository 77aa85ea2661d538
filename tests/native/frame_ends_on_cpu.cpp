// The GPU's kernels as a library for the tests: launched by name, as the CUDA driver does it.

#include "gpu_on_cpu.h"
// after it: what it stands in for
#include "frame_ends.cu"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace rtseg {

float float_of(Half half) { return gpu_on_cpu::float_of_half(half.bits); }
Half half_of(float value) { return {gpu_on_cpu::half_of_float(value)}; }

}  // namespace rtseg

namespace {

template <class T>
const char* type_name();
template <>
const char* type_name<int>() {
    return " int32";
}
template <>
const char* type_name<long long>() {
    return " int64";
}
template <>
const char* type_name<float>() {
    return " float32";
}

template <class T>
std::string described() {
    if constexpr (std::is_pointer_v<T>) return " uint64";
    return type_name<std::conditional_t<std::is_pointer_v<T>, int, T>>();
}

struct Kernel {
    std::string name;
    int tile_width, tile_height;
    std::string types;
    std::function<void(void**)> call;
};

template <class... P, size_t... i>
void call(void (*kernel)(P...), void** parameters, std::index_sequence<i...>) {
    kernel(*static_cast<P*>(parameters[i])...);
}

template <class... P>
Kernel kernel(const char* name, int tile_width, int tile_height, void (*function)(P...)) {
    return {name, tile_width, tile_height, (std::string() + ... + described<P>()),
            [=](void** parameters) { call(function, parameters, std::index_sequence_for<P...>()); }};
}

using namespace rtseg;
const std::vector<Kernel> kKernels = {
#define BOTH(name, tile)                                                                           \
    kernel("rtseg_" #name "_f32", kTile##tile##Width, kTile##tile##Height, &rtseg_##name##_f32),   \
        kernel("rtseg_" #name "_f16", kTile##tile##Width, kTile##tile##Height, &rtseg_##name##_f16)
    BOTH(front_resize, Resize),
    BOTH(front_normalize, Stream),
    BOTH(letterbox, Resize),
    BOTH(tail_cells, Cells),
    BOTH(tail_pixels, Pixels),
    BOTH(tail_argmax, Stream),
    BOTH(mask, Stream),
    kernel("rtseg_overlay", kTileStreamWidth, kTileStreamHeight, &rtseg_overlay),
};

}  // namespace

// Called by what -fsanitize=alignment puts before accesses: a GPU ends a kernel whose vectors are not aligned.
extern "C" void __ubsan_handle_type_mismatch_v1(void*, uintptr_t) { gpu_on_cpu::fail("a misaligned access"); }

// A line for each kernel: its name, the width and height of its tile, the types of its parameters.
extern "C" const char* describe() {
    static std::string lines;
    lines.clear();
    for (const Kernel& known : kKernels)
        lines += known.name + " " + std::to_string(known.tile_width) + " " + std::to_string(known.tile_height) +
                 known.types + "\n";
    return lines.c_str();
}

// Launch a kernel with pointers to its parameters. Returns what went wrong, or a null pointer.
extern "C" const char* launch(const char* name, unsigned blocks, unsigned block_x, unsigned block_y, unsigned seed,
                              void** parameters) {
    for (const Kernel& known : kKernels)
        if (known.name == name)
            return gpu_on_cpu::run_grid(blocks, {block_x, block_y, 1}, seed, [&] { known.call(parameters); });
    return "no such kernel";
}

extern "C" float to_float(uint16_t half) { return gpu_on_cpu::float_of_half(half); }
extern "C" uint16_t to_half(float value) { return gpu_on_cpu::half_of_float(value); }
