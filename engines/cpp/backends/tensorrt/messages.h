// Records TensorRT's messages, and puts them into the error if it refuses.
#ifndef RTSEG_TENSORRT_MESSAGES_H
#define RTSEG_TENSORRT_MESSAGES_H

#include <mutex>
#include <string>
#include <vector>

#include "errors.h"
#include "product.h"

namespace rtseg_internal {

// The first errors that TensorRT logged during this object's lifetime. Safe to use from several threads.
class MessageRecord {
  public:
    MessageRecord();
    ~MessageRecord();
    MessageRecord(const MessageRecord&) = delete;
    MessageRecord& operator=(const MessageRecord&) = delete;

    std::vector<std::string> errors() const;
    void clear();

  private:
    friend void hear(int severity, const char* message) noexcept;

    mutable std::mutex changing_;
    std::vector<std::string> errors_;
};

// Add a line of TensorRT's log to every living record. severity is its number: 0 internal error, 1 error, 2 warning...
void hear(int severity, const char* message) noexcept;

// Return the error to throw if the product refused: what, its messages or their meaning, and a hint. `hint` is used if
// no message is known.
Error refusal(rtseg_status status, const std::string& what, const std::vector<std::string>& errors,
              const std::string& hint);

// Return the error for an engine that TensorRT for RTX cannot load, from the bits of its EngineInvalidityDiagnostics;
// without any bit, the result of refusal().
Error rtx_diagnosis(unsigned long long bits, const std::vector<std::string>& errors);

inline constexpr const char* kNoGpu = "run nvidia-smi, which shows whether driver and GPU are present";

}  // namespace rtseg_internal

#endif
