// Facts in the bytes of a picture file that OpenCV, or some release of it, ignores.
#ifndef RTSEG_PROGRAMS_PICTURE_BYTES_H
#define RTSEG_PROGRAMS_PICTURE_BYTES_H

#include <cstdint>
#include <vector>

namespace programs {

using Bytes = std::vector<uint8_t>;

// Return whether the bytes begin like a PNG, JPEG, WebP, BMP, PBM, PGM, PPM or TIFF. OpenCV may read more formats,
// depending on its build.
bool is_picture(const Bytes& bytes);

// Return the largest sample that a PGM or PPM declares, if OpenCV does not scale its samples; 0 for other files.
int declared_maximum(const Bytes& bytes);

// Return whether a JPEG ends before its last marker: OpenCV before 5 fills the rest of such a picture with grey.
bool is_jpeg_cut_off(const Bytes& bytes);

// Return the EXIF orientation, 1 to 8, of a JPEG or WebP; 1 if it states none; 0 for other formats, which every release
// of OpenCV turns. Some releases do not turn WebP, nor JPEG with XMP before its EXIF.
int stored_orientation(const Bytes& bytes);

}  // namespace programs

#endif
