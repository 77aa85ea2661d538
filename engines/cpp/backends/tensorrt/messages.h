// TensorRT's own words: kept while it works, and put into the error where it refuses.
#ifndef RTSEG_TENSORRT_MESSAGES_H
#define RTSEG_TENSORRT_MESSAGES_H

#include <mutex>
#include <string>
#include <vector>

#include "errors.h"
#include "product.h"

namespace rtseg_internal {

// The first errors that TensorRT told while this lived. Safe to use from several threads.
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

// Give a line of TensorRT's to every record that lives. severity is its number: 0 internal error, 1 error, 2 warning...
void hear(int severity, const char* message) noexcept;

// Return the error to throw where the product refused: what, its words or what they mean, and what to try. `hint` is for
// words that are not known.
Error refusal(rtseg_status status, const std::string& what, const std::vector<std::string>& errors,
              const std::string& hint);

// Return the error for an engine that TensorRT for RTX says it cannot load, from the bits of its
// EngineInvalidityDiagnostics; refusal() by its words where there are none.
Error rtx_diagnosis(unsigned long long bits, const std::vector<std::string>& errors);

inline constexpr const char* kNoGpu = "nvidia-smi, which shows whether driver and GPU are present";

}  // namespace rtseg_internal

#endif
