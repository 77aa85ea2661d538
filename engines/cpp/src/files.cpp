#include "files.h"

#include <openssl/evp.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>

#include "errors.h"

namespace rtseg_internal {

std::vector<char> read_file(const std::string& path) {
    std::error_code failure;
    const std::filesystem::file_status status = std::filesystem::status(path, failure);
    if (status.type() == std::filesystem::file_type::not_found)
        throw Error(RTSEG_STATUS_FILE, "cannot read " + path + ": no such file");
    if (failure) throw Error(RTSEG_STATUS_FILE, "cannot read " + path + ": " + failure.message());
    if (status.type() != std::filesystem::file_type::regular)  // a pipe would be waited for
        throw Error(RTSEG_STATUS_FILE, "cannot read " + path + ": it is no regular file");
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    const std::streamoff length = file ? static_cast<std::streamoff>(file.tellg()) : -1;
    if (length < 0) throw Error(RTSEG_STATUS_FILE, "cannot read " + path + ": " + std::strerror(errno));
    std::vector<char> content(static_cast<size_t>(length));
    file.seekg(0);
    if (length > 0 && !file.read(content.data(), length))
        throw Error(RTSEG_STATUS_FILE, "cannot read " + path + " to its end");
    return content;
}

bool exists(const std::string& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
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
