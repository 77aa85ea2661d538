// Keeps track of open handles, so that a closed one is refused instead of followed.
#ifndef RTSEG_SRC_HANDLES_H
#define RTSEG_SRC_HANDLES_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>

#include "errors.h"

namespace rtseg_internal {

// Return a number that no handle had before and that is not the address of any object: an odd one. An address would be
// reused, and a closed handle with it.
inline uintptr_t new_handle() {
    static std::atomic<uintptr_t> last{1};
    return last.fetch_add(2, std::memory_order_relaxed) + 2;
}

// A handle is a number in the form of a pointer, and is never dereferenced. Looking one up does not allocate.
template <class Handle, class Object>
class Handles {
  public:
    explicit Handles(const char* what) : what_(what) {}

    Handle* add(std::shared_ptr<Object> object) {
        const std::unique_lock<std::shared_mutex> lock(guard_);
        Handle* const handle = reinterpret_cast<Handle*>(new_handle());
        open_.emplace(handle, std::move(object));
        return handle;
    }

    // Throws Error for a handle that is not open.
    std::shared_ptr<Object> get(const Handle* handle) const {
        const std::shared_lock<std::shared_mutex> lock(guard_);
        return found(handle)->second;
    }

    // Remove a handle and return its object. Throws Error for a handle that is not open.
    std::shared_ptr<Object> remove(const Handle* handle) {
        const std::unique_lock<std::shared_mutex> lock(guard_);
        const auto entry = found(handle);
        std::shared_ptr<Object> object = entry->second;
        open_.erase(entry);
        return object;
    }

  private:
    auto found(const Handle* handle) const {
        if (handle == nullptr) throw Error(RTSEG_STATUS_INVALID_ARGUMENT, std::string("the ") + what_ + " is NULL");
        const auto entry = open_.find(handle);
        if (entry == open_.end())
            throw Error(RTSEG_STATUS_INVALID_ARGUMENT, std::string("the ") + what_ + " is not open", "",
                        "one that was opened and not closed");
        return entry;
    }

    const char* what_;
    mutable std::shared_mutex guard_;
    std::unordered_map<const Handle*, std::shared_ptr<Object>> open_;
};

}  // namespace rtseg_internal

#endif
