// Counts what a workspace allocates and which threads it starts, and withholds both.
//
// Linked with --wrap for each function below and with a static libstdc++, whose own calls are counted so too.

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <new>

#include <pthread.h>

#include "frame_jobs.h"

namespace {

long allocations = 0, starts = 0;  // by every thread
long allowed = -1;                 // allocations that are still granted; negative: all
bool threads_are_refused = false;

bool is_granted() {
    __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    if (allowed < 0) return true;
    if (allowed == 0) return false;
    --allowed;
    return true;
}

}  // namespace

extern "C" {
void* __real_malloc(size_t bytes);
void* __real_calloc(size_t count, size_t bytes);
void* __real_realloc(void* data, size_t bytes);
void* __real_aligned_alloc(size_t alignment, size_t bytes);
int __real_posix_memalign(void** data, size_t alignment, size_t bytes);
int __real_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument);

void* __wrap_malloc(size_t bytes) { return is_granted() ? __real_malloc(bytes) : nullptr; }
void* __wrap_calloc(size_t count, size_t bytes) { return is_granted() ? __real_calloc(count, bytes) : nullptr; }
void* __wrap_realloc(void* data, size_t bytes) { return is_granted() ? __real_realloc(data, bytes) : nullptr; }
void* __wrap_aligned_alloc(size_t alignment, size_t bytes) {
    return is_granted() ? __real_aligned_alloc(alignment, bytes) : nullptr;
}
int __wrap_posix_memalign(void** data, size_t alignment, size_t bytes) {
    return is_granted() ? __real_posix_memalign(data, alignment, bytes) : ENOMEM;
}
int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
    ++starts;
    return threads_are_refused ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
}
}

namespace {

struct Case {
    const char* name;
    Sizes sizes;
};

const Case kCases[] = {
    {"resize", {300, 500, 360, 480, 90, 120, 11, false}},
    {"no-resize", {360, 480, 360, 480, 360, 480, 11, false}},
    {"letterbox", {300, 500, 416, 416, 52, 52, 11, true}},
    {"letterbox-no-resize", {300, 416, 416, 416, 104, 104, 3, true}},
};

rtseg_workspace* created(int threads) {
    rtseg_workspace* workspace = nullptr;
    if (rtseg_workspace_create(threads, &workspace) != RTSEG_OK) std::abort();
    return workspace;
}

// Print what the first call of each end takes, and what ten more take; then the same of all ends at two sizes in turn.
void count() {
    for (const Case& of : kCases) {
        FrameJob job(of.sizes);
        for (int end = 0; end < kEnds; ++end) {
            rtseg_workspace* const workspace = created(3);
            long before[2] = {allocations, starts};
            int code = job.code_in(workspace, end);
            const long first[2] = {allocations - before[0], starts - before[1]};
            before[0] = allocations, before[1] = starts;
            for (int i = 0; i < 10; ++i) code |= job.code_in(workspace, end);
            std::printf("%s-%s %d %ld %ld %ld %ld\n", of.name, name_of(end), code, first[0], first[1],
                        allocations - before[0], starts - before[1]);
            rtseg_workspace_destroy(workspace);
        }
    }
    rtseg_workspace* const shared = created(3);
    FrameJob small(kCases[0].sizes), large(kCases[2].sizes);
    int code = RTSEG_OK;
    long first[2] = {}, before[2] = {allocations, starts};
    for (int i = 0; i < 10; ++i) {
        for (int end = 0; end < kEnds; ++end) code |= small.code_in(shared, end) | large.code_in(shared, end);
        if (i > 0) continue;
        first[0] = allocations - before[0], first[1] = starts - before[1];
        before[0] = allocations, before[1] = starts;
    }
    std::printf("all-in-turn %d %ld %ld %ld %ld\n", code, first[0], first[1], allocations - before[0],
                starts - before[1]);
    rtseg_workspace_destroy(shared);
}

// Print, where every thread is refused, whether the results are the same and how often one was asked for.
void refuse_threads() {
    for (const Case& of : kCases) {
        FrameJob job(of.sizes);
        for (int end = 0; end < kEnds; ++end) {
            const Given wanted = job.alone(end, 1);
            rtseg_workspace* const workspace = created(4);
            const long before = starts;
            threads_are_refused = true;
            const bool same = job.in(workspace, end) == wanted && job.in(workspace, end) == wanted;
            threads_are_refused = false;
            std::printf("%s-%s %d %ld\n", of.name, name_of(end), same, starts - before);
            rtseg_workspace_destroy(workspace);
        }
    }
}

// Let the first, the second, ... allocation of a call fail until none is left that could. Print how often the call failed,
// how often with another code than RTSEG_NO_MEMORY, and how often the next call gave another result than it should.
void withhold_memory() {
    for (const Case& of : kCases) {
        FrameJob job(of.sizes), other({50, 40, 70, 90, 20, 30, 2, true});
        for (int end = 0; end < kEnds; ++end) {
            const Given wanted = job.alone(end, 1);
            long failures = 0, other_codes = 0, others = 0;
            for (long granted = 0;; ++granted) {
                rtseg_workspace* const workspace = created(2);
                other.code_in(workspace, end);  // which leaves sizes behind that are not these
                const long before = allocations;
                allowed = granted;
                const int code = job.code_in(workspace, end);
                allowed = -1;
                const bool done = allocations - before <= granted;
                failures += code != RTSEG_OK;
                other_codes += code != RTSEG_OK && code != RTSEG_NO_MEMORY;
                others += !(job.in(workspace, end) == wanted);
                rtseg_workspace_destroy(workspace);
                if (done) break;
            }
            std::printf("%s-%s %ld %ld %ld\n", of.name, name_of(end), failures, other_codes, others);
        }
    }
    rtseg_workspace* const untouched = reinterpret_cast<rtseg_workspace*>(&allowed);
    rtseg_workspace* workspace = untouched;
    allowed = 0;
    const int code = rtseg_workspace_create(1, &workspace);
    allowed = -1;
    std::printf("create %d %d\n", code, workspace == untouched);
}

}  // namespace

int main(int, char** arguments) {
    switch (arguments[1][0]) {
        case 'c': count(); break;
        case 't': refuse_threads(); break;
        default: withhold_memory();
    }
    return 0;
}
