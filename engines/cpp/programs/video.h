// Video files, frame by frame.
#ifndef RTSEG_PROGRAMS_VIDEO_H
#define RTSEG_PROGRAMS_VIDEO_H

#include <functional>
#include <opencv2/core.hpp>
#include <string>

namespace programs {

// Call a function with each frame, CV_8UC3 in BGR, and write the frame that it returns to `target`, an MP4 of the same
// rate. Returns the number of frames. Throws WriteError, and InputError for a file that cannot be read or has no frame.
int rewrite_video(const std::string& source, const std::string& target,
                  const std::function<cv::Mat(int index, const cv::Mat& frame)>& drawn);

}  // namespace programs

#endif
