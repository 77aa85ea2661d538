// What the bytes of a picture file say and OpenCV, or some release of it, does not heed.
#ifndef RTSEG_PROGRAMS_PICTURE_BYTES_H
#define RTSEG_PROGRAMS_PICTURE_BYTES_H

#include <cstdint>
#include <vector>

namespace programs {

using Bytes = std::vector<uint8_t>;

// Return whether it begins as a PNG, JPEG, WebP, BMP, PBM, PGM, PPM or TIFF does. OpenCV reads more, as a system built it.
bool is_picture(const Bytes& bytes);

// Return the largest sample that a PGM or PPM declares where OpenCV leaves its samples as they are; 0 for other files.
int declared_maximum(const Bytes& bytes);

// Return whether it is a JPEG that ends before its last marker: OpenCV before 5 gives such a picture with a grey rest.
bool is_jpeg_cut_off(const Bytes& bytes);

// Return how a JPEG or a WebP says it is to be turned, as EXIF numbers it: 1 to 8, 1 where it says nothing; 0 for other
// formats, which every release of OpenCV turns. Some turn no WebP, and no JPEG with XMP before its EXIF.
int stored_orientation(const Bytes& bytes);

}  // namespace programs

#endif
