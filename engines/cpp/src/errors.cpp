#include "errors.h"

#include <cstddef>

namespace rtseg_internal {
namespace {

// Return how many bytes the UTF-8 character at a place has; 0 where there is none.
size_t character_at(const std::string& text, size_t place) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[place + i]); };
    const unsigned char first = byte(0);
    const size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (place + length > text.size()) return 0;
    for (size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    return length;
}

}  // namespace

std::string error_line(const std::string& what, const std::string& got, const std::string& expected,
                       const std::string& hint) {
    std::string text = what;
    if (!got.empty()) text += ": got " + got;
    if (!expected.empty()) text += (got.empty() ? ": expected " : ", expected ") + expected;
    if (!hint.empty()) text += "; try: " + hint;
    std::string line;
    for (size_t place = 0; place < text.size();) {
        const size_t length = character_at(text, place);
        if (length == 0) {
            line += '?';
            ++place;
        } else if (length == 1 && (static_cast<unsigned char>(text[place]) < ' ' || text[place] == 0x7f)) {
            line += ' ';
            ++place;
        } else {
            line += text.substr(place, length);
            place += length;
        }
    }
    return line;
}

}  // namespace rtseg_internal
