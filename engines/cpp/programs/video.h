// Video files, frame by frame.
#ifndef RTSEG_PROGRAMS_VIDEO_H
#define RTSEG_PROGRAMS_VIDEO_H

#include <functional>
#include <opencv2/core.hpp>
#include <string>

namespace programs {

// Give each frame, CV_8UC3, BGR, and take the frame to be written to `target`, an MP4 of the same rate. Returns how many
// there were. Throws InputError for what cannot be read or has no frame, and WriteError.
int rewrite_video(const std::string& source, const std::string& target,
                  const std::function<cv::Mat(int index, const cv::Mat& frame)>& drawn);

}  // namespace programs

#endif
