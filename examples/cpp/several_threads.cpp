// Label pictures by several threads, which share a model and have a session each.
// Usage: several_threads MODEL.onnx PICTURES...
#include <atomic>
#include <iostream>
#include <mutex>
#include <opencv2/imgcodecs.hpp>
#include <rtseg/rtseg.hpp>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    rtseg::ModelOptions options;
    options.threads = 1;  // each frame on one core, as many frames at once as there are cores
    const rtseg::Model model(argv[1], options);
    std::atomic<int> next{2};
    std::mutex output;
    const auto work = [&] {
        rtseg::Session session(model);
        for (int i = next++; i < argc; i = next++) {
            const cv::Mat picture = cv::imread(argv[i]);
            if (picture.empty()) continue;
            cv::Mat labels(picture.size(), CV_8UC1);
            session.run(rtseg::Image(picture), rtseg::LabelMap(labels));
            const std::lock_guard<std::mutex> lock(output);
            std::cout << argv[i] << ": " << model.class_name(labels.at<uchar>(labels.rows / 2, labels.cols / 2))
                      << " in the middle\n";
        }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) threads.emplace_back(work);
    for (std::thread& thread : threads) thread.join();
}
