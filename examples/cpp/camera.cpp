// Label what a camera, a video or numbered pictures show, and say what most of each frame is.
// Usage: camera MODEL.onnx SOURCE, where SOURCE is 0 for a camera, a video such as drive.mp4, or shots/%04d.png.
#include <algorithm>
#include <array>
#include <iostream>
#include <opencv2/videoio.hpp>
#include <rtseg/rtseg.hpp>
#include <stdexcept>
#include <string>

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    try {
        const rtseg::Model model(argv[1]);
        rtseg::Session session(model);
        const std::string source = argv[2];
        const bool is_camera = source.find_first_not_of("0123456789") == std::string::npos;
        cv::VideoCapture capture = is_camera ? cv::VideoCapture(std::stoi(source)) : cv::VideoCapture(source);
        if (!capture.isOpened()) throw std::runtime_error("cannot open " + source);
        cv::Mat frame, labels;
        while (capture.read(frame)) {
            labels.create(frame.size(), CV_8UC1);  // memory that is there already is kept
            session.run(rtseg::Image(frame), rtseg::LabelMap(labels));
            std::array<int, 256> counts{};
            for (auto label = labels.begin<uchar>(); label != labels.end<uchar>(); ++label) ++counts[*label];
            const auto most = std::max_element(counts.begin(), counts.end()) - counts.begin();
            std::cout << "mostly " << model.class_name(static_cast<int>(most)) << "\n";
        }
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
