// The threads and the scratch memory for the calls of a frame. It belongs to one call, or its owner keeps it between
// calls.
#ifndef RTSEG_WORKSPACE_H
#define RTSEG_WORKSPACE_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "bilinear.h"
#include "crew.h"
#include "parallel.h"
#include "rtseg_core.h"

#if !defined(_WIN32)
#include <unistd.h>
#endif

namespace rtseg {

enum class Lifetime { kOneCall, kKept };

// Make room for at least count values. Memory is kept, so a call with earlier sizes allocates nothing.
template <class Value>
void make_room(std::vector<Value>& values, size_t count) {
    if (values.size() < count) values.resize(count);
}

// The workers: the caller, and threads that are started for one call or kept.
class Workers {
  public:
    Workers(int threads, Lifetime lifetime) : most_(threads > 0 ? threads : processors()), lifetime_(lifetime) {}
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    int count(int tasks, double work_items) const { return worker_count(most_, tasks, work_items); }

#if defined(RTSEG_NO_THREADS)

    template <class Body>
    void run(int tasks, int workers, const Body& body) {
        parallel_for(tasks, workers, body);
    }

#else

    ~Workers() { leave_crew_of_parent(); }

    // Call body(task, worker) once for each task below `tasks`, with worker < workers. body must not throw.
    template <class Body>
    void run(int tasks, int workers, const Body& body) {
        if (workers == 1 || lifetime_ == Lifetime::kOneCall) {
            parallel_for(tasks, workers, body);
            return;
        }
        leave_crew_of_parent();
        if (crew_ == nullptr) {
            crew_ = std::make_unique<Crew>(most_ - 1);
            process_ = process();
        }
        crew_->run(tasks, workers, body);
    }

#endif

  private:
    const int most_;
    const Lifetime lifetime_;

#if !defined(RTSEG_NO_THREADS)

#if defined(_WIN32)
    static int process() { return 0; }  // there is no fork
#else
    static pid_t process() { return getpid(); }
#endif

    // After fork() the threads are the parent's alone, and a lock may be held by one of them forever: the crew can
    // be neither used nor destroyed here.
    void leave_crew_of_parent() {
        if (crew_ != nullptr && process_ != process()) static_cast<void>(crew_.release());
    }

    std::unique_ptr<Crew> crew_;
    decltype(process()) process_ = 0;

#endif
};

// An image row resized to the tensor's width, channels separate: 3 x width. y is its number in the current image.
struct WideRow {
    int y;
    std::vector<float> values;
};

struct TensorScratch {
    // The two widened rows around the output row at hand.
    struct Rows {
        WideRow row[2];
    };

    Axis rows, columns;
    std::vector<Rows> of_worker;
};

// A run of output samples, along one axis, that lie between the same two logits.
struct Cell {
    static constexpr size_t kLongest = 64;  // longer ones are cut, so that few large ones still spread over threads

    size_t near, far;   // equal at the edge
    size_t begin, end;  // at most kLongest apart
};

// One row of the logits, clamped, with its argmax. y is its number in the current logits.
struct LogitRow {
    static constexpr size_t kNone = static_cast<size_t>(-1);

    size_t y;
    std::vector<float> values;  // kept classes x padded row
    std::vector<float> best;
    std::vector<int32_t> winner;
    std::vector<uint8_t> labels;
};

struct LabelScratch {
    // The two rows of logits around the output rows at hand.
    struct Rows {
        LogitRow row[2];
    };

    Axis rows, columns;
    std::vector<Cell> row_cells, column_cells;
    std::vector<Rows> of_worker;
};

}  // namespace rtseg

struct rtseg_workspace {
    rtseg_workspace(int threads, rtseg::Lifetime lifetime) : workers(threads, lifetime) {}

    rtseg::Workers workers;
    rtseg::TensorScratch tensor;
    rtseg::LabelScratch label;
};

#endif
