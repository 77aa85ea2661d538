// Reads picture files as rtseg does in Python: 8 bits, BGR.
#ifndef RTSEG_PROGRAMS_PICTURES_H
#define RTSEG_PROGRAMS_PICTURES_H

#include <opencv2/core.hpp>
#include <string>

namespace programs {

// Return the picture as CV_8UC3 in BGR, turned by its EXIF orientation. Of 16 bits, the upper 8 are used, or the range
// that a PGM or PPM declares. Throws InputError.
cv::Mat read_picture(const std::string& path);

// Write a picture; the suffix names the format. Throws WriteError.
void write_picture(const std::string& path, const cv::Mat& picture);

}  // namespace programs

#endif
