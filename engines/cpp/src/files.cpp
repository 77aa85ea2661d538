#include "files.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "errors.h"

namespace rtseg_internal {
namespace {

Error unreadable(const std::string& path, const std::string& reason) {
    return Error(RTSEG_STATUS_FILE, "cannot read " + path + ": " + reason);
}

// std::strerror is not thread-safe.
std::string reason_of(int code) { return std::generic_category().message(code); }

// An open file.
class Descriptor {
  public:
    // The file may have been replaced by a pipe since it was checked: opening must not wait for it.
    explicit Descriptor(const std::string& path) : number_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
        if (number_ < 0) throw unreadable(path, reason_of(errno));
    }
    ~Descriptor() { close(number_); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    int number() const { return number_; }

  private:
    int number_;
};

void require_regular(const struct stat& found, const std::string& path) {
    if (!S_ISREG(found.st_mode)) throw unreadable(path, "it is not a regular file");
}

}  // namespace

std::vector<char> read_file(const std::string& path, size_t most_bytes) {
    if (!exists(path)) throw unreadable(path, "no such file");
    struct stat found {};
    if (stat(path.c_str(), &found) != 0) throw unreadable(path, reason_of(errno));
    require_regular(found, path);  // opening a device may do something
    const Descriptor file(path);
    if (fstat(file.number(), &found) != 0) throw unreadable(path, reason_of(errno));
    require_regular(found, path);
    // The size is a first guess: that of a file in /proc is 0, and a file may change while it is read.
    std::vector<char> content;
    const auto require_size = [&](size_t bytes) {
        if (bytes > most_bytes)
            throw Error(RTSEG_STATUS_FILE, path + " is too large", std::to_string(bytes) + " bytes",
                        std::to_string(most_bytes) + " or less");
    };
    require_size(static_cast<size_t>(found.st_size));
    content.resize(static_cast<size_t>(found.st_size) + 1);  // one more, to see the end
    for (size_t length = 0;;) {
        if (length == content.size()) {
            require_size(length);
            content.resize(2 * length + 4096);
        }
        const ssize_t got = read(file.number(), content.data() + length, content.size() - length);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw unreadable(path, reason_of(errno));
        length += static_cast<size_t>(got);
        require_size(length);
        if (got == 0) {
            content.resize(length);
            return content;
        }
    }
}

bool exists(const std::string& path) {
    struct stat found {};
    if (stat(path.c_str(), &found) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    throw unreadable(path, reason_of(errno));
}

std::string sha256_of(const std::vector<char>& content) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    if (EVP_Digest(content.data(), content.size(), digest, &length, EVP_sha256(), nullptr) != 1)
        throw Error(RTSEG_STATUS_INTERNAL, "OpenSSL computes no SHA-256");
    static const char kDigits[] = "0123456789abcdef";
    std::string text;
    for (unsigned int i = 0; i < length; ++i) {
        text += kDigits[digest[i] >> 4];
        text += kDigits[digest[i] & 15];
    }
    return text;
}

}  // namespace rtseg_internal
