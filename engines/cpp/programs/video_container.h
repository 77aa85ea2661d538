// Checks video files: whether a file is a container at all, and whether it is complete.
#ifndef RTSEG_PROGRAMS_VIDEO_CONTAINER_H
#define RTSEG_PROGRAMS_VIDEO_CONTAINER_H

#include <string>

namespace programs {

// Return whether a file itself contains frames, by its first bytes. FFmpeg also decides by content: it would follow a
// list of other files or addresses (ffconcat, HLS, DASH, SDP) under any name. Throws InputError for a file that cannot
// be read.
bool is_container(const std::string& path);

// Return a phrase that says how much of an MP4, AVI, Matroska or WebM file is there; "" if it is complete.
std::string missing_part(const std::string& path);

}  // namespace programs

#endif
