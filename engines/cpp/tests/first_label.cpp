// Labels one picture, and prints how many seconds the model took to load: what benchmarks/cpp_against_python.py starts.
//
//     first_label BACKEND THREADS PICTURE MODEL

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <opencv2/imgcodecs.hpp>
#include <rtseg/rtseg.hpp>

int main(int argc, char** argv) try {
    if (argc != 5) {
        std::fprintf(stderr, "first_label: expected BACKEND THREADS PICTURE MODEL\n");
        return 2;
    }
    rtseg::ModelOptions options;
    options.backend = argv[1];
    options.threads = std::atoi(argv[2]);
    const auto loading = std::chrono::steady_clock::now();
    const rtseg::Model model(argv[4], options);
    const std::chrono::duration<double> loaded = std::chrono::steady_clock::now() - loading;
    rtseg::Session session(model);
    const cv::Mat picture = cv::imread(argv[3]);
    cv::Mat labels(picture.size(), CV_8UC1);
    session.run(rtseg::Image(picture), rtseg::LabelMap(labels));
    std::printf("%.6f\n", loaded.count());
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "first_label: %s\n", error.what());
    return 1;
}
