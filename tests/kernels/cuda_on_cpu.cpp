// The kernels of csrc/cuda/kernels.cu on the processor. A call runs one block, phase by phase, its threads one after
// another in the order that the test asks for. Memory that a GPU leaves undefined is filled with NaN, and what lies
// behind the shared memory is watched.
#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "../../csrc/portable.h"
#undef PF_UNROLL  // what must be unrolled on a GPU need not be unrolled here
#define PF_UNROLL
#include "../../csrc/cuda/pattern.h"

namespace {

struct Dimension {
  unsigned x;
} blockIdx, gridDim;

enum Order { forward, reverse, shuffled };
Order order;
unsigned launched_threads, phases;
std::vector<unsigned char> shared_memory;
std::string fault;

constexpr unsigned char undefined = 0xff;  // four of them are a NaN
constexpr size_t guard = 256;

}  // namespace

#define PF_KERNEL(threads, blocks_at_once) extern "C" void
#define PF_SHARED_BY_BLOCK static
#define PF_DYNAMIC_SHARED(name) Pair* name = reinterpret_cast<Pair*>(shared_memory.data())

namespace pf {
inline namespace PF_ISA {

template <class R, int threads>
struct Block {
  std::vector<R> registers{size_t(threads)};

  Block() {
    std::memset(static_cast<void*>(registers.data()), undefined, sizeof(R) * threads);
    if (launched_threads != threads)
      fault = std::to_string(launched_threads) + " threads launched, expected " + std::to_string(threads);
  }
  template <class F>
  void phase(const F& f) {
    std::vector<int> turns(static_cast<size_t>(threads));
    for (int t = 0; t < threads; ++t) turns[size_t(t)] = t;
    if (order == reverse) std::reverse(turns.begin(), turns.end());
    if (order == shuffled) std::shuffle(turns.begin(), turns.end(), std::mt19937(blockIdx.x * 1000 + phases));
    for (const int thread : turns) f(thread, registers[size_t(thread)]);
    ++phases;
  }
};

}  // namespace PF_ISA
}  // namespace pf

#include "../../csrc/cuda/kernels.cu"

extern "C" void begin_block(unsigned block, unsigned blocks, unsigned threads, size_t shared_bytes, int how) {
  blockIdx.x = block;
  gridDim.x = blocks;
  launched_threads = threads;
  order = Order(how);
  phases = 0;
  fault.clear();
  shared_memory.assign(shared_bytes + guard, undefined);
}

// Empty, or what went wrong in the block.
extern "C" const char* end_block() {
  const auto behind = shared_memory.end() - guard;
  if (std::any_of(behind, shared_memory.end(), [](unsigned char byte) { return byte != undefined; }))
    fault = "written beyond the shared memory of " + std::to_string(shared_memory.size() - guard) + " bytes";
  return fault.c_str();
}
