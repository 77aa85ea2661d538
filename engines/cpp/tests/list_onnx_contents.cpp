// list_onnx_contents FILE...: for each file a line of the types of its operators, and a line of the files that it takes
// values from, each after a tab.

#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "src/onnx_bytes.h"

namespace {

void print_line(const std::set<std::string>& words) {
    for (const std::string& word : words) std::printf("\t%s", word.c_str());
    std::printf("\n");
}

}  // namespace

int main(int count, char** arguments) {
    for (int i = 1; i < count; ++i) {
        std::ifstream stream(arguments[i], std::ios::binary);
        const std::vector<char> content{std::istreambuf_iterator<char>(stream), {}};
        print_line(rtseg_internal::operator_types(content));
        print_line(rtseg_internal::external_files(content));
    }
    return 0;
}
