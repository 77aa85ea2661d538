// The exception inside this library; the C functions turn it into a status and a message.
#ifndef RTSEG_SRC_ERRORS_H
#define RTSEG_SRC_ERRORS_H

#include <stdexcept>
#include <string>

#include "rtseg/rtseg.h"

namespace rtseg_internal {

// Return any text as one line of printable UTF-8: controls and line separators become spaces, invalid UTF-8 becomes
// question marks.
std::string one_line(const std::string& text);

// Return the line "WHAT; got GOT; expected EXPECTED. Try: HINT", without its empty parts.
std::string error_line(const std::string& what, const std::string& got, const std::string& expected,
                       const std::string& hint);

// Visible, so that errors of a backend keep their type across dlopen.
class RTSEG_EXPORT Error : public std::runtime_error {
  public:
    Error(rtseg_status status, const std::string& what, const std::string& got = "", const std::string& expected = "",
          const std::string& hint = "")
        : std::runtime_error(error_line(what, got, expected, hint)), status_(status) {}

    rtseg_status status() const noexcept { return status_; }

  private:
    rtseg_status status_;
};

}  // namespace rtseg_internal

#endif
