// Eight float32 side by side, and eight class indices. With GCC and Clang these are vectors of
// whatever width the instruction set has; elsewhere plain loops, which compilers unroll.
#ifndef RTSEG_LANES_H
#define RTSEG_LANES_H

#include <cstdint>
#include <cstring>

#include "target.h"

namespace rtseg {

constexpr int kLanes = 8;

#if defined(__GNUC__)

typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t ClassLanes __attribute__((vector_size(kLanes * sizeof(int32_t))));

// x * a + y * b, lane by lane. Three roundings: see -ffp-contract=off in rtseg_core.h.
RTSEG_INLINE void weigh(Lanes& result, const Lanes& x, float a, const Lanes& y, float b) { result = x * a + y * b; }

RTSEG_INLINE void repeat(ClassLanes& lanes, int32_t label) { lanes = label + ClassLanes{}; }
RTSEG_INLINE void repeat(Lanes& lanes, float value) { lanes = value + Lanes{}; }

// Take value and its class where it beats best; an equal value leaves the earlier class.
RTSEG_INLINE void take_better(Lanes& best, ClassLanes& winner, const Lanes& value, int32_t label) {
    const auto better = value > best;
    winner = better ? label + ClassLanes{} : winner;
    best = better ? value : best;
}

#else

struct Lanes {
    float lane[kLanes];
    float operator[](int i) const { return lane[i]; }
};
struct ClassLanes {
    int32_t lane[kLanes];
    int32_t operator[](int i) const { return lane[i]; }
};

inline void weigh(Lanes& result, const Lanes& x, float a, const Lanes& y, float b) {
    for (int i = 0; i < kLanes; ++i) result.lane[i] = x.lane[i] * a + y.lane[i] * b;
}

inline void repeat(ClassLanes& lanes, int32_t label) {
    for (int32_t& lane : lanes.lane) lane = label;
}

inline void repeat(Lanes& lanes, float value) {
    for (float& lane : lanes.lane) lane = value;
}

inline void take_better(Lanes& best, ClassLanes& winner, const Lanes& value, int32_t label) {
    for (int i = 0; i < kLanes; ++i) {
        const bool better = value.lane[i] > best.lane[i];
        winner.lane[i] = better ? label : winner.lane[i];
        best.lane[i] = better ? value.lane[i] : best.lane[i];
    }
}

#endif

RTSEG_INLINE void load(Lanes& lanes, const float* from) { std::memcpy(&lanes, from, sizeof lanes); }

RTSEG_INLINE void store(const ClassLanes& lanes, uint8_t* to, int count) {
    uint8_t bytes[kLanes];
    for (int i = 0; i < kLanes; ++i) bytes[i] = static_cast<uint8_t>(lanes[i]);
    if (count == kLanes) {
        std::memcpy(to, bytes, kLanes);  // a single instruction
    } else {
        std::memcpy(to, bytes, static_cast<size_t>(count));
    }
}

}  // namespace rtseg

#endif
