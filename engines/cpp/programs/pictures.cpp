#include "pictures.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <opencv2/imgcodecs.hpp>
#include <vector>

#include "program.h"
#include "written_file.h"

namespace programs {
namespace {

std::vector<uchar> bytes_of(const std::string& path) {
    std::error_code failure;
    if (!std::filesystem::is_regular_file(path, failure))  // reading a pipe would wait for ever
        throw InputError("cannot read " + path + ": it is no regular file");
    std::ifstream file(path, std::ios::binary);
    std::vector<uchar> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (!file.good() && !file.eof()) throw InputError("cannot read " + path);
    if (bytes.empty()) throw InputError(path + " is not a picture OpenCV can read; got an empty file");
    return bytes;
}

// Return the largest sample that a PGM or PPM declares; 0 for other files.
int declared_maximum(const std::vector<uchar>& bytes) {
    if (bytes.size() < 3 || bytes[0] != 'P' || (bytes[1] != '2' && bytes[1] != '3' && bytes[1] != '5' && bytes[1] != '6'))
        return 0;
    size_t at = 2;
    int number = 0;
    for (int field = 0; field < 3; ++field) {  // width, height, maximum
        while (at < bytes.size() && (std::isspace(bytes[at]) || bytes[at] == '#')) {
            if (bytes[at] == '#')
                while (at < bytes.size() && bytes[at] != '\n') ++at;
            else
                ++at;
        }
        number = 0;
        while (at < bytes.size() && std::isdigit(bytes[at]) && number < 1000000) number = 10 * number + bytes[at++] - '0';
    }
    return std::min(number, 65535);
}

// Return samples as 8 bits: the largest becomes 255.
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

}  // namespace

cv::Mat read_picture(const std::string& path) {
    const std::vector<uchar> bytes = bytes_of(path);
    const int maximum = declared_maximum(bytes);
    cv::Mat picture;
    try {
        picture = cv::imdecode(bytes, cv::IMREAD_COLOR | cv::IMREAD_ANYDEPTH);
    } catch (const cv::Exception&) {  // of some headers OpenCV throws instead of giving nothing
    }
    if (picture.empty()) throw InputError(path + " is not a picture OpenCV can read");
    if (picture.depth() == CV_16U || (picture.depth() == CV_8U && maximum != 0 && maximum < 255))
        picture = to_8_bits(picture, maximum != 0 ? maximum : 65535);
    if (picture.depth() != CV_8U || picture.channels() != 3)
        throw InputError(path + " is not a picture for a network; expected unsigned samples of 8 or 16 bits");
    return picture;
}

void write_picture(const std::string& path, const cv::Mat& picture) {
    std::vector<uchar> encoded;
    if (!cv::imencode(std::filesystem::path(path).extension().string(), picture, encoded))
        throw WriteError("OpenCV cannot encode " + path);
    write_bytes(path, encoded.data(), encoded.size());
}

}  // namespace programs
