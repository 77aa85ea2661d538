#include "program.h"

#include <signal.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>

namespace programs {
namespace {

volatile std::sig_atomic_t is_interrupted = 0;

void note_interrupt(int) { is_interrupted = 1; }

void print_help(const Usage& usage) {
    std::cout << "Usage: " << usage.program << " " << usage.arguments << "\n\n" << usage.what << "\n\nOptions:\n";
    for (const Option& option : usage.options) {
        std::string left = "  " + option.name + (option.value.empty() ? "" : " " + option.value);
        left.resize(std::max<size_t>(left.size() + 2, 22), ' ');
        std::cout << left << option.help << "\n";
    }
    std::cout << "  --help              Show this message and exit.\n\nExample: " << usage.example << "\n";
}

const Option& option_of(const Usage& usage, const std::string& name) {
    for (const Option& option : usage.options)
        if (option.name == name) return option;
    throw UsageError("no such option: " + name + ". Try: run " + usage.program + " --help");
}

}  // namespace

std::vector<std::string> parse(int argc, char** argv, const Usage& usage) {
    std::vector<std::string> rest;
    bool only_arguments = false;
    for (int i = 1; i < argc; ++i) {
        std::string word = argv[i];
        if (only_arguments || word.size() < 2 || word[0] != '-') {
            rest.push_back(word);
            continue;
        }
        if (word == "--") {
            only_arguments = true;
            continue;
        }
        if (word == "--help") {
            print_help(usage);
            std::exit(0);
        }
        const size_t equals = word.compare(0, 2, "--") == 0 ? word.find('=') : std::string::npos;
        const Option& option = option_of(usage, word.substr(0, equals));
        if (option.value.empty()) {
            if (equals != std::string::npos) throw UsageError(option.name + " takes no value");
            option.take("");
        } else if (equals != std::string::npos) {
            option.take(word.substr(equals + 1));
        } else if (++i < argc) {
            option.take(argv[i]);
        } else {
            throw UsageError(option.name + " needs a value: " + option.value);
        }
    }
    return rest;
}

int threads_of(const std::string& option, const std::string& text) {
    const bool digits = !text.empty() && text.size() < 7 && text.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || std::stoi(text) > 256)  // a backend would start them all
        throw UsageError(option + " is not a number of threads; got '" + text + "'; expected 0 to 256");
    return std::stoi(text);
}

void note_interrupts() {
    std::signal(SIGXFSZ, SIG_IGN);  // so that exceeding the limit on file sizes is an error of writing
    struct sigaction noting = {};
    noting.sa_handler = note_interrupt;
    noting.sa_flags = SA_RESETHAND | SA_RESTART;
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
        struct sigaction before = {};
        if (sigaction(number, nullptr, &before) == 0 && before.sa_handler == SIG_DFL) sigaction(number, &noting, nullptr);
    }
}

void require_uninterrupted() {
    if (is_interrupted) throw Interrupted();
}

int run(const std::string& program, const std::function<int()>& body) {
    try {
        const int code = body();
        std::cout.flush();
        if (std::cout) return code;
        std::cerr << program << ": error: not all of the output could be written\n";
        return 1;
    } catch (const Interrupted&) {
        std::cerr << program << ": interrupted\n";
        return 130;
    } catch (const UsageError& error) {
        std::cerr << program << ": error: " << error.what() << "\n";
        return 2;
    } catch (const std::bad_alloc&) {
        std::cerr << program << ": error: there is not enough memory\n";
    } catch (const std::exception& error) {
        std::cerr << program << ": error: " << error.what() << "\n";
    }
    return 1;
}

}  // namespace programs
