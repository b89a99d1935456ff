// Patterns over threads. The caller is one of them; the others are helpers that wait for the next call, because
// starting a thread takes as long as several patterns. Waking one takes as long, too, so they stay awake for a moment
// in which the next call may come. They end when nothing was asked of them for a second. A child that was forked starts
// helpers of its own, and at the end of the process they may still be waiting.
#pragma once
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "float_control.h"

namespace pf {

class Helpers {
 public:
  // Those of this process: never deleted, since helpers may wait on them until it ends.
  static Helpers& of_this_process() {
    static std::atomic<Helpers*> current{nullptr};
    Helpers* found = current.load(std::memory_order_acquire);
    const pid_t process = getpid();
    while (!found || found->process_ != process) {
      Helpers* const made = new Helpers(process);
      if (current.compare_exchange_strong(found, made, std::memory_order_acq_rel)) return *made;
      delete made;  // another thread was quicker
    }
    return *found;
  }

  // Calls run(0) here, and run(1) to run(threads - 1) on helpers, as far as they come before run(0) has ended. Returns
  // when all have ended; then throws what the first of them threw.
  template <class Run>
  void share(int threads, const Run& run) {
    Job job(threads, &run, [](const void* given, int thread) { (*static_cast<const Run*>(given))(thread); });
    post(job);
    job.call_one(*this, 0);
    finish(job);
  }

 private:
  struct Job {
    Job(int most, const void* what, void (*how)(const void*, int)) : threads(most), run(what), call(how) {}
    const int threads;
    const void* const run;
    void (*const call)(const void*, int);
    int next = 1;                 // number of the next helper
    std::atomic<int> running{0};  // helpers at work; written under the lock
    std::exception_ptr error;
    std::condition_variable ended;

    void call_one(Helpers& helpers, int thread) noexcept {
      try {
        call(run, thread);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(helpers.mutex_);
        if (!error) error = std::current_exception();
      }
    }
  };

  static constexpr std::chrono::seconds patience{1};
  static constexpr std::chrono::microseconds awake{100};  // the time of a dozen small patterns

  explicit Helpers(pid_t process) : process_(process) {}

  void post(Job& job) {
    int missing = 0, needed = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      jobs_.push_back(&job);
      wanted_ += job.threads - 1;
      needed = std::min({wanted_ - (idle_ - asleep_), asleep_, job.threads - 1});
      missing = wanted_ - idle_ - starting_;
      if (missing > 0) starting_ += missing;
    }
    for (int k = 0; k < needed; ++k) asked_.notify_one();
    if (missing > 0) start(missing);
  }

  // The system may grant fewer threads; those that run do all the work.
  void start(int missing) {
    sigset_t all, before;  // signals are for the program's own threads, faults excepted
    sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigdelset(&all, fault);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int started = 0;
    try {
      for (; started < missing; ++started) std::thread([this] { help(); }).detach();
    } catch (const std::exception&) {  // also std::bad_alloc: the job is posted, and must be finished
      const std::lock_guard<std::mutex> lock(mutex_);
      starting_ -= missing - started;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void help() {
    std::unique_lock<std::mutex> lock(mutex_);
    --starting_;
    for (;;) {
      ++idle_;
      if (jobs_.empty() && idle_ - asleep_ <= other_cpus_) {
        lock.unlock();
        stay_awake([this] { return wanted_ > 0; });
        lock.lock();
      }
      ++asleep_;
      const bool is_asked = asked_.wait_for(lock, patience, [this] { return !jobs_.empty(); });
      --asleep_;
      --idle_;
      if (!is_asked) return;
      Job& job = *jobs_.front();
      const int thread = job.next++;
      ++job.running;
      --wanted_;
      if (job.next == job.threads) jobs_.pop_front();
      lock.unlock();
      job.call_one(*this, thread);
      lock.lock();
      if (--job.running == 0) job.ended.notify_one();  // under the lock: after it the job may be gone
    }
  }

  void finish(Job& job) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (auto one = jobs_.begin(); one != jobs_.end(); ++one)
        if (*one == &job) {
          wanted_ -= job.threads - job.next;
          jobs_.erase(one);
          break;
        }
    }
    if (other_cpus_ > 0) stay_awake([&job] { return job.running == 0; });
    std::unique_lock<std::mutex> lock(mutex_);
    job.ended.wait(lock, [&] { return job.running == 0; });
    if (job.error) std::rethrow_exception(job.error);
  }

  // Until is_over(), but not for long. There are never more awake than CPUs.
  template <class IsOver>
  static void stay_awake(const IsOver& is_over) {
    constexpr int pauses = 16;  // between two looks at the clock
    const auto end = std::chrono::steady_clock::now() + awake;
    for (int k = 0; !is_over(); ++k) {
      if (k % pauses == pauses - 1 && std::chrono::steady_clock::now() > end) return;
      pause();
    }
  }

  static void pause() {
#if defined(__SSE2__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  const pid_t process_;
  const int other_cpus_ = int(std::thread::hardware_concurrency()) - 1;  // -1: unknown
  std::mutex mutex_;
  std::condition_variable asked_;
  std::deque<Job*> jobs_;                     // with helpers that are still wanted
  std::atomic<int> wanted_{0};                // helpers of all jobs; written under the lock
  int idle_ = 0, asleep_ = 0, starting_ = 0;  // those asleep are idle, too
};

// Calls work(thread, first, last) until all of [0, n) is done, on up to `threads` threads, one of them the caller. Each
// thread has the default floating-point control register meanwhile.
template <class Work>
void for_each_block(int64_t n, int64_t block, int threads, const Work& work) {
  struct alignas(64) {  // a cache line that nothing else is in
    std::atomic<int64_t> next{0};
  } turn;
  const auto run = [&](int thread) {
    with_default_float_control([&] {
      for (;;) {
        const int64_t first = turn.next.fetch_add(block, std::memory_order_relaxed);
        if (first >= n) return;
        work(thread, first, first + block < n ? first + block : n);
      }
    });
  };
  if (threads > 1)
    Helpers::of_this_process().share(threads, run);
  else
    run(0);
}

}  // namespace pf
