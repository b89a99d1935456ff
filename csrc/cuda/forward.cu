// The stages on a GPU; mirrors ../cpu/forward.cpp. Blocks of threads walk the phases of forward.h; who launches a
// kernel checks the arguments and brings all memory. Arrays are C-contiguous, complex numbers are pairs of floats,
// positions are [x, y]. The grid has one axis, along which the blocks of a pattern stand next to each other.
#include "forward.h"

#if defined(__CUDACC__)
#define PF_KERNEL(threads, blocks_at_once) extern "C" __global__ void __launch_bounds__(threads, blocks_at_once)
#define PF_SHARED_BY_BLOCK __shared__
#define PF_DYNAMIC_SHARED(name) extern __shared__ Pair name[]

namespace pf {
inline namespace PF_ISA {

// A block as each of its threads sees it.
template <class R, int threads>
struct Block {
  R mine;
  template <class F>
  PF_DEVICE void phase(const F& f) {
    f(int(untraced(threadIdx.x)), mine);
    __syncthreads();
  }
};

}  // namespace PF_ISA
}  // namespace pf
#endif

namespace pf {
inline namespace PF_ISA {

constexpr int panel = 16;          // columns or rows of a split pattern that a block has
constexpr int some_threads = 128;  // of a block whose threads each have a line or pixels of their own

using Fused32 = Lines<32, 32, 128, 8, 4>;
using Fused64 = Lines<64, 64, 256, 8, 8>;
using Fused96 = Lines<96, 96, 384, 8, 4, 3>;
using Fused128 = Lines<128, 128, 1024, 8, 4, 4>;
using Split96 = Lines<96, panel, 64, 8, 4, 3>;
using Split128 = Lines<128, panel, 128, 8, 4, 4>;
using Split192 = Lines<192, panel, 128, 8, 8, 3>;
using Split256 = Lines<256, panel, 256, 8, 8, 4>;
using Split384 = Lines<384, panel, 256, 8, 4, 4, 3>;
using Split512 = Lines<512, panel, 512, 8, 8, 8>;

struct NoRegisters {};

// The blocks of a pattern share its items, a thread has one at a time: calls f(pattern, item).
template <class F>
PF_DEVICE void for_items(int items, const F& f) {
  const int blocks = (items + some_threads - 1) / some_threads;
  const int64_t pattern = blockIdx.x / blocks;
  const int first = int(blockIdx.x % blocks) * some_threads;
  Block<NoRegisters, some_threads> block;
  block.phase([&](int thread, NoRegisters&) {
    if (first + thread < items) f(pattern, first + thread);
  });
}

// Tables of an axis, as plans.cpp makes them: `passes` are (radix, span), up to span 1. Where there is a chirp, of
// length `chirp_length`, they are its transform's, in doubles.
struct Tables {
  int n, chirp_length;
  const int* passes;
  const void* twiddle;
  const int* at;
  const double *chirp, *filter;

  template <class T>
  PF_DEVICE void make(FftPlan<T>& plan, int length) const {
    plan.n = length;
    plan.n_passes = 0;
    do {
      plan.radix[plan.n_passes] = passes[2 * plan.n_passes];
      plan.span[plan.n_passes] = passes[2 * plan.n_passes + 1];
    } while (plan.span[plan.n_passes++] > 1);
    plan.twiddle = static_cast<const T*>(twiddle);
    plan.at = at;
  }

  PF_DEVICE void make(AxisPlan& axis) const {
    axis.n = n;
    axis.mixed_radix = chirp_length == 0;
    if (axis.mixed_radix) {
      make(axis.fft, n);
    } else {
      make(axis.chirp.fft, chirp_length);
      axis.chirp.chirp = chirp;
      axis.chirp.filter = filter;
    }
  }
};

// Workspace of the chirps: the elements of a line, all threads of the grid beside each other.
struct Workspace {
  double *re, *im;
  ptrdiff_t step;
};
PF_DEVICE Workspace workspace(double* memory, int chirp_length, int64_t thread_of_grid) {
  const ptrdiff_t step = ptrdiff_t(gridDim.x) * some_threads;
  return {memory + thread_of_grid, memory + 2 * chirp_length * step + thread_of_grid, step};
}

}  // namespace PF_ISA
}  // namespace pf

using namespace pf;

// --- fused: grid = patterns ---

#define PF_FUSED(side, blocks_at_once)                                                                            \
  PF_KERNEL(Fused##side::threads, blocks_at_once)                                                                 \
  fused_##side(const float* object, int64_t rows, int64_t columns, const double* positions, const Pair* probe,    \
               int modes, const Pair* twiddle, const int* pixel_of_position, int output, void* out, double scale, \
               uint64_t seed, uint64_t first_index) {                                                             \
    PF_DYNAMIC_SHARED(shared);                                                                                    \
    Block<Sums<Fused##side>, Fused##side::threads> block;                                                         \
    fused<Fused##side>(block, {{object, rows, columns}, positions}, blockIdx.x, probe, modes, twiddle,            \
                       pixel_of_position, {output, out, scale, seed, first_index}, shared);                       \
  }

// The more blocks at once, the fewer registers for each; from architecture 10.0 on, four of 64 would spill.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define PF_BLOCKS_64 3
#else
#define PF_BLOCKS_64 4
#endif

PF_FUSED(32, 8)
PF_FUSED(64, PF_BLOCKS_64)
PF_FUSED(96, 2)
PF_FUSED(128, 1)

// --- split: grid = patterns * modes * panels, then patterns * panels ---

