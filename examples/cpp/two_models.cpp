// Label a picture by two models in one process, and say how far they agree: an FP32 file and its INT8 twin, say.
// Usage: two_models FIRST.onnx SECOND.onnx PICTURE
#include <iostream>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <rtseg/rtseg.hpp>

static cv::Mat labels_of(const char* path, const cv::Mat& picture) {
    const rtseg::Model model(path);
    rtseg::Session session(model);
    cv::Mat labels(picture.size(), CV_8UC1);
    session.run(rtseg::Image(picture), rtseg::LabelMap(labels));
    return labels;
}

int main(int argc, char** argv) try {
    if (argc != 4) return 2;
    const cv::Mat picture = cv::imread(argv[3]);
    const cv::Mat equal = labels_of(argv[1], picture) == labels_of(argv[2], picture);
    std::cout << 100.0 * cv::countNonZero(equal) / static_cast<double>(equal.total()) << " % of the labels are equal\n";
} catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
}
