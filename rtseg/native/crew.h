// Threads that outlive a call: they sleep between pieces of work, and are joined at the end.
#ifndef RTSEG_CREW_H
#define RTSEG_CREW_H

#include "parallel.h"

#if !defined(RTSEG_NO_THREADS)

#include <condition_variable>
#include <mutex>

#if !defined(_WIN32)
#include <signal.h>
#endif

namespace rtseg {

#if !defined(_WIN32)

// While an object exists, new threads leave the program's signals to the program's own threads. A signal from a fault
// still reaches the thread at fault.
class SignalsBlocked {
  public:
    SignalsBlocked() {
        sigset_t all_but_faults;
        sigfillset(&all_but_faults);
        for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&all_but_faults, fault);
        pthread_sigmask(SIG_BLOCK, &all_but_faults, &before_);
    }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_;
};

#else

struct SignalsBlocked {
    SignalsBlocked() {}  // Windows sends none
};

#endif

class Crew {
  public:
    explicit Crew(int most_helpers) : most_helpers_(most_helpers) {}
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    ~Crew() {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            ending_ = true;
        }
        wake_.notify_all();
        for (std::thread& helper : helpers_) helper.join();
    }

    // Call body(task, worker) once for each task below `tasks`, by the caller, who is worker 0, and at most workers - 1
    // helpers. body must not throw. Starts the helpers that are not there yet; else it allocates nothing. Throws
    // std::bad_alloc before any task is begun.
    template <class Body>
    void run(int tasks, int workers, const Body& body) {
        run({&body, [](const void* of, int task, int worker) { (*static_cast<const Body*>(of))(task, worker); }, tasks},
            workers);
    }

  private:
    struct Work {
        const void* body;
        void (*call)(const void* body, int task, int worker);
        int tasks;
    };

    void run(const Work& work, int workers) {
        const int helpers = hire(workers - 1);
        next_.store(0, std::memory_order_relaxed);
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            work_ = &work;
            places_ = helpers;
            taken_ = 0;
        }
        for (int i = 0; i < helpers; ++i) wake_.notify_one();
        take_tasks(work, 0);
        std::unique_lock<std::mutex> lock(mutex_);
        work_ = nullptr;  // a helper that is still waking up is not waited for: there is nothing left
        left_.wait(lock, [this] { return busy_ == 0; });
    }

    void take_tasks(const Work& work, int worker) {
        for (int task = next_.fetch_add(1, std::memory_order_relaxed); task < work.tasks;
             task = next_.fetch_add(1, std::memory_order_relaxed))
            work.call(work.body, task, worker);
    }

    void help() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return ending_ || (work_ != nullptr && taken_ < places_); });
            if (ending_) return;
            const Work& work = *work_;
            const int worker = ++taken_;
            ++busy_;
            lock.unlock();
            take_tasks(work, worker);
            lock.lock();
            if (--busy_ == 0 && work_ == nullptr) left_.notify_one();
        }
    }

    // Return the number of helpers, at most `wanted`. A thread that the system refused is not requested again.
    int hire(int wanted) {
        wanted = std::min(wanted, most_helpers_);
        if (static_cast<size_t>(wanted) > helpers_.size()) {
            helpers_.reserve(static_cast<size_t>(wanted));
            const SignalsBlocked blocked;
            try {
                while (static_cast<size_t>(wanted) > helpers_.size()) helpers_.emplace_back([this] { help(); });
            } catch (const std::exception&) {  // std::thread's constructor
                most_helpers_ = static_cast<int>(helpers_.size());
            }
        }
        return std::min(wanted, most_helpers_);
    }

    int most_helpers_;
    std::vector<std::thread> helpers_;
    std::mutex mutex_;
    std::condition_variable wake_, left_;
    std::atomic<int> next_{0};  // the task to be taken; set before the work is offered under the lock
    // Under the lock: what is offered, for how many helpers, how many took it, and how many of those are still at it.
    const Work* work_ = nullptr;
    int places_ = 0, taken_ = 0, busy_ = 0;
    bool ending_ = false;
};

}  // namespace rtseg

#endif

#endif
