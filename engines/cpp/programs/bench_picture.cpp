#include "bench_picture.h"

#include <cstdint>
#include <opencv2/imgproc.hpp>
#include <vector>

namespace programs {

cv::Mat drawn_street(int height, int width) {
    const auto point = [&](double x, double y) { return cv::Point(cvRound(x * width), cvRound(y * height)); };
    const auto fill = [&](cv::Mat& picture, const std::vector<cv::Point>& corners, const cv::Scalar& colour) {
        cv::fillConvexPoly(picture, corners, colour, cv::LINE_AA);
    };
    cv::Mat picture(height, width, CV_8UC3, cv::Scalar(210, 190, 170));  // sky
    fill(picture, {point(0, 0.5), point(1, 0.5), point(1, 1), point(0, 1)}, {110, 115, 120});  // pavement
    fill(picture, {point(0.46, 0.5), point(0.54, 0.5), point(0.85, 1), point(0.15, 1)}, {75, 75, 80});  // road
    cv::RNG random(7);
    for (int i = 0; i < 8; ++i) {  // houses; the later ones are nearer to the middle
        const double depth = i / 8.0, left = 0.44 * depth, top = 0.08 + 0.32 * depth, wide = 0.13 * (1 - 0.6 * depth);
        const cv::Scalar colour(random.uniform(50, 150), random.uniform(60, 150), random.uniform(80, 170));
        for (const double from : {left, 1 - left - wide}) {
            const double to = from + wide;
            fill(picture, {point(from, top), point(to, top), point(to, 0.56), point(from, 0.56)}, colour);
        }
    }
    for (int i = 0; i < 5; ++i) {  // trees and cars
        const double x = random.uniform(0.05, 0.95);
        cv::ellipse(picture, point(x, 0.38), cv::Size(width / 24 + 1, height / 10 + 1), 0, 0, 360, {50, 95, 60}, -1);
        const cv::Scalar grey = cv::Scalar::all(random.uniform(20, 200));
        cv::rectangle(picture, point(x - 0.04, 0.6), point(x + 0.04, 0.7), grey, -1);
    }
    cv::Mat grain(picture.size(), CV_16SC3), fine;
    random.fill(grain, cv::RNG::NORMAL, 0, 6);
    picture.convertTo(fine, CV_16SC3);
    cv::Mat(fine + grain).convertTo(picture, CV_8UC3);
    return picture;
}

}  // namespace programs
