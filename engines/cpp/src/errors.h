// What this library throws inside itself; the C functions turn it into a status and a message.
#ifndef RTSEG_SRC_ERRORS_H
#define RTSEG_SRC_ERRORS_H

#include <stdexcept>
#include <string>

#include "rtseg/rtseg.h"

namespace rtseg_internal {

// Visible, so that a backend's errors are known by their type on this side of dlopen.
class RTSEG_EXPORT Error : public std::runtime_error {
  public:
    // The message is one line: what; got ..., expected ...; try: ...
    Error(rtseg_status status, const std::string& what, const std::string& got = "", const std::string& expected = "",
          const std::string& hint = "")
        : std::runtime_error(line(what, got, expected, hint)), status_(status) {}

    rtseg_status status() const noexcept { return status_; }

  private:
    static std::string line(const std::string& what, const std::string& got, const std::string& expected,
                            const std::string& hint) {
        std::string text = what;
        if (!got.empty()) text += ": got " + got;
        if (!expected.empty()) text += (got.empty() ? ": expected " : ", expected ") + expected;
        if (!hint.empty()) text += "; try: " + hint;
        for (char& letter : text)
            if (letter == '\n' || letter == '\r') letter = ' ';
        return text;
    }

    rtseg_status status_;
};

}  // namespace rtseg_internal

#endif
