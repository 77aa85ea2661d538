// Labels many frames and prints how much memory the process has after a tenth of them and at the end, in KiB.
//
//     many_frames FOLDER BACKEND FRAMES

#include <fstream>

#include "test_images.h"

namespace {

long resident_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;)
        if (word == "VmRSS:") {
            long kib = 0;
            status >> kib;
            return kib;
        }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const long frames = std::atol(argv[3]);
    const rtseg::Model model = open_golden(argv[1], argv[2], "fp32-logits");
    rtseg::Session session(model);
    std::vector<TestFrame> all = {{48, 64, 1}, {31, 77, 2}, {96, 40, 3}};
    long before = 0;
    for (long i = 0; i < frames; ++i) {
        TestFrame& frame = all[static_cast<size_t>(i) % all.size()];
        session.run(frame.image(), frame.label_map());
        if (i == frames / 10) before = resident_kib();
    }
    std::printf("%ld %ld\n", before, resident_kib());
    return 0;
}
