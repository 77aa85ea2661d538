// rtseg-segment: label pictures, folders of pictures and videos.

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <new>
#include <rtseg/rtseg.hpp>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "inputs.h"
#include "label_png.h"
#include "pictures.h"
#include "program.h"
#include "result_names.h"
#include "summary.h"
#include "video.h"
#include "video_container.h"
#include "written_file.h"

namespace programs {
namespace {

namespace fs = std::filesystem;

struct Request {
    std::string model, folder;
    std::vector<std::string> inputs;
    rtseg::ModelOptions options;
    bool as_json = false;
};

Request request_of(int argc, char** argv) {
    Request request;
    const Usage usage = {
        "rtseg-segment",
        "MODEL INPUTS... -o FOLDER",
        "Label pictures, folders of pictures and videos with an rtseg file.\n\n"
        "Writes NAME_labels.png, indexed, and NAME_overlay.png for each picture, for a\n"
        "video NAME_labels/ and NAME_overlay.mp4, and summary.json with the shares of the\n"
        "classes. An input that cannot be read is listed and makes the exit code 1; the\n"
        "others are labelled.",
        "rtseg-segment affnet.onnx pictures/ clip.mp4 -o labelled/",
        {{"-o", "FOLDER", "The folder to write.", [&](const std::string& value) { request.folder = value; }},
         {"--backend", "NAME", "openvino, onnxruntime, tensorrt or tensorrt-rtx.",
          [&](const std::string& value) { request.options.backend = value; }},
         {"--threads", "N", "Most CPU cores to use, 0 is all.  [0]",
          [&](const std::string& value) { request.options.threads = threads_of("--threads", value); }},
         {"--json", "", "Print the summary as JSON.", [&](const std::string&) { request.as_json = true; }}}};
    const std::vector<std::string> rest = parse(argc, argv, usage);
    if (rest.size() < 2) throw UsageError("a model and inputs are needed. Try: run rtseg-segment --help");
    if (request.folder.empty()) throw UsageError("-o is missing: the folder to write");
    request.model = rest.front();
    request.inputs.assign(rest.begin() + 1, rest.end());
    return request;
}

// Throw InputError if a result would overwrite an input.
void require_kept(const std::vector<std::string>& files, const std::vector<std::string>& names,
                  const std::string& folder) {
    std::set<std::string> results;
    const auto place = [](const fs::path& path) {
        std::error_code failure;
        const fs::path real = fs::weakly_canonical(path, failure);  // a loop of links has none
        return folded((failure ? fs::absolute(path).lexically_normal() : real).string());
    };
    for (size_t i = 0; i < files.size(); ++i)
        for (const char* kind : {"_labels", "_labels.png", "_overlay.png", "_overlay.mp4"})
            results.insert(place(fs::path(folder) / (names[i] + kind)));
    for (const std::string& file : files)
        if (results.count(place(file)) != 0 || results.count(place(fs::path(file).parent_path())) != 0)
            throw InputError("labelling would overwrite the input " + file + ". Try: choose another folder with -o");
}

// Labels pictures with a session, and draws the overlays.
class Labeller {
  public:
    explicit Labeller(const rtseg::Model& model) : model_(model), session_(model) {}

    // Return the label map of a picture, and blend the class colours over the picture.
    cv::Mat label(const cv::Mat& picture, cv::Mat& overlay) {
        cv::Mat labels(picture.size(), CV_8UC1);
        session_.run(rtseg::Image(picture), rtseg::LabelMap(labels));
        overlay = picture.clone();
        model_.draw_overlay(rtseg::Image(overlay), rtseg::LabelMap(labels), rtseg::Canvas(overlay));
        return labels;
    }

  private:
    rtseg::Model model_;
    rtseg::Session session_;
};

void label_picture(Labeller& labeller, const rtseg::Model& model, const std::string& file, const fs::path& folder,
                   const std::string& name, Summary& summary) {
    cv::Mat overlay;
    const cv::Mat labels = labeller.label(read_picture(file), overlay);
    Counts counts{};
    add_labels(labels, counts);
    const std::string labels_name = name + "_labels.png", overlay_name = name + "_overlay.png";
    write_picture((folder / overlay_name).string(), overlay);
    try {
        write_label_png((folder / labels_name).string(), labels, model);
    } catch (...) {
        std::error_code ignored;
        fs::remove(folder / overlay_name, ignored);  // neither is kept without the other
        throw;
    }
    summary.add(file, labels_name, overlay_name, 1, counts);
}

void label_video(Labeller& labeller, const rtseg::Model& model, const std::string& file, const fs::path& folder,
                 const std::string& name, Summary& summary) {
    Counts counts{};
    const std::string labels_name = name + "_labels", overlay_name = name + "_overlay.mp4";
    int frames = 0;
    write_folder_atomically((folder / labels_name).string(), [&](const std::string& frame_folder) {
        frames = rewrite_video(file, (folder / overlay_name).string(), [&](int index, const cv::Mat& frame) {
            cv::Mat overlay;
            require_uninterrupted();
            const cv::Mat labels = labeller.label(frame, overlay);
            add_labels(labels, counts);
            char frame_name[32];
            std::snprintf(frame_name, sizeof frame_name, "%06d.png", index);
            write_label_png((fs::path(frame_folder) / frame_name).string(), labels, model);
            return overlay;
        });
    });
    summary.add(file, labels_name, overlay_name, frames, counts);
    if (const std::string missing = missing_part(file); !missing.empty())
        summary.add_failure(file, file + " ends early: " + missing + " are there; the " + std::to_string(frames) +
                                      " frames in them are labelled");
}

int segment(int argc, char** argv) {
    const Request request = request_of(argc, argv);
    const Inputs meant = expand_inputs(request.inputs);
    const std::vector<std::string> names = result_names(meant.files);
    require_kept(meant.files, names, request.folder);
    const rtseg::Model model(request.model, request.options);
    Labeller labeller(model);
    Summary summary(request.model, model, meant.failures);
    for (size_t i = 0; i < meant.files.size(); ++i) {
        const std::string& file = meant.files[i];
        require_uninterrupted();
        try {
            (is_video(file) ? label_video : label_picture)(labeller, model, file, request.folder, names[i], summary);
        } catch (const InputError& error) {
            summary.add_failure(file, error.what());
        } catch (const std::bad_alloc&) {
            summary.add_failure(file, "there is not enough memory to label " + file + ". Try: use a smaller picture");
        } catch (const rtseg::Error& error) {
            if (error.status() != RTSEG_STATUS_INVALID_ARGUMENT && error.status() != RTSEG_STATUS_NO_MEMORY) throw;
            summary.add_failure(file, error.what());  // the picture's size
        }
    }
    const std::string text = summary.text();
    write_bytes((fs::path(request.folder) / "summary.json").string(), text.data(), text.size());
    if (request.as_json) std::cout << text;
    for (const Failure& failure : summary.failures()) std::cerr << "not labelled: " << failure.error << "\n";
    if (!summary.failures().empty()) return 1;
    if (!request.as_json) std::cout << "wrote " << request.folder << "\n";
    return 0;
}

}  // namespace
}  // namespace programs

int main(int argc, char** argv) {
    programs::note_interrupts();
    return programs::run("rtseg-segment", [&] { return programs::segment(argc, argv); });
}
