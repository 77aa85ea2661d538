// Labels of a picture in C++. Usage: ten_lines MODEL.onnx PICTURE LABELS.png
#include <iostream>
#include <opencv2/imgcodecs.hpp>
#include <rtseg/rtseg.hpp>

int main(int argc, char** argv) try {
    if (argc != 4) return 2;
    const rtseg::Model model(argv[1]);
    rtseg::Session session(model);
    const cv::Mat picture = cv::imread(argv[2]);
    cv::Mat labels(picture.size(), CV_8UC1);
    session.run(rtseg::Image(picture), rtseg::LabelMap(labels));
    return cv::imwrite(argv[3], labels) ? 0 : 1;
} catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
}
