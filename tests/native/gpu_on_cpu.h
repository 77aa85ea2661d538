// CUDA's dialect of C++ on a CPU: enough of it to run frame_ends.cu, one block after the other.
//
// Each thread of a block is a fibre: it runs until it waits for others, at __syncthreads or at a warp's exchange of
// values. A warp runs as far ahead of the others as it can; in which order is the caller's to choose, and no
// correct kernel depends on it. A barrier that some thread never reaches is an error here; on a GPU it would be a
// program that hangs, or worse.
#ifndef GPU_ON_CPU_H
#define GPU_ON_CPU_H

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#define __global__
#define __device__
#define __shared__ static  // blocks run one after the other
#define __forceinline__ inline
#define __launch_bounds__(threads)

using std::max;
using std::min;

struct Index {
    unsigned x, y, z;
};
inline Index threadIdx, blockIdx;

// Arithmetic of CUDA's names, each rounded once: compile with -ffp-contract=off.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __int2float_rn(int a) { return static_cast<float>(a); }
inline int __float2int_rz(float a) { return static_cast<int>(a); }
inline int __float2int_rn(float a) { return static_cast<int>(nearbyintf(a)); }
inline int __ffs(int a) { return __builtin_ffs(a); }

namespace gpu_on_cpu {

constexpr size_t kStackBytes = 64 * 1024;
constexpr unsigned kLanes = 32;

// How many have come, out of how many; the round goes up when all have.
struct Barrier {
    unsigned expected = 0, arrived = 0, round = 0;
};

struct Fibre {
    ucontext_t begin;
    jmp_buf resume;
    bool started = false, done = false;
    Index index;
    const Barrier* waits_for = nullptr;
    unsigned waits_in_round = 0;
    unsigned exchanges = 0;

    bool can_run() const { return !done && (waits_for == nullptr || waits_for->round != waits_in_round); }
};

enum Exchange { kShuffle, kShuffleXor, kBallot };

// What the lanes of a warp put in and take out. Two rounds are kept: nobody can be further ahead than one.
struct Warp {
    Barrier barrier;
    Exchange kind[2][kLanes];
    uint32_t value[2][kLanes];
};

struct Block {
    std::vector<Fibre> fibres;
    std::vector<Warp> warps;
    std::vector<char> stacks;
    Barrier barrier;
    Fibre* current = nullptr;
    jmp_buf scheduler;
    std::function<void()> body;
    const char* failure = nullptr;
};
inline Block block;

inline void leave() {
    if (_setjmp(block.current->resume) == 0) _longjmp(block.scheduler, 1);
}

// What the fibre has to say cannot be said by an exception: it must not cross the switch of stacks.
inline void fail(const char* message) {
    if (block.failure == nullptr) block.failure = message;
    leave();
}

// What a GPU would end a kernel for.
inline void caught(int) { fail("an access outside of memory"); }

class AccessesChecked {
  public:
    AccessesChecked() {
        struct sigaction action = {};
        action.sa_handler = caught;
        action.sa_flags = SA_NODEFER;  // the handler does not return
        sigaction(SIGSEGV, &action, &before_[0]);
        sigaction(SIGBUS, &action, &before_[1]);
    }
    ~AccessesChecked() {
        sigaction(SIGSEGV, &before_[0], nullptr);
        sigaction(SIGBUS, &before_[1], nullptr);
    }

