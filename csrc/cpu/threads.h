// Patterns over threads. Threads live for one call: there is nothing that a fork could break or that competes with the
// threads of another library, and starting them takes little time compared with a batch of patterns.
#pragma once
#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

#include "float_control.h"

namespace pf {

// Calls work(thread, first, last) until all of [0, n) is done, on up to `threads` threads, one of them the caller. Each
// thread has the default floating-point control register meanwhile.
template <class Work>
void for_each_block(int64_t n, int64_t block, int threads, const Work& work) {
  std::atomic<int64_t> next{0};
  const auto run = [&](int thread) {
    with_default_float_control([&] {
      for (;;) {
        const int64_t first = next.fetch_add(block, std::memory_order_relaxed);
        if (first >= n) return;
        work(thread, first, first + block < n ? first + block : n);
      }
    });
  };
  std::vector<std::thread> others;
  try {
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
  } catch (const std::system_error&) {
    // The system grants no more threads; those that run do all the work.
  }
  run(0);
  for (auto& other : others) other.join();
}

}  // namespace pf
