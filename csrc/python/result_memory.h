// Memory of results. The first touch of new memory costs a page fault every 4 KiB: for large batches of small patterns
// a fifth of the time that making them takes. So the memory of a large result is kept when its array ends, for the
// next.
#pragma once
#include <pthread.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

namespace pf {

class ResultMemory {
 public:
  static constexpr size_t alignment = 64;               // a cache line, and what TensorFlow asks for
  static constexpr size_t least = size_t(1) << 17;      // bytes of a block that is kept
  static constexpr size_t most_kept = size_t(1) << 27;  // bytes that are kept in all, 128 MiB
  static constexpr int patience = 16;                   // results until a block that none of them takes is freed
  static constexpr size_t huge = size_t(1) << 22;       // bytes from which on huge pages are asked for
  static constexpr size_t huge_alignment = size_t(1) << 21;

  struct Block {
    void* data;
    size_t size;
  };

  // The one of this process. It has no destructor, as arrays may end after all else. It is made when the module is
  // loaded, not at the first call: a child that is forked meanwhile would wait for the end of that call without end.
  static ResultMemory& instance() { return instance_; }

  // A block of at least so many bytes, at most a quarter larger; the one that came back last is the first to be taken,
  // as parts of it may be in cache.
  Block take(size_t bytes) {
    const size_t size = (bytes + alignment - 1) / alignment * alignment + (bytes == 0 ? alignment : 0);
    if (size >= least) {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (size_t i = kept_.size(); i-- > 0;)
        if (kept_[i].block.size >= size && kept_[i].block.size <= size + size / 4) {
          const Block block = kept_[i].block;
          kept_.erase(kept_.begin() + std::ptrdiff_t(i));
          bytes_kept_ -= block.size;
          pass_over();
          return block;
        }
      pass_over();
    }
    return allocate(size);
  }

  void give_back(Block block) noexcept {
    if (block.size < least || block.size > most_kept || !keeps) return std::free(block.data);
    const std::lock_guard<std::mutex> lock(mutex_);
    try {
      kept_.push_back({block, 0});
    } catch (const std::bad_alloc&) {
      return std::free(block.data);
    }
    bytes_kept_ += block.size;
    while (bytes_kept_ > most_kept) drop(0);
  }

  size_t bytes_kept() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return bytes_kept_;
  }

  // Frees all that is kept.
  void release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (!kept_.empty()) drop(kept_.size() - 1);
  }

 private:
  struct Kept {
    Block block;
    int passed_over;
  };
#if defined(__SANITIZE_ADDRESS__)
  static constexpr bool keeps = false;  // so that the sanitizer knows where a result ends
#else
  static constexpr bool keeps = true;
#endif

  ResultMemory() {
    // A child that is forked while another thread has the lock would wait for it without end.
    pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                   [] { instance().mutex_.unlock(); });
  }

  static Block allocate(size_t size) {
    size_t align = alignment;
#if defined(__linux__)
    if (size >= huge) align = huge_alignment;
#endif
    size = (size + align - 1) / align * align;
    void* data = std::aligned_alloc(align, size);
    if (!data) throw std::bad_alloc();
#if defined(__linux__)
    if (size >= huge) madvise(data, size, MADV_HUGEPAGE);  // a wish; without it there are only more faults
#endif
    return {data, size};
  }

  void pass_over() {
    for (size_t i = kept_.size(); i-- > 0;)
      if (++kept_[i].passed_over >= patience) drop(i);
  }

  void drop(size_t i) {
    bytes_kept_ -= kept_[i].block.size;
    std::free(kept_[i].block.data);
    kept_.erase(kept_.begin() + std::ptrdiff_t(i));
  }

  static ResultMemory& instance_;
  std::mutex mutex_;
  std::vector<Kept> kept_;  // the oldest first
  size_t bytes_kept_ = 0;
};

inline ResultMemory& ResultMemory::instance_ = *new ResultMemory;

}  // namespace pf
