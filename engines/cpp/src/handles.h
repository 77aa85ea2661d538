// Which handles are open, so that a closed one is refused and not followed.
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

// Return a number that no handle had before and no object of a program has as its address: an odd one. An address would
// come back, and with it a handle that was closed.
inline uintptr_t new_handle() {
    static std::atomic<uintptr_t> last{1};
    return last.fetch_add(2, std::memory_order_relaxed) + 2;
}

// A handle is a number that looks like a pointer and is never followed. Looking one up allocates nothing.
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

    // Forget a handle and return what it stood for. Throws Error for one that is not open.
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
