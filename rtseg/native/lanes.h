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

// a * x + b * y, lane by lane. Three roundings: see -ffp-contract=off in rtseg_core.h.
RTSEG_INLINE void weigh(Lanes& result, const Lanes& a, const Lanes& x, const Lanes& b, const Lanes& y) {
    result = a * x + b * y;
}

// Where value beats best, take it and its class; an equal value leaves the earlier class.
RTSEG_INLINE void take_better(Lanes& best, ClassLanes& winner, const Lanes& value, const ClassLanes& label) {
    const auto better = value > best;
    winner = better ? label : winner;
    best = better ? value : best;
}

RTSEG_INLINE void fill(Lanes& lanes, float v) { lanes = Lanes{v, v, v, v, v, v, v, v}; }
RTSEG_INLINE void fill(ClassLanes& lanes, int32_t v) { lanes = ClassLanes{v, v, v, v, v, v, v, v}; }

#else

struct Lanes {
    float lane[kLanes];
    float operator[](int i) const { return lane[i]; }
};
struct ClassLanes {
    int32_t lane[kLanes];
    int32_t operator[](int i) const { return lane[i]; }
};

inline void weigh(Lanes& result, const Lanes& a, const Lanes& x, const Lanes& b, const Lanes& y) {
    for (int i = 0; i < kLanes; ++i) result.lane[i] = a.lane[i] * x.lane[i] + b.lane[i] * y.lane[i];
}

inline void take_better(Lanes& best, ClassLanes& winner, const Lanes& value, const ClassLanes& label) {
    for (int i = 0; i < kLanes; ++i) {
        const bool better = value.lane[i] > best.lane[i];
        winner.lane[i] = better ? label.lane[i] : winner.lane[i];
        best.lane[i] = better ? value.lane[i] : best.lane[i];
    }
}

inline void fill(Lanes& lanes, float value) {
    for (float& lane : lanes.lane) lane = value;
}
inline void fill(ClassLanes& lanes, int32_t value) {
    for (int32_t& lane : lanes.lane) lane = value;
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
