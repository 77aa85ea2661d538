// Label pictures by several threads, which share a model and have a session each.
// Usage: several_threads MODEL.onnx PICTURES...
#include <algorithm>
#include <atomic>
#include <iostream>
#include <mutex>
#include <opencv2/imgcodecs.hpp>
#include <rtseg/rtseg.hpp>
#include <thread>
#include <vector>

int main(int argc, char** argv) try {
    if (argc < 3) return 2;
    const int count = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    const rtseg::Model model(argv[1], {"", "", 0, count});  // as many frames at once as there are cores
    std::atomic<int> next{2}, failed{0};
    std::mutex output;
    const auto work = [&] {
        rtseg::Session session(model);
        for (int i = next++; i < argc; i = next++) try {
                const cv::Mat picture = cv::imread(argv[i]);
                cv::Mat labels(picture.size(), CV_8UC1);
                session.run(rtseg::Image(picture), rtseg::LabelMap(labels));
                const auto middle = labels.at<uchar>(labels.rows / 2, labels.cols / 2);
                const std::lock_guard<std::mutex> lock(output);
                std::cout << argv[i] << ": " << model.class_name(middle) << " in the middle\n";
            } catch (const std::exception& error) {
                const std::lock_guard<std::mutex> lock(output);
                std::cerr << argv[i] << ": " << error.what() << "\n";
                ++failed;
            }
    };
    std::vector<std::thread> threads(static_cast<size_t>(count));
    for (std::thread& thread : threads) thread = std::thread(work);
    for (std::thread& thread : threads) thread.join();
    return failed == 0 ? 0 : 1;
} catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
}
