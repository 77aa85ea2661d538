// Reads libFuzzer's bytes as numbers, one after the other.
#ifndef RTSEG_FUZZ_FUZZ_INPUT_H
#define RTSEG_FUZZ_FUZZ_INPUT_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

// End the run with a report unless a condition holds.
#define REQUIRE(condition)    \
    do {                      \
        if (!(condition)) {   \
            std::abort();     \
        }                     \
    } while (false)

class FuzzInput {
  public:
    FuzzInput(const uint8_t* data, size_t size) : data_(data), left_(size) {}

    bool empty() const { return left_ == 0; }

    // Return any number of that type; missing bytes count as zeros.
    template <class Number>
    Number any() {
        Number number{};
        const size_t bytes = left_ < sizeof number ? left_ : sizeof number;
        if (bytes > 0) std::memcpy(&number, data_, bytes);
        data_ += bytes;
        left_ -= bytes;
        return number;
    }

    // Return a number from least to most.
    int within(int least, int most) {
        return least + static_cast<int>(any<uint32_t>() % (static_cast<uint32_t>(most) - static_cast<uint32_t>(least) + 1));
    }

    bool flag() { return (any<uint8_t>() & 1) != 0; }

  private:
    const uint8_t* data_;
    size_t left_;
};

#endif
