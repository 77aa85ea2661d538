// Many workspaces in many threads at once, made, used and destroyed, at sizes that change: for the sanitizers.
// Prints the calls whose result was not that of the function without a workspace.

#include <cstdio>
#include <thread>
#include <vector>

#include "frame_jobs.h"

namespace {

const Sizes kSizes[] = {
    {300, 500, 360, 480, 90, 120, 11, false}, {360, 480, 360, 480, 45, 60, 19, false},
    {300, 500, 416, 416, 416, 416, 3, true},  {7, 5, 33, 21, 3, 4, 2, true},
    {400, 301, 90, 1200, 12, 150, 5, true},   {1, 1, 257, 400, 257, 400, 2, false},
};
constexpr size_t kJobs = sizeof kSizes / sizeof kSizes[0];

// Return how many results differ.
int wrong(uint32_t seed, int rounds) {
    int found = 0;
    std::vector<FrameJob> jobs;
    std::vector<Given> wanted;
    for (const Sizes& sizes : kSizes) jobs.emplace_back(sizes, seed);
    for (FrameJob& job : jobs)
        for (int end = 0; end < kEnds; ++end) wanted.push_back(job.alone(end, 2));
    for (int round = 0; round < rounds; ++round) {
        rtseg_workspace* workspace = nullptr;
        if (rtseg_workspace_create(1 + round % 5, &workspace) != RTSEG_OK) return 1;
        for (uint32_t i = 0; i < 12; ++i) {
            seed = seed * 1664525u + 1013904223u;
            const size_t job = (seed >> 8) % kJobs;
            const int end = static_cast<int>((seed >> 16) % kEnds);
            found += !(jobs[job].in(workspace, end) == wanted[job * kEnds + static_cast<size_t>(end)]);
        }
        rtseg_workspace_destroy(workspace);
    }
    return found;
}

}  // namespace

int main() {
    constexpr int kThreads = 6, kRounds = 8;
    std::vector<int> found(kThreads);
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&found, i] { found[static_cast<size_t>(i)] = wrong(static_cast<uint32_t>(i) + 1, kRounds); });
    for (std::thread& thread : threads) thread.join();
    int all = 0;
    for (int some : found) all += some;
    std::printf("%d\n", all);
    return 0;
}
