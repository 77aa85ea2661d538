#include "video.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <opencv2/videoio.hpp>

#include "program.h"
#include "written_file.h"

namespace programs {
namespace {

constexpr double kUnknownRate = 25, kLeastRate = 0.01, kLargestTerm = 65535;

// Return the rate next to that one that an MP4 holds: of three decimals or fewer.
double holdable_rate(double rate) {
    if (!std::isfinite(rate) || rate <= 0) return kUnknownRate;
    rate = std::min(std::max(rate, kLeastRate), kLargestTerm);
    for (const double step : {1000.0, 100.0, 10.0})
        if (std::nearbyint(rate * step) <= kLargestTerm) return std::nearbyint(rate * step) / step;
    return std::nearbyint(rate);
}

}  // namespace

int rewrite_video(const std::string& source, const std::string& target,
                  const std::function<cv::Mat(int index, const cv::Mat& frame)>& drawn) {
    std::error_code failure;
    if (!std::filesystem::is_regular_file(source, failure))
        throw InputError("cannot read " + source + ": it is no regular file");
    cv::VideoCapture capture(source, cv::CAP_FFMPEG);
    if (!capture.isOpened()) throw InputError(source + " is not a video OpenCV can read");
    const double rate = holdable_rate(capture.get(cv::CAP_PROP_FPS));
    int count = 0;
    write_atomically(target, [&](const std::string& part) {
        cv::VideoWriter writer;
        cv::Mat frame;
        while (capture.read(frame)) {
            const cv::Mat made = drawn(count++, frame);
            if (!writer.isOpened() &&
                !writer.open(part, cv::VideoWriter::fourcc('m', 'p', '4', 'v'), rate, made.size()))
                throw WriteError("OpenCV cannot write the video " + target);
            writer.write(made);
        }
        if (count == 0) throw InputError(source + " holds no frame that OpenCV can decode");
    });
    return count;
}

}  // namespace programs