  private:
    struct sigaction before_[2];
};

inline void arrive(Barrier& barrier) {
    if (++barrier.arrived == barrier.expected) {
        barrier.arrived = 0;
        ++barrier.round;
        return;
    }
    block.current->waits_for = &barrier;
    block.current->waits_in_round = barrier.round;
    leave();
    block.current->waits_for = nullptr;
}

inline void enter() {
    block.body();
    block.current->done = true;
    _longjmp(block.scheduler, 1);
}

inline void resume(Fibre& fibre) {
    block.current = &fibre;
    threadIdx = fibre.index;
    if (_setjmp(block.scheduler) != 0) return;
    if (fibre.started) _longjmp(fibre.resume, 1);
    fibre.started = true;
    setcontext(&fibre.begin);
}

// Run one block, its warps and their lanes in these orders; return what went wrong, or a null pointer.
inline const char* run_block(Index size, const std::vector<unsigned>& warps, const std::vector<unsigned>& lanes) {
    const unsigned threads = size.x * size.y * size.z;
    block.failure = nullptr;
    block.barrier = Barrier{threads};
    block.warps.assign((threads + kLanes - 1) / kLanes, Warp());
    for (size_t i = 0; i < block.warps.size(); ++i)
        block.warps[i].barrier.expected = std::min(kLanes, threads - static_cast<unsigned>(i) * kLanes);
    block.fibres.resize(threads);
    block.stacks.resize(threads * kStackBytes);
    for (unsigned i = 0; i < threads; ++i) {
        Fibre& fibre = block.fibres[i];
        fibre.started = fibre.done = false;
        fibre.waits_for = nullptr;
        fibre.exchanges = 0;
        fibre.index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
        getcontext(&fibre.begin);
        fibre.begin.uc_stack.ss_sp = block.stacks.data() + i * kStackBytes;
        fibre.begin.uc_stack.ss_size = kStackBytes;
        fibre.begin.uc_link = nullptr;
        makecontext(&fibre.begin, enter, 0);
    }
    const auto run = [&](unsigned warp) {  // as far as it gets alone: a GPU may let one warp run ahead so
        bool ran = false;
        for (bool running = true; running;) {
            running = false;
            for (const unsigned lane : lanes) {
                const unsigned thread = warp * kLanes + lane;
                if (thread >= threads || block.failure != nullptr || !block.fibres[thread].can_run()) continue;
                ran = running = true;
                resume(block.fibres[thread]);
            }
        }
        return ran;
    };
    for (bool running = true; running;) {
        running = false;
        for (const unsigned warp : warps) running = run(warp) || running;
    }
    const auto is_done = [](const Fibre& fibre) { return fibre.done; };
    if (block.failure == nullptr && !std::all_of(block.fibres.begin(), block.fibres.end(), is_done))
        return "a thread waits for others that never come";
    return block.failure;
}

// Run a grid; seed 0 takes blocks, warps and lanes in ascending order, any other mixes them up.
inline const char* run_grid(unsigned blocks, Index size, unsigned seed, std::function<void()> body) {
    const AccessesChecked checked;
    block.body = std::move(body);
    std::mt19937 random(seed);
    const auto some_order = [&](unsigned count) {
        std::vector<unsigned> order(count);
        std::iota(order.begin(), order.end(), 0u);
        if (seed != 0) std::shuffle(order.begin(), order.end(), random);
        return order;
    };
    const unsigned warps = (size.x * size.y * size.z + kLanes - 1) / kLanes;
    for (const unsigned i : some_order(blocks)) {
        blockIdx = {i, 0, 0};
        if (const char* failure = run_block(size, some_order(warps), some_order(kLanes))) return failure;
    }
    return nullptr;
}

// Give a value and wait until all lanes of the warp have; return theirs.
inline const uint32_t* exchange(unsigned mask, Exchange kind, uint32_t value) {
    const unsigned thread = static_cast<unsigned>(block.current - block.fibres.data());
    Warp& warp = block.warps[thread / kLanes];
    const unsigned turn = block.current->exchanges++ % 2;
    warp.kind[turn][thread % kLanes] = kind;
    warp.value[turn][thread % kLanes] = value;
    arrive(warp.barrier);
    if (mask != 0xffffffffu || warp.barrier.expected != kLanes) fail("an exchange of a part of a warp");
    for (unsigned i = 0; i < kLanes; ++i)
        if (warp.kind[turn][i] != kind) fail("the lanes of a warp exchange values at different places");
    return warp.value[turn];
}

inline uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// IEEE binary16 to binary32: exact.
inline float float_of_half(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16, rest = half & 0x7fffu;
    if (rest >= 0x7c00u) return float_of_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    const float magnitude = float_of_bits(rest << 13) * 0x1p112f;  // the exponents' biases differ by 112
    return float_of_bits(bits_of(magnitude) | sign);
}

// IEEE binary32 to binary16: to nearest, halves to even; too large is infinity.
inline uint16_t half_of_float(float value) {
    const uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
    if (rest >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520: nearer to 65536 than to 65504
    if (rest < 0x38800000u)  // below 2^-14: a multiple of 2^-24, which is the last bit of 0.5f
        return static_cast<uint16_t>(sign | (bits_of(float_of_bits(rest) + 0.5f) - bits_of(0.5f)));
    const uint32_t to_even = rest >> 13 & 1;
    return static_cast<uint16_t>(sign | ((rest - 0x38000000u + 0xfffu + to_even) >> 13));
}

}  // namespace gpu_on_cpu

inline void __syncthreads() { gpu_on_cpu::arrive(gpu_on_cpu::block.barrier); }

inline unsigned __ballot_sync(unsigned mask, bool vote) {
    const uint32_t* votes = gpu_on_cpu::exchange(mask, gpu_on_cpu::kBallot, vote);
    unsigned result = 0;
    for (unsigned i = 0; i < gpu_on_cpu::kLanes; ++i) result |= votes[i] << i;
    return result;
}

inline float __shfl_sync(unsigned mask, float value, int lane) {
    using namespace gpu_on_cpu;
    return float_of_bits(exchange(mask, kShuffle, bits_of(value))[lane]);
}

inline float __shfl_xor_sync(unsigned mask, float value, int lanes) {
    using namespace gpu_on_cpu;
    return float_of_bits(exchange(mask, kShuffleXor, bits_of(value))[threadIdx.x ^ static_cast<unsigned>(lanes)]);
}

#endif
