#include "bench_table.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

namespace programs {

using nlohmann::ordered_json;

namespace {

struct Column {
    std::string heading;
    bool is_right;
    std::function<std::string(const ordered_json& row)> cell;
};

std::string text_of(const ordered_json& value) { return value.is_string() ? value.get<std::string>() : "-"; }

std::string first_word(const std::string& text) {
    const std::string word = text.substr(0, text.find(' '));
    return word.empty() ? "-" : word;
}

// Return a number times a factor, in a printf format; a dash for null.
std::string number(const ordered_json& value, const char* form, double factor = 1) {
    if (value.is_null()) return "-";
    char text[64];
    std::snprintf(text, sizeof text, form, value.get<double>() * factor);
    return text;
}

std::function<std::string(const ordered_json&)> figure(const char* name, const char* form, double factor = 1) {
    return [=](const ordered_json& row) {
        return row["summary"].is_null() ? "-" : number(row["summary"][name], form, factor);
    };
}

// Return the median, marked if it is imprecise, or the word for why there is none.
std::string median(const ordered_json& row) {
    if (row["summary"].is_null()) return text_of(row["word"]);
    return (row["status"] == "UNSTABLE" ? "~" : "") + number(row["summary"]["median_ms"], "%.2f");
}

bool differs(const ordered_json& rows, const char* name) {
    return std::any_of(rows.begin(), rows.end(), [&](const ordered_json& row) { return row[name] != rows[0][name]; });
}

bool took_turns(const ordered_json& rows) {
    return std::any_of(rows.begin(), rows.end(), [](const ordered_json& row) { return !row["vs_first"].is_null(); });
}

// Return the columns without those that are empty for these rows.
std::vector<Column> columns_of(const ordered_json& rows) {
    const auto field = [](const char* name) { return [=](const ordered_json& row) { return text_of(row[name]); }; };
    const auto word = [](const char* name) {
        return [=](const ordered_json& row) { return first_word(text_of(row[name])); };
    };
    std::vector<Column> columns = {{"network", false, field("network")}};
    if (differs(rows, "file")) columns.push_back({"file", false, field("file")});
    if (differs(rows, "resolution")) columns.push_back({"size", false, field("resolution")});
    columns.insert(columns.end(), {{"weights", false, word("weights")},
                                   {"boundary", false, field("boundary")},
                                   {"on", false, word("device")},
                                   {"runner", false, field("backend")},
                                   {"precision", false, field("precision")},
                                   {"median", true, median},
                                   {"p90", true, figure("p90_ms", "%.2f")},
                                   {"p99", true, figure("p99_ms", "%.2f")},
                                   {"FPS", true, figure("fps", "%.1f")},
                                   {"CoV", true, figure("cv", "%.1f%%", 100)},
                                   {"n", true, figure("count", "%.0f")}});
    if (took_turns(rows))
        columns.push_back({"vs first", true, [](const ordered_json& row) { return number(row["vs_first"], "%.2f"); }});
    return columns;
}

// Return one line of the table, each cell as wide as its column.
std::string line_of(const std::vector<Column>& columns, const std::vector<size_t>& widths,
                    const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < columns.size(); ++i) {
        const std::string blanks(widths[i] - cells[i].size(), ' ');
        line += (i == 0 ? "" : "  ") + (columns[i].is_right ? blanks + cells[i] : cells[i] + blanks);
    }
    return line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
}

std::string table_of(const ordered_json& rows) {
    const std::vector<Column> columns = columns_of(rows);
    std::vector<std::vector<std::string>> lines(1);
    for (const Column& column : columns) lines[0].push_back(column.heading);
    for (const ordered_json& row : rows) {
        lines.emplace_back();
        for (const Column& column : columns) lines.back().push_back(column.cell(row));
    }
    std::vector<size_t> widths(columns.size(), 0);
    for (const auto& line : lines)
        for (size_t i = 0; i < columns.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
    size_t whole = 2 * (columns.size() - 1);
    for (const size_t width : widths) whole += width;
    std::string text = line_of(columns, widths, lines[0]) + std::string(whole, '-') + "\n";
    for (size_t i = 1; i < lines.size(); ++i) {
        // Rows that were measured in turns are grouped by boundary, to be compared; other rows by network.
        const char* const group = took_turns(rows) ? "boundary" : "network";
        if (i > 1 && rows[i - 1][group] != rows[i - 2][group]) text += "\n";
        text += line_of(columns, widths, lines[i]);
    }
    return text;
}

std::string what_ran(const ordered_json& row) {
    return text_of(row["network"]) + ": " + text_of(row["precision"]) + ", weights " + text_of(row["weights"]) + "; " +
           text_of(row["backend"]) + " on " + text_of(row["device"]);
}

// Return what is unusual about a row, "" for a stable one.
std::string exception_of(const ordered_json& row) {
    const std::string named = text_of(row["network"]) + " " + text_of(row["resolution"]) + " " +
                              text_of(row["precision"]) + " with " + text_of(row["backend"]);
    if (row["summary"].is_null()) return text_of(row["word"]) + ": " + named + ", " + text_of(row["reason"]);
    if (row["status"] != "UNSTABLE") return "";
    return "~ UNSTABLE: " + named + ", " + text_of(row["boundary"]) + ": " + text_of(row["reason"]);
}

std::string machine_text(const ordered_json& environment) {
    std::string gpus, tools;
    for (const ordered_json& gpu : environment["gpus"]) gpus += (gpus.empty() ? "" : ", ") + text_of(gpu["name"]);
    for (const auto& tool : environment["tools"].items())
        tools += (tools.empty() ? "" : ", ") + tool.key() + " " + text_of(tool.value());
    const ordered_json& load = environment["load_average"];
    if (gpus.empty()) gpus = "no GPU";
    return "machine: " + text_of(environment["cpu"]["model"]) + ", " +
           number(environment["cpu"]["available_cores"], "%.0f") + " cores, " + gpus + "; " + tools + "; load " +
           (load.is_null() ? "-" : number(load[0], "%g")) + " before the run";
}

}  // namespace

std::string bench_text(const ordered_json& document) {
    const ordered_json& rows = document["rows"];
    std::string text = "latency of one image in ms, " + text_of(document["resolution"]) + ", C++\n\n";
    text += table_of(rows) + "\n";
    std::set<std::string> told;
    const auto tell = [&](const std::string& line) {
        if (!line.empty() && told.insert(line).second) text += line + "\n";
    };
    for (const auto& boundary : document["boundaries"].items()) {
        std::string name = boundary.key();
        name.resize(std::max<size_t>(name.size(), 8), ' ');
        tell(name + " " + text_of(boundary.value()));
    }
    if (took_turns(rows))
        tell("vs first: median over that of the first timed row of the same boundary; all of a boundary took turns");
    for (const ordered_json& row : rows)
        if (!row["summary"].is_null()) tell(what_ran(row));
    for (const ordered_json& row : rows) tell(exception_of(row));
    tell("picture: " + text_of(document["picture"]));
    tell(machine_text(document["environment"]));
    return text;
}

}  // namespace programs
