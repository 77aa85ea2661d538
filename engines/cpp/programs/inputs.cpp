#include "inputs.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>

#include "program.h"

namespace programs {
namespace {

namespace fs = std::filesystem;

const char* const kPictures[] = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp"};
const char* const kVideos[] = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"};

template <size_t count>
bool ends_in_one_of(std::string name, const char* const (&suffixes)[count]) {
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char letter) { return std::tolower(letter); });
    return std::any_of(std::begin(suffixes), std::end(suffixes), [&](const std::string& suffix) {
        return name.size() >= suffix.size() && name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
    });
}

std::vector<std::string> files_of(const std::string& path) {
    std::error_code failure;
    const fs::file_status status = fs::status(path, failure);
    if (status.type() == fs::file_type::not_found) throw InputError("no such file or folder: " + path);
    if (status.type() != fs::file_type::directory) return {path};
    std::vector<std::string> names;
    fs::directory_iterator entries(path, failure);
    if (failure) throw InputError("cannot read " + path + ": " + failure.message());
    for (const fs::directory_entry& entry : entries) {
        const std::string name = entry.path().filename().string();
        if (name[0] != '.' && (ends_in_one_of(name, kPictures) || ends_in_one_of(name, kVideos))) names.push_back(name);
    }
    if (names.empty())
        throw InputError("no image or video in " + path + "; expected files ending in .png, .jpg, .jpeg, ...");
    std::sort(names.begin(), names.end());
    for (std::string& name : names) name = (fs::path(path) / name).string();
    return names;
}

}  // namespace

bool is_video(const std::string& path) { return ends_in_one_of(path, kVideos); }

Inputs expand_inputs(const std::vector<std::string>& paths) {
    Inputs found;
    std::set<std::string> seen;
    for (const std::string& path : paths) {
        try {
            for (const std::string& file : files_of(path))
                if (seen.insert(fs::absolute(file).lexically_normal().string()).second) found.files.push_back(file);
        } catch (const InputError& error) {
            found.failures.push_back({path, error.what()});
        }
    }
    if (found.files.empty() && !found.failures.empty()) throw InputError(found.failures.front().error);
    return found;
}

}  // namespace programs
