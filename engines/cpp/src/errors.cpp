#include "errors.h"

#include <cstddef>
#include <cstdint>

namespace rtseg_internal {
namespace {

struct Character {
    size_t bytes = 0;  // 0 where there is none
    uint32_t code = 0;
};

// Return the UTF-8 character at a position. An overlong form, a surrogate, or a code beyond Unicode is not a character.
Character character_at(const std::string& text, size_t place) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[place + i]); };
    const uint32_t first = byte(0);
    if (first < 0x80) return {1, first};
    const size_t bytes = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (bytes == 0 || bytes > text.size() - place) return {};
    uint32_t code = first & (0xffU >> (bytes + 1));
    for (size_t i = 1; i < bytes; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return {};
        code = code << 6 | (byte(i) & 0x3fU);
    }
    const bool is_short = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
    return is_short || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff ? Character{} : Character{bytes, code};
}

// Whether a terminal or a line reader treats it as a control: C0, C1, and the two Unicode separators.
bool is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029;
}

}  // namespace

std::string one_line(const std::string& text) {
    std::string line;
    for (size_t place = 0; place < text.size();) {
        const Character found = character_at(text, place);
        if (found.bytes == 0) {
            line += '?';
        } else if (is_control(found.code)) {
            line += ' ';
        } else {
            line.append(text, place, found.bytes);
        }
        place += found.bytes == 0 ? 1 : found.bytes;
    }
    return line;
}

std::string error_line(const std::string& what, const std::string& got, const std::string& expected,
                       const std::string& hint) {
    std::string text = what;
    if (!got.empty()) text += "; got " + got;
    if (!expected.empty()) text += "; expected " + expected;
    if (!hint.empty()) text += ". Try: " + hint;
    return one_line(text);
}

}  // namespace rtseg_internal
