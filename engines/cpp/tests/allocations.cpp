// Checks that a frame allocates nothing once the first of its size is done, but for what the backend allocates itself.
//
//     allocations FOLDER BACKEND
//
// malloc and its kin are counted for the whole process, every library in it.

#include <malloc.h>

#include <atomic>
#include <cstddef>

#include "test_images.h"

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
}

namespace {

std::atomic<long> allocations{0};

// Return how many allocations something takes.
template <class Body>
long counted(const Body& body) {
    const long before = allocations;
    body();
    return allocations - before;
}

void check(const rtseg::Model& model, const char* name) {
    rtseg::Session session(model, 2);
    for (const bool is_large : {false, true}) {
        TestFrame frame(is_large ? 720 : 37, is_large ? 1280 : 53, 1);
        const rtseg::Image image = frame.image();
        const rtseg::LabelMap labels = frame.label_map();
        for (int warm_up = 0; warm_up < 3; ++warm_up) session.run(image, labels);
        const long before = counted([&] { session.write_input(image); });
        const long within = counted([&] { session.infer(); });
        const long after = counted([&] { session.read_labels(labels); });
        const long whole = counted([&] { session.run(image, labels); });
        std::printf("%s, %d x %d: the ends %ld, the backend %ld, a frame %ld\n", name, frame.height, frame.width,
                    before + after, within, whole);
        REQUIRE(before == 0);
        REQUIRE(after == 0);
        REQUIRE(whole == within);
    }
}

}  // namespace

extern "C" {
void* malloc(size_t size) {
    ++allocations;
    return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
    ++allocations;
    return __libc_calloc(count, size);
}
void* realloc(void* block, size_t size) {
    ++allocations;
    return __libc_realloc(block, size);
}
void* memalign(size_t alignment, size_t size) {
    ++allocations;
    return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** block, size_t alignment, size_t size) {
    *block = memalign(alignment, size);
    return *block == nullptr ? 12 : 0;
}
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    void* volatile block = nullptr;
    REQUIRE(counted([&] { block = std::malloc(100); }) == 1);  // the count counts
    std::free(block);
    for (const char* name : {"fp32-logits", "labels", "threshold-letterbox"})
        check(open_golden(argv[1], argv[2], name), name);
    return 0;
}
