#include "result_names.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "program.h"

namespace programs {
namespace {

namespace fs = std::filesystem;

// Return the possible names of a file's results, the shortest first.
std::vector<std::string> forms_of(const std::string& path, const std::string& number) {
    std::vector<std::string> parts;
    for (const fs::path& part : fs::path(path).relative_path()) parts.push_back(part.string());
    std::vector<std::string> forms = {fs::path(path).stem().string()};
    std::string longer;
    for (size_t i = parts.size(); i-- > 0;) {
        longer = longer.empty() ? parts[i] : parts[i] + "-" + longer;
        forms.push_back(longer + number);
    }
    return forms;
}

}  // namespace

std::string folded(std::string name) {
    for (char& letter : name)
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    return name;
}

std::vector<std::string> result_names(const std::vector<std::string>& paths) {
    std::vector<std::string> whole;
    for (const std::string& path : paths) whole.push_back(fs::absolute(path).lexically_normal().string());
    std::vector<std::string> sorted = whole;
    std::sort(sorted.begin(), sorted.end());
    std::map<std::string, std::vector<std::string>> places;
    for (const std::string& place : sorted) places[folded(place)].push_back(place);
    std::vector<std::vector<std::string>> forms;
    for (const std::string& place : whole) {
        const std::vector<std::string>& same = places[folded(place)];
        const auto before = std::find(same.begin(), same.end(), place) - same.begin();
        forms.push_back(forms_of(place, before == 0 ? "" : "-" + std::to_string(before + 1)));
    }
    std::vector<size_t> levels(paths.size(), 0);
    while (true) {
        std::map<std::string, int> number;
        for (size_t i = 0; i < paths.size(); ++i) ++number[folded(forms[i][levels[i]])];
        bool is_unique = true, is_stuck = true;
        std::vector<size_t> next = levels;
        for (size_t i = 0; i < paths.size(); ++i) {
            if (number[folded(forms[i][levels[i]])] < 2) continue;
            is_unique = false;
            if (levels[i] + 1 < forms[i].size()) {
                ++next[i];
                is_stuck = false;
            }
        }
        if (is_unique) break;
        if (is_stuck) throw InputError("several inputs have the same name. Try: label them in separate runs");
        levels = next;
    }
    std::vector<std::string> names;
    for (size_t i = 0; i < paths.size(); ++i) names.push_back(forms[i][levels[i]]);
    return names;
}

}  // namespace programs
