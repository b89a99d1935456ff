// csrc/cpu/threads.h and csrc/python/result_memory.h from many threads at once, for test_threads_and_memory.py, which
// builds this program with and without sanitizers. It says what is wrong and ends with 1, or says nothing.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

#include "../../csrc/cpu/threads.h"
#include "../../csrc/python/result_memory.h"

namespace {

thread_local int allocations_left = -1;  // of this thread until one fails; -1: none does

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::_Exit(1);
}

// Runs work(k) in `count` threads at once.
template <class Work>
void at_once(int count, const Work& work) {
  std::vector<std::thread> threads;
  for (int k = 0; k < count; ++k) threads.emplace_back([&work, k] { work(k); });
  for (std::thread& thread : threads) thread.join();
}

// --- threads.h ---

// One call; each number must be met once, and what threads have written must be there when it ends. The item `faulty`
// throws.
void call(int64_t n, int64_t block, int threads, int64_t faulty = -1) {
  std::vector<int> met(static_cast<size_t>(n), 0), busy(static_cast<size_t>(threads), 0);
  bool is_thrown = false;
  try {
    pf::for_each_block(n, block, threads, [&](int thread, int64_t first, int64_t last) {
      require(thread >= 0 && thread < threads, "a thread has a number out of range");
      require(++busy[size_t(thread)] == 1, "two threads have one number");
      for (int64_t i = first; i < last; ++i) {
        if (i == faulty) {
          --busy[size_t(thread)];
          throw std::runtime_error("faulty");
        }
        ++met[size_t(i)];
      }
      --busy[size_t(thread)];
    });
  } catch (const std::runtime_error&) {
    is_thrown = true;
  }
  require(is_thrown == (faulty >= 0 && faulty < n), "an exception is lost, or another call's");
  if (!is_thrown)
    for (const int times : met) require(times == 1, "an item was left out, or done twice");
}

void many_callers() {
  at_once(6, [](int k) {
    for (int round = 0; round < 150; ++round) call(1 + (round * 7 + k) % 90, 1 + round % 3, 1 + (round + k) % 6);
  });
}

void exceptions() {
  at_once(4, [](int k) {
    for (int round = 0; round < 60; ++round) call(40, 1, 3, round % 3 ? (round * 11 + k) % 40 : -1);
  });
}

// A call from the work of a call, which may be a helper's.
void calls_in_calls() {
  for (int round = 0; round < 20; ++round) pf::for_each_block(6, 1, 3, [](int, int64_t, int64_t) { call(20, 1, 3); });
}

// Whichever allocation fails: a call does all of its work, or none and throws, and the next one is not harmed.
void too_little_memory() {
  int threads = 8;  // more each time, so that helpers have to be started
  for (int left = 0; left < 12; ++left) {
    for (int turn = 0; turn < 3; ++turn) {
      int64_t done = 0;
      std::mutex mutex;
      bool is_thrown = false;
      allocations_left = left;
      try {
        pf::for_each_block(200, 1, ++threads, [&](int, int64_t, int64_t) {
          const std::lock_guard<std::mutex> lock(mutex);
          ++done;
        });
      } catch (const std::bad_alloc&) {
        is_thrown = true;
      }
      allocations_left = -1;
      require(done == (is_thrown ? 0 : 200), "a call without memory has done a part of its work");
    }
    call(50, 1, 4);
  }
}

// Runs work() in a child and waits for its end.
template <class Work>
void in_child(const Work& work) {
  const pid_t child = fork();
  if (child == 0) {
    work();
    std::_Exit(0);
  }
  int status = -1;
  require(child > 0 && waitpid(child, &status, 0) == child, "no child could be made");
  require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child failed");
}

void call_and_take() {
  call(30, 1, 3);
  auto& memory = pf::ResultMemory::instance();
  memory.give_back(memory.take(memory.least));
}

// A child has helpers and memory of its own, whatever threads of its parent do when it is made.
void forks(bool others_work, int children) {
  std::atomic<bool> goes_on{others_work};
  std::vector<std::thread> others;
  if (others_work)
    for (int k = 0; k < 3; ++k)
      others.emplace_back([&goes_on] {
        while (goes_on) call_and_take();
      });
  for (int k = 0; k < children; ++k) {
    call(30, 1, 3);
    in_child([] {
      for (int round = 0; round < 5; ++round) call_and_take();
    });
  }
  goes_on = false;
  for (std::thread& other : others) other.join();
}

// The same while other threads use both for the first time.
void forks_at_first_use() {
  for (int round = 0; round < 100; ++round) in_child([] { forks(true, 1); });
}

