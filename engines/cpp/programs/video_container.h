// What holds a video: whether a file is a container at all, and whether all that it claims to hold is there.
#ifndef RTSEG_PROGRAMS_VIDEO_CONTAINER_H
#define RTSEG_PROGRAMS_VIDEO_CONTAINER_H

#include <string>

namespace programs {

// Return whether a file holds frames itself, by how it begins. FFmpeg goes by the content too, and follows what is a list
// of other files or addresses (ffconcat, HLS, DASH, SDP) whatever its name. Throws InputError for what cannot be read.
bool is_container(const std::string& path);

// Return in words how much of an MP4, AVI, Matroska or WebM file is there; "" where it is all that it claims.
std::string missing_part(const std::string& path);

}  // namespace programs

#endif
