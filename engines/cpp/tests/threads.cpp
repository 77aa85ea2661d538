// Checks what the library promises about threads: sessions side by side give what one alone gives; a session that is in
// use is refused, and stays whole.
//
//     threads FOLDER BACKEND

#include <atomic>
#include <thread>

#include "test_images.h"

namespace {

constexpr int kThreads = 4, kFrames = 25;

std::vector<TestFrame> frames() { return {{48, 64, 1}, {31, 77, 2}, {96, 40, 3}}; }

void run_all(rtseg::Session& session, std::vector<TestFrame>& all) {
    for (TestFrame& frame : all) session.run(frame.image(), frame.label_map());
}

void sessions_side_by_side(const rtseg::Model& first, const rtseg::Model& second) {
    std::vector<TestFrame> expected = frames(), expected_of_second = frames();
    {
        rtseg::Session session(first), other(second);
        run_all(session, expected);
        run_all(other, expected_of_second);
    }
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&, i] {
            for (int round = 0; round < kFrames; ++round) {
                rtseg::Session session(i % 2 == 0 ? first : second);  // opened and closed while others run
                std::vector<TestFrame> own = frames();
                run_all(session, own);
                const std::vector<TestFrame>& wanted = i % 2 == 0 ? expected : expected_of_second;
                bool same = true;
                for (size_t k = 0; k < own.size(); ++k) same = same && own[k].labels == wanted[k].labels;
                right += same;
            }
        });
    for (std::thread& thread : threads) thread.join();
    REQUIRE(right == kThreads * kFrames);
}

void a_session_in_use_is_refused(const rtseg::Model& model) {
    rtseg::Session session(model);
    TestFrame expected(480, 640, 5);
    session.run(expected.image(), expected.label_map());
    std::atomic<int> busy{0}, wrong{0}, done{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i)
        threads.emplace_back([&] {
            TestFrame own(480, 640, 5);
            for (int frame = 0; frame < 5000 && (frame < 20 || busy == 0); ++frame) {
                own.labels.assign(own.size(), 255);
                try {
                    session.run(own.image(), own.label_map());
                    ++done;
                    wrong += own.labels != expected.labels;
                } catch (const rtseg::Error& error) {
                    ++busy;
                    wrong += error.status() != RTSEG_STATUS_BUSY;
                }
            }
        });
    for (std::thread& thread : threads) thread.join();
    REQUIRE(wrong == 0);
    REQUIRE(done > 0);
    REQUIRE(busy > 0);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const rtseg::Model first = open_golden(argv[1], argv[2], "fp32-logits");
    const rtseg::Model second = open_golden(argv[1], argv[2], "threshold-letterbox");
    sessions_side_by_side(first, second);
    a_session_in_use_is_refused(first);
    rtseg::ModelOptions at_once;
    at_once.backend = argv[2];
    at_once.threads = 2;
    at_once.parallel = 2;
    sessions_side_by_side(rtseg::Model(std::string(argv[1]) + "/fp32-logits.onnx", at_once), second);
    return 0;
}
