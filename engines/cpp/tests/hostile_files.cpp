// Checks that what lies where a model or its manifest should lie is refused in one line, whatever it is.
//
//     hostile_files FOLDER BACKEND

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "test_images.h"

namespace {

namespace fs = std::filesystem;

// A folder of its own with a model and its manifest, gone at the end.
struct Place {
    fs::path folder, model, manifest;

    explicit Place(const fs::path& golden) {
        std::string name = (fs::temp_directory_path() / "rtseg-XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        folder = name;
        model = folder / "model.onnx";
        manifest = folder / "model.onnx.json";
        fs::copy(golden / "fp32-logits.onnx", model);
        fs::copy(golden / "fp32-logits.onnx.json", manifest);
    }
    ~Place() { fs::remove_all(folder); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
};

// Whether a text is one line of printable UTF-8, as far as tests make others.
bool is_line(const std::string& text) {
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte < 0x20 || byte == 0x7f || byte == 0xff) return false;
        if (byte == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0) return false;   // C1
        if (byte == 0xed && static_cast<unsigned char>(text[i + 1]) >= 0xa0) return false;  // a surrogate
        if (byte == 0xe2 && text.compare(i, 3, "\xe2\x80\xa8") == 0) return false;          // a separator of lines
        if (byte == 0xc3 && (i + 1 == text.size() || (static_cast<unsigned char>(text[i + 1]) & 0xc0) != 0x80)) return false;
    }
    return !text.empty();
}

void require_refused(const std::string& path, rtseg_status status, const std::string& words) {
    rtseg_model* model = nullptr;
    const rtseg_status got = rtseg_model_open(path.c_str(), nullptr, &model);
    const std::string message = rtseg_last_message();
    if (got != status || message.find(words) == std::string::npos)
        std::fprintf(stderr, "got %s: %s\nexpected %s: %s\n", rtseg_status_name(got), message.c_str(),
                     rtseg_status_name(status), words.c_str());
    REQUIRE(got == status && model == nullptr);
    REQUIRE(message.find(words) != std::string::npos);
    REQUIRE(is_line(message));
}

void what_is_no_file_is_refused_at_once(const fs::path& golden) {
    for (const bool is_manifest : {false, true}) {
        Place place(golden);
        const fs::path& at = is_manifest ? place.manifest : place.model;
        fs::remove(at);
        REQUIRE(mkfifo(at.c_str(), 0600) == 0);  // nobody writes to it
        require_refused(place.model, RTSEG_STATUS_FILE, "it is not a regular file");
        for (const char* device : {"/dev/zero", "/dev/null", "/dev/tty", "/proc/self/fd"}) {
            fs::remove(at);
            fs::create_symlink(device, at);
            require_refused(place.model, RTSEG_STATUS_FILE, "it is not a regular file");
        }
        fs::remove(at);
        fs::create_symlink(at, at);
        require_refused(place.model, RTSEG_STATUS_FILE, "Too many levels of symbolic links");
    }
}

// Their size is said to be 0.
void files_of_proc_are_read_as_what_they_hold(const fs::path& golden) {
    Place place(golden);
    fs::remove(place.manifest);
    fs::create_symlink("/proc/self/status", place.manifest);
    require_refused(place.model, RTSEG_STATUS_MANIFEST, "while parsing value - invalid literal; last read: 'N'");
    fs::remove(place.manifest);
    fs::create_symlink("/proc/self/mem", place.manifest);
    require_refused(place.model, RTSEG_STATUS_FILE, "Input/output error");
}

void what_is_too_large_is_refused_before_it_is_read(const fs::path& golden) {
    Place place(golden);
    fs::resize_file(place.manifest, uintmax_t{1} << 30);  // holes, which take no disk
    require_refused(place.model, RTSEG_STATUS_FILE, "is too large; got 1073741824 bytes; expected 16777216 or less");
    fs::remove(place.manifest);
    fs::copy(golden / "fp32-logits.onnx.json", place.manifest);
    fs::resize_file(place.model, uintmax_t{1} << 40);
    require_refused(place.model, RTSEG_STATUS_FILE, "is too large; got 1099511627776 bytes; expected 2147483648 or less");
}

void names_cannot_break_a_message(const fs::path& golden) {
    for (const char* name : {"new\nline", "\x1b[31mred", "\xc2\x9b" "31mred", "\xe2\x80\xa8separated", "\xff", "\xed\xa0\x80"}) {
        require_refused(std::string("/nowhere/") + name, RTSEG_STATUS_FILE, "/nowhere/");
        Place place(golden);
        const fs::path other = place.folder / name;
        fs::rename(place.model, other);
        require_refused(other, RTSEG_STATUS_MANIFEST, "has no manifest beside it");
    }
    for (size_t shift = 0; shift < 2; ++shift) {  // one of them ends within a letter
        std::string path = "/nowhere/" + std::string(shift, 'x');
        for (int i = 0; i < 1200; ++i) path += i % 100 == 99 ? "/" : "\xc3\xa9";
        require_refused(path, RTSEG_STATUS_FILE, "...");
        REQUIRE(std::strlen(rtseg_last_message()) > 1000);
    }
    require_refused("/" + std::string(300, 'x'), RTSEG_STATUS_FILE, "File name too long");
}

void a_model_that_is_replaced_while_it_is_open_goes_on(const fs::path& golden, const std::string& backend) {
    Place place(golden);
    rtseg::ModelOptions options;
    options.backend = backend;
    options.threads = 1;
    const rtseg::Model model(place.model.string(), options);
    TestFrame before(40, 50, 1), after(40, 50, 1);
    rtseg::Session(model).run(before.image(), before.label_map());
    std::ofstream(place.model, std::ios::trunc) << "something else";
    fs::remove(place.manifest);
    rtseg::Session(model).run(after.image(), after.label_map());
    REQUIRE(before.labels == after.labels);
    require_refused(place.model, RTSEG_STATUS_MANIFEST, "has no manifest");
}

void links_are_followed(const fs::path& golden, const std::string& backend) {
    Place place(golden);
    fs::create_symlink(place.model, place.folder / "link.onnx");
    fs::create_symlink(place.manifest, place.folder / "link.onnx.json");
    rtseg::ModelOptions options;
    options.backend = backend;
    rtseg::Model model((place.folder / "link.onnx").string(), options);
    REQUIRE(model.classes() > 1);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    what_is_no_file_is_refused_at_once(argv[1]);
    files_of_proc_are_read_as_what_they_hold(argv[1]);
    what_is_too_large_is_refused_before_it_is_read(argv[1]);
    names_cannot_break_a_message(argv[1]);
    a_model_that_is_replaced_while_it_is_open_goes_on(argv[1], argv[2]);
    links_are_followed(argv[1], argv[2]);
    return 0;
}