#define PF_SPLIT(side, blocks_at_once)                                                                                \
  PF_KERNEL(Split##side::threads, blocks_at_once)                                                                     \
  columns_##side(const float* object, int64_t rows, int64_t columns, const double* positions, const Pair* probe,      \
                 int modes, const Pair* twiddle, Pair* field) {                                                       \
    PF_DYNAMIC_SHARED(shared);                                                                                        \
    constexpr unsigned panels = side / panel;                                                                         \
    const int plane = int(blockIdx.x / panels % unsigned(modes));                                                     \
    Block<NoRegisters, Split##side::threads> block;                                                                   \
    split_columns<Split##side>(block, {{object, rows, columns}, positions}, blockIdx.x / panels / unsigned(modes),    \
                               plane, int(blockIdx.x % panels) * panel, probe, modes, twiddle, field, shared);        \
  }                                                                                                                   \
  PF_KERNEL(Split##side::threads, blocks_at_once)                                                                     \
  rows_##side(const Pair* field, int modes, const Pair* twiddle, const int* pixel_of_position, int output, void* out, \
              double scale, uint64_t seed, uint64_t first_index) {                                                    \
    PF_DYNAMIC_SHARED(shared);                                                                                        \
    constexpr unsigned panels = side / panel;                                                                         \
    Block<Sums<Split##side>, Split##side::threads> block;                                                             \
    split_rows<Split##side>(block, blockIdx.x / panels, int(blockIdx.x % panels) * panel, modes, twiddle,             \
                            pixel_of_position, field, {output, out, scale, seed, first_index}, shared);               \
  }

PF_SPLIT(96, 8)
PF_SPLIT(128, 8)
PF_SPLIT(192, 8)
PF_SPLIT(256, 4)
PF_SPLIT(384, 4)
PF_SPLIT(512, 2)

// --- any: grid = patterns * blocks for the lines of one, or for its pairs of pixels; one mode at a time ---

// The planes are (patterns, n, n); the workspace has 4 * chirp_length doubles for each thread of the grid.
PF_KERNEL(some_threads, 2)
any_columns(const float* object, int64_t rows, int64_t columns, const double* positions, const Pair* probe, int n,
            int chirp_length, const int* passes, const void* twiddle, const int* at, const double* chirp,
            const double* filter, float* re, float* im, float* turned_re, float* turned_im, double* memory) {
  PF_SHARED_BY_BLOCK AxisPlan axis;
  Block<NoRegisters, some_threads> block;
  block.phase([&](int thread, NoRegisters&) {
    if (thread == 0) Tables{n, chirp_length, passes, twiddle, at, chirp, filter}.make(axis);
  });
  for_items(n, [&](int64_t pattern, int column) {
    const Workspace work = workspace(memory, chirp_length, pattern * n + column);
    const int64_t plane = pattern * n * n;
    any_column({{object, rows, columns}, positions}, pattern, probe, column, axis, re + plane, im + plane,
               turned_re + plane, turned_im + plane, work.re, work.im, work.step);
  });
}

PF_KERNEL(some_threads, 2)
any_rows(int n, int chirp_length, const int* passes, const void* twiddle, const int* at, const double* chirp,
         const double* filter, float* turned_re, float* turned_im, double* memory, float* sum, int mode) {
  PF_SHARED_BY_BLOCK AxisPlan axis;
  Block<NoRegisters, some_threads> block;
  block.phase([&](int thread, NoRegisters&) {
    if (thread == 0) Tables{n, chirp_length, passes, twiddle, at, chirp, filter}.make(axis);
  });
  for_items(n, [&](int64_t pattern, int row) {
    const Workspace work = workspace(memory, chirp_length, pattern * n + row);
    const int64_t plane = pattern * n * n;
    any_row(row, axis, turned_re + plane, turned_im + plane, work.re, work.im, work.step, sum + plane, mode == 0);
  });
}

PF_KERNEL(some_threads, 4)
any_pixels(int n, const int* position_of_pixel, const float* sum, int output, void* out, double scale, uint64_t seed,
           uint64_t first_index) {
  for_items(pairs_of(n * n), [&](int64_t pattern, int pair) {
    any_detect(n, pair_pixel(pair), position_of_pixel, sum + pattern * n * n, {output, out, scale, seed, first_index},
               pattern);
  });
}

// --- stages on their own: grid = patterns * blocks for the pixels, or the pairs of pixels, of one ---

PF_KERNEL(some_threads, 4)
patches(const float* object, int64_t rows, int64_t columns, const double* positions, int n, Pair* out) {
  const Scan scan = {{object, rows, columns}, positions};
  for_items(n * n, [&](int64_t pattern, int pixel) {
    out[pattern * n * n + pixel] = pair_of(scan.any(scan.placement(pattern, n))(pixel / n, pixel % n));
  });
}

#define PF_PHOTONS(type)                                                                                       \
  PF_KERNEL(some_threads, 4)                                                                                   \
  photons_##type(const type* rate, int n_pixels, int output, void* out, uint64_t seed, uint64_t first_index) { \
    for_items(pairs_of(n_pixels), [&](int64_t pattern, int pair) {                                             \
      const int pixel = pair_pixel(pair);                                                                      \
      const type* at = rate + pattern * n_pixels + pixel;                                                      \
      const type here = pixel < n_pixels ? at[0] : type(0), beyond = pixel + 16 < n_pixels ? at[16] : type(0); \
      count_two({output, out, 1, seed, first_index}, pattern, n_pixels, pixel, here, beyond);                  \
    });                                                                                                        \
  }

PF_PHOTONS(float)
PF_PHOTONS(double)
