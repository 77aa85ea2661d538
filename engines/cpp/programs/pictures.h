// Picture files, read as rtseg reads them in Python: 8 bits, blue first.
#ifndef RTSEG_PROGRAMS_PICTURES_H
#define RTSEG_PROGRAMS_PICTURES_H

#include <opencv2/core.hpp>
#include <string>

namespace programs {

// Return CV_8UC3, BGR, turned as the file says. Of 16 bits the upper 8 are taken, or what a PGM or PPM declares as its
// range. Throws InputError.
cv::Mat read_picture(const std::string& path);

// Write a picture; the suffix names the format. Throws WriteError.
void write_picture(const std::string& path, const cv::Mat& picture);

}  // namespace programs

#endif
