// Fork and join for one call: no pool, no state, nothing left running.
#ifndef RTSEG_PARALLEL_H
#define RTSEG_PARALLEL_H

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

namespace rtseg {

#if defined(__GLIBCXX__) && !defined(_GLIBCXX_HAS_GTHREADS)

// A libstdc++ without threads, as that of mingw's win32 threads before GCC 13: the caller's thread does all.
#define RTSEG_NO_THREADS

inline int processors() { return 1; }

inline int worker_count(int, int, double) { return 1; }

template <class Body>
void parallel_for(int tasks, int, const Body& body) {
    for (int task = 0; task < tasks; ++task) body(task, 0);
}

#else

inline int processors() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

// The number of threads of a call: the requested number (0: one per processor), at most the number of
// tasks, and one if the work is too small to pay for starting more.
inline int worker_count(int threads, int tasks, double work_items) {
    constexpr double kItemsPerThread = 32 * 1024;
    const int wanted = threads > 0 ? threads : processors();
    const double useful = std::min(work_items / kItemsPerThread, static_cast<double>(tasks));
    return std::max(1, static_cast<int>(std::min<double>(wanted, useful)));
}

// Call body(task, worker) once for each task below `tasks`; worker < workers tells the scratch to use.
// body must not throw. If the system refuses a thread, the others do its work.
template <class Body>
void parallel_for(int tasks, int workers, const Body& body) {
    std::atomic<int> next{0};
    const auto work = [&](int worker) {
        for (int task = next.fetch_add(1); task < tasks; task = next.fetch_add(1)) body(task, worker);
    };
    std::vector<std::thread> others;
    others.reserve(static_cast<size_t>(workers - 1));
    try {
        for (int worker = 1; worker < workers; ++worker) others.emplace_back(work, worker);
    } catch (const std::exception&) {  // std::thread's constructor
    }
    work(0);
    for (std::thread& other : others) other.join();
}

#endif

}  // namespace rtseg

#endif
