#include "video.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <opencv2/videoio.hpp>

#include "program.h"
#include "video_container.h"
#include "written_file.h"

namespace programs {
namespace {

constexpr int kLeastSide = 2, kLargestSide = 8191;  // of a frame that MPEG-4 holds
constexpr double kUnknownRate = 25, kLeastRate = 0.01, kLargestTerm = 65535;

// Return the nearest frame rate that an MP4 can hold, with at most three decimals.
double holdable_rate(double rate) {
    if (!std::isfinite(rate) || rate <= 0) return kUnknownRate;
    rate = std::min(std::max(rate, kLeastRate), kLargestTerm);
    for (const double step : {1000.0, 100.0, 10.0})
        if (std::nearbyint(rate * step) <= kLargestTerm) return std::nearbyint(rate * step) / step;
    return std::nearbyint(rate);
}

// Throw InputError for frames that do not fit into an MP4.
void require_holdable(const std::string& source, const cv::Size& size) {
    if (std::min(size.height, size.width) >= kLeastSide && std::max(size.height, size.width) <= kLargestSide) return;
    throw InputError("the frames of " + source + " do not fit into an MP4; got " + std::to_string(size.height) + "x" +
                     std::to_string(size.width) + "; expected sides of 2 to 8191 pixels");
}

}  // namespace

int rewrite_video(const std::string& source, const std::string& target,
                  const std::function<cv::Mat(int index, const cv::Mat& frame)>& drawn) {
    std::error_code failure;
    if (!std::filesystem::is_regular_file(source, failure))
        throw InputError("cannot read " + source + ": it is not a regular file");
    if (!is_container(source)) throw InputError(source + " is not a video OpenCV can read; got no container of frames");
    cv::VideoCapture capture(source, cv::CAP_FFMPEG);
    if (!capture.isOpened()) throw InputError(source + " is not a video OpenCV can read");
    const double rate = holdable_rate(capture.get(cv::CAP_PROP_FPS));
    int count = 0;
    write_atomically(target, [&](const std::string& part) {
        cv::VideoWriter writer;
        cv::Mat frame;
        while (capture.read(frame)) {
            const cv::Mat made = drawn(count++, frame);
            if (!writer.isOpened()) {
                require_holdable(source, made.size());
                if (!writer.open(part, cv::VideoWriter::fourcc('m', 'p', '4', 'v'), rate, made.size()))
                    throw WriteError("OpenCV cannot write the video " + target);
            }
            writer.write(made);
        }
        if (count == 0) throw InputError(source + " holds no frame that OpenCV can decode");
        writer.release();
        // OpenCV does not report a full disk, but omits the index.
        if (!cv::VideoCapture(part, cv::CAP_FFMPEG).isOpened())
            throw WriteError("cannot write " + target + " to its end. Try: choose another folder, or free some space");
    });
    return count;
}

}  // namespace programs
