// Which handles are open, so that a closed one is refused and not followed.
#ifndef RTSEG_SRC_HANDLES_H
#define RTSEG_SRC_HANDLES_H

#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>

#include "errors.h"

namespace rtseg_internal {

// A handle is the address of what it stands for, which the table owns. Looking one up allocates nothing.
template <class Handle, class Object>
class Handles {
  public:
    explicit Handles(const char* what) : what_(what) {}

    Handle* add(std::shared_ptr<Object> object) {
        const std::unique_lock<std::shared_mutex> lock(guard_);
        Handle* const handle = static_cast<Handle*>(const_cast<void*>(static_cast<const void*>(object.get())));
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