// --- result_memory.h ---

using Memory = pf::ResultMemory;

bool is_filled(const Memory::Block& block, unsigned char mark) {
  const auto* bytes = static_cast<const unsigned char*>(block.data);
  for (size_t i = 0; i < block.size; i += 4096)
    if (bytes[i] != mark) return false;
  return bytes[block.size - 1] == mark;
}

// Blocks are filled by one thread, looked at and given back by the next.
void handed_over() {
  constexpr int count = 4, rounds = 60;
  struct Place {
    std::mutex mutex;
    std::vector<std::pair<Memory::Block, unsigned char>> blocks;
  } places[count];
  at_once(count, [&](int k) {
    Memory& memory = Memory::instance();
    for (int round = 0; round < rounds; ++round) {
      const size_t bytes = Memory::least / 2 * size_t(1 + (round + k) % 5) + size_t(round);
      const Memory::Block block = memory.take(bytes);
      require(block.size >= bytes, "a block is too small");
      require(reinterpret_cast<uintptr_t>(block.data) % Memory::alignment == 0, "a block is not aligned");
      const auto mark = static_cast<unsigned char>(1 + k + round * count);
      std::memset(block.data, mark, block.size);
      std::pair<Memory::Block, unsigned char> taken{{nullptr, 0}, 0};
      {
        Place& mine = places[k];
        const std::lock_guard<std::mutex> lock(mine.mutex);
        mine.blocks.emplace_back(block, mark);
      }
      {
        Place& next = places[(k + 1) % count];
        const std::lock_guard<std::mutex> lock(next.mutex);
        if (!next.blocks.empty()) {
          taken = next.blocks.back();
          next.blocks.pop_back();
        }
      }
      if (!taken.first.data) continue;
      require(is_filled(taken.first, taken.second), "a block has two owners");
      memory.give_back(taken.first);
      require(memory.bytes_kept() <= Memory::most_kept, "more is kept than the limit");
    }
  });
  for (Place& place : places)
    for (const auto& [block, mark] : place.blocks) {
      require(is_filled(block, mark), "a block has two owners");
      Memory::instance().give_back(block);
    }
  Memory::instance().release();
  require(Memory::instance().bytes_kept() == 0, "something is left after release");
}

void limits() {
  Memory& memory = Memory::instance();
  Memory::Block one = memory.take(Memory::least);
  memory.give_back(one);
  const bool keeps = memory.bytes_kept() > 0;  // not with the address sanitizer
  memory.release();
  std::vector<Memory::Block> blocks;
  for (int k = 0; k < 12; ++k) blocks.push_back(memory.take(Memory::most_kept / 8));
  for (const Memory::Block& block : blocks) {
    memory.give_back(block);
    require(memory.bytes_kept() <= Memory::most_kept, "more is kept than the limit");
  }
  require(memory.bytes_kept() == (keeps ? Memory::most_kept : 0), "less is kept than the limit");
  one = memory.take(Memory::most_kept / 8);
  require(!keeps || one.data == blocks.back().data, "the block that came back last is not the first to be taken");
  memory.give_back(one);
  memory.give_back(memory.take(Memory::most_kept + 1));
  memory.give_back(memory.take(Memory::least - 1 - Memory::alignment));
  memory.give_back(memory.take(0));
  for (int k = 0; k < Memory::patience; ++k) {
    one = memory.take(Memory::least);
    memory.give_back(one);
  }
  require(memory.bytes_kept() == (keeps ? one.size : 0), "blocks stay that nobody takes");
  memory.release();
}

}  // namespace

// --- memory that runs out ---

__attribute__((noinline)) void* operator new(size_t size) {
  if (allocations_left == 0) throw std::bad_alloc();
  if (allocations_left > 0) --allocations_left;
  if (void* const made = std::malloc(size ? size : 1)) return made;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* given) noexcept { std::free(given); }
__attribute__((noinline)) void operator delete(void* given, size_t) noexcept { std::free(given); }

int main(int count, char** names) {
  const struct {
    const char* name;
    void (*check)();
  } checks[] = {
      {"many_callers", many_callers},
      {"exceptions", exceptions},
      {"calls_in_calls", calls_in_calls},
      {"too_little_memory", too_little_memory},
      {"forks", [] { forks(false, 10); }},
      {"forks_at_work", [] { forks(true, 10); }},
      {"forks_at_first_use", forks_at_first_use},
      {"handed_over", handed_over},
      {"limits", limits},
  };
  for (const auto& one : checks)
    if (count == 2 && std::strcmp(names[1], one.name) == 0) {
      one.check();
      return 0;
    }
  return 2;
}
