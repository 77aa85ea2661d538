#include "pictures.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <opencv2/imgcodecs.hpp>
#include <vector>

#include "picture_bytes.h"
#include "program.h"
#include "written_file.h"

namespace programs {
namespace {

Bytes bytes_of(const std::string& path) {
    std::error_code failure;
    if (!std::filesystem::is_regular_file(path, failure))  // reading a pipe would wait for ever
        throw InputError("cannot read " + path + ": it is not a regular file");
    std::ifstream file(path, std::ios::binary);
    Bytes bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (!file.good() && !file.eof()) throw InputError("cannot read " + path);
    if (bytes.empty()) throw InputError(path + " is not a picture OpenCV can read; got an empty file");
    return bytes;
}

// Return samples as 8 bits, scaled so that the largest becomes 255.
cv::Mat to_8_bits(const cv::Mat& stored, int maximum) {
    cv::Mat made(stored.size(), CV_8UC(stored.channels()));
    const int count = stored.cols * stored.channels();
    for (int y = 0; y < stored.rows; ++y) {
        uchar* const to = made.ptr<uchar>(y);
        for (int x = 0; x < count; ++x) {
            if (stored.depth() == CV_8U) {
                const int value = stored.ptr<uchar>(y)[x];
                to[x] = static_cast<uchar>(maximum < 255 ? std::min((value * 255 + maximum / 2) / maximum, 255) : value);
            } else {
                const int64_t value = stored.ptr<uint16_t>(y)[x];
                to[x] = static_cast<uchar>(std::min<int64_t>(value * 256 / (maximum + 1), 255));
            }
        }
    }
    return made;
}

// Return a picture turned by its EXIF orientation.
cv::Mat turned(const cv::Mat& stored, int orientation) {
    constexpr int kUpsideDown = 0, kMirrored = 1, kHalfTurn = -1, kAsItIs = 2;
    constexpr int kFlips[] = {kAsItIs, kMirrored, kHalfTurn, kUpsideDown, kAsItIs, kMirrored, kHalfTurn, kUpsideDown};
    cv::Mat made = stored;
    if (orientation >= 5) cv::transpose(stored, made);
    if (kFlips[orientation - 1] != kAsItIs) cv::flip(made, made, kFlips[orientation - 1]);
    return made;
}

}  // namespace

cv::Mat read_picture(const std::string& path) {
    const Bytes bytes = bytes_of(path);
    if (!is_picture(bytes))
        throw InputError(path + " is not a picture OpenCV can read; expected a PNG, JPEG, WebP, BMP, PGM, PPM or TIFF");
    if (is_jpeg_cut_off(bytes)) throw InputError(path + " is not a picture OpenCV can read; got a JPEG without its end");
    const int maximum = declared_maximum(bytes), orientation = stored_orientation(bytes);
    cv::Mat picture;
    try {
        const int ignored = orientation != 0 ? cv::IMREAD_IGNORE_ORIENTATION : 0;
        picture = cv::imdecode(bytes, cv::IMREAD_COLOR | cv::IMREAD_ANYDEPTH | ignored);
    } catch (const cv::Exception&) {  // of some headers OpenCV throws instead of giving nothing
    }
    if (picture.empty()) throw InputError(path + " is not a picture OpenCV can read");
    if (picture.depth() == CV_16U || (picture.depth() == CV_8U && maximum != 0 && maximum < 255))
        picture = to_8_bits(picture, maximum != 0 ? maximum : 65535);
    if (picture.depth() != CV_8U || picture.channels() != 3)
        throw InputError(path + " is not a picture for a network; expected unsigned samples of 8 or 16 bits");
    return orientation != 0 ? turned(picture, orientation) : picture;
}

void write_picture(const std::string& path, const cv::Mat& picture) {
    std::vector<uchar> encoded;
    if (!cv::imencode(std::filesystem::path(path).extension().string(), picture, encoded))
        throw WriteError("OpenCV cannot encode " + path);
    write_bytes(path, encoded.data(), encoded.size());
}

}  // namespace programs
