// Label maps as indexed PNGs: each pixel is a class index, and the palette contains the colours of the classes.
#ifndef RTSEG_PROGRAMS_LABEL_PNG_H
#define RTSEG_PROGRAMS_LABEL_PNG_H

#include <opencv2/core.hpp>
#include <rtseg/rtseg.hpp>
#include <string>

namespace programs {

// labels is CV_8UC1. Throws WriteError.
void write_label_png(const std::string& path, const cv::Mat& labels, const rtseg::Model& model);

}  // namespace programs

#endif
