// The picture that is timed. A frame's time depends on the picture: the tail does more work where classes meet.
#ifndef RTSEG_PROGRAMS_BENCH_PICTURE_H
#define RTSEG_PROGRAMS_BENCH_PICTURE_H

#include <opencv2/core.hpp>

namespace programs {

// Draw a street, CV_8UC3 in BGR, the same at every size. It is not the scene that `rtseg bench` renders.
cv::Mat drawn_street(int height, int width);

}  // namespace programs

#endif
