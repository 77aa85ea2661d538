#include "written_file.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <system_error>

#include "program.h"

namespace programs {

namespace fs = std::filesystem;

namespace {

// Return an unused, unpredictable hidden name beside a path, and make its folder.
std::string part_of(const std::string& path) {
    static std::random_device random;
    const fs::path target(path);
    std::error_code failure;
    if (!target.parent_path().empty()) fs::create_directories(target.parent_path(), failure);
    if (failure) throw WriteError("cannot write " + path + ": " + failure.message());
    char number[17];
    std::snprintf(number, sizeof number, "%08x%08x", random(), random());
    const std::string name = "." + target.stem().string().substr(0, 30) + "." + number + ".part";
    return (target.parent_path() / (name + target.extension().string())).string();
}

bool is_frame(const fs::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    const bool digits = name.size() >= 10 && name.find_first_not_of("0123456789") == name.size() - 4;
    return entry.is_regular_file() && !entry.is_symlink() && (name[0] == '.' || (digits && entry.path().extension() == ".png"));
}

// Throw InputError if a path exists and is not a folder of frames.
void require_frames_alone(const std::string& path) {
    const fs::file_status status = fs::symlink_status(path);
    if (status.type() == fs::file_type::not_found) return;
    if (status.type() != fs::file_type::directory) throw InputError("cannot write " + path + ": it is not a folder");
    for (const fs::directory_entry& entry : fs::directory_iterator(path))
        if (!is_frame(entry))
            throw InputError("cannot write " + path + ": it holds " + entry.path().filename().string() +
                             ", which is not a frame");
}

// Call a function with a new path. An error of the file system becomes WriteError, and the path is removed.
void finish(const std::string& path, const std::string& part, const std::function<void()>& body) {
    std::error_code ignored;
    try {
        body();
    } catch (const fs::filesystem_error& error) {
        fs::remove_all(part, ignored);
        if (error.code() == std::errc::filename_too_long)  // which does not affect the other results
            throw InputError("cannot write " + path + ": the name is too long. Try: shorten the name of the input");
        throw WriteError("cannot write " + path + ": " + error.code().message());
    } catch (...) {
        fs::remove_all(part, ignored);
        throw;
    }
}

}  // namespace

void write_atomically(const std::string& path, const std::function<void(const std::string& part)>& write) {
    const std::string part = part_of(path);
    finish(path, part, [&] {
        if (fs::is_directory(path)) throw InputError("cannot write " + path + ": it is a folder");
        write(part);
        fs::rename(part, path);
    });
}

void write_folder_atomically(const std::string& path, const std::function<void(const std::string& part)>& fill) {
    const std::string part = part_of(path);
    finish(path, part, [&] {
        require_frames_alone(path);
        fs::create_directory(part);
        fill(part);
        require_frames_alone(path);
        fs::remove_all(path);
        fs::rename(part, path);
    });
}

void write_bytes(const std::string& path, const void* bytes, size_t count) {
    write_atomically(path, [&](const std::string& part) {
        std::ofstream file(part, std::ios::binary);
        file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(count));
        file.close();
        if (!file) throw WriteError("cannot write " + path + ". Try: choose another folder, or free some space");
    });
}

}  // namespace programs
