// The CUDA kernels. The caller (backend/cuda.py) checks the arguments and allocates all memory. Arrays are
// C-contiguous, complex numbers are pairs of floats, positions are [x, y]. `result` is a number of Result (model.h).
// The grid has one axis; the blocks of a pattern are next to each other.
#include "launch.h"
#include "pattern.h"

#if defined(__CUDACC__)
#define PF_KERNEL(threads, blocks_at_once) extern "C" __global__ void __launch_bounds__(threads, blocks_at_once)
#define PF_SHARED_BY_BLOCK __shared__
#define PF_DYNAMIC_SHARED(name) extern __shared__ Pair name[]

namespace pf {
inline namespace PF_ISA {

// A block, as each of its threads uses it.
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

struct NoRegisters {};

// Calls f(pattern, item), with an item for each thread; the blocks of a pattern share its items.
template <class F>
PF_DEVICE void for_items(int items, const F& f) {
  const int blocks = (items + item_threads - 1) / item_threads;
  const int64_t pattern = blockIdx.x / blocks;
  const int first = int(blockIdx.x % blocks) * item_threads;
  Block<NoRegisters, item_threads> block;
  block.phase([&](int thread, NoRegisters&) {
    if (first + thread < items) f(pattern, first + thread);
  });
}

// Tables of an axis, as cpu/tables.cpp makes them: `passes` are (radix, span), up to span 1. The transform is one of
// length m: n, or more with a chirp.
struct Tables {
  int n, m;
  const int* passes;
  const float* twiddle;
  const int* at;
  const float *chirp, *filter;

  PF_DEVICE void make(AxisPlan& axis) const {
    FftPlan<float>& plan = axis.fft;
    plan.n = m;
    plan.n_passes = 0;
    do {
      plan.radix[plan.n_passes] = passes[2 * plan.n_passes];
      plan.span[plan.n_passes] = passes[2 * plan.n_passes + 1];
    } while (plan.span[plan.n_passes++] > 1);
    plan.twiddle = twiddle;
    plan.at = at;
    axis.n = n;
    axis.chirp = chirp;
    axis.filter = filter;
  }
};

PF_DEVICE Workspace workspace(float* memory, int m, int64_t thread_of_grid) {
  const ptrdiff_t step = ptrdiff_t(gridDim.x) * item_threads;
  return {memory + thread_of_grid, memory + m * step + thread_of_grid, step};
}

// Calls f(pattern, line, its plane's first pixel, working memory) for the lines of all patterns. `axis` is shared by
// the threads of a block. With a chirp `memory` has 2 m floats for each thread of the grid.
template <class F>
PF_DEVICE void for_lines(const Tables& tables, AxisPlan& axis, float* memory, const F& f) {
  Block<NoRegisters, item_threads> block;
  block.phase([&](int thread, NoRegisters&) {
    if (thread == 0) tables.make(axis);
  });
  const int n = tables.n;
  for_items(n, [&](int64_t pattern, int line) {
    f(pattern, line, pattern * n * n, workspace(memory, tables.m, pattern * n + line));
  });
}

}  // namespace PF_ISA
}  // namespace pf

using namespace pf;

// --- fused: grid = patterns ---

#define PF_FUSED(side, threads, blocks_at_once)                                                                    \
  PF_KERNEL(threads, blocks_at_once)                                                                               \
  fused_##side(const float* object, int64_t rows, int64_t columns, const double* positions, const Pair* probe,     \
               int modes, const Pair* twiddle, const int* pixel_of_position, int result, void* out, double scale,  \
               uint64_t seed, const uint64_t* indices, const double* factors) {                                    \
    PF_DYNAMIC_SHARED(shared);                                                                                     \
    using Line = Lines<side, side, threads>;                                                                       \
    Block<Sums<Line>, threads> block;                                                                              \
    fused<Line>(block, {{object, rows, columns}, positions}, blockIdx.x, probe, modes, twiddle, pixel_of_position, \
                {Result(result), out, scale, seed, indices, factors}, shared);                                     \
  }

PF_FOR_FUSED(PF_FUSED)

// --- split: grid = patterns * modes * panels, then patterns * panels ---

#define PF_SPLIT(side, threads, blocks_at_once)                                                                       \
  PF_KERNEL(threads, blocks_at_once)                                                                                  \
  columns_##side(const float* object, int64_t rows, int64_t columns, const double* positions, const Pair* probe,      \
                 int modes, const Pair* twiddle, Pair* field) {                                                       \
    PF_DYNAMIC_SHARED(shared);                                                                                        \
    using Line = Lines<side, panel_lines, threads>;                                                                   \
    constexpr unsigned panels = side / panel_lines;                                                                   \
    const int plane = int(blockIdx.x / panels % unsigned(modes));                                                     \
    Block<NoRegisters, threads> block;                                                                                \
    split_columns<Line>(block, {{object, rows, columns}, positions}, blockIdx.x / panels / unsigned(modes), plane,    \
                        int(blockIdx.x % panels) * panel_lines, probe, modes, twiddle, field, shared);                \
  }                                                                                                                   \
  PF_KERNEL(threads, blocks_at_once)                                                                                  \
  rows_##side(const Pair* field, int modes, const Pair* twiddle, const int* pixel_of_position, int result, void* out, \
              double scale, uint64_t seed, const uint64_t* indices, const double* factors) {                          \
    PF_DYNAMIC_SHARED(shared);                                                                                        \
    using Line = Lines<side, panel_lines, threads>;                                                                   \
    constexpr unsigned panels = side / panel_lines;                                                                   \
    Block<Sums<Line>, threads> block;                                                                                 \
    split_rows<Line>(block, blockIdx.x / panels, int(blockIdx.x % panels) * panel_lines, modes, twiddle,              \
                     pixel_of_position, field, {Result(result), out, scale, seed, indices, factors}, shared);         \
  }

PF_FOR_SPLIT(PF_SPLIT)

// --- any: grid = patterns * blocks for the lines of a pattern, its pixels, or its pairs of pixels ---
// All planes are (patterns, n, n); one wave of each pattern at a time.

PF_KERNEL(item_threads, 2)
any_columns(const float* object, int64_t rows, int64_t columns, const double* positions, int boundary, int parts,
            int part, const Pair* probe, int planes, int modes, int mode, const float* weights, int n, int m,
            const int* passes, const float* twiddle, const int* at, const float* chirp, const float* filter, float* re,
            float* im, float* turned_re, float* turned_im, float* memory) {
  PF_SHARED_BY_BLOCK AxisPlan axis;
  const Scan scan = {{object, rows, columns}, positions, Boundary(boundary), parts, part};
  for_lines({n, m, passes, twiddle, at, chirp, filter}, axis, memory,
            [&](int64_t pattern, int column, int64_t plane, const Workspace& work) {
              const AnyProbe own = {probe, planes, modes, weights ? weights + pattern * planes : nullptr};
              any_column(scan, pattern, own, mode, column, axis, AnyPlane{re, im}.from(plane),
                         AnyPlane{turned_re, turned_im}.from(plane), work);
            });
}

PF_KERNEL(item_threads, 2)
any_rows(int n, int m, const int* passes, const float* twiddle, const int* at, const float* chirp, const float* filter,
         float* turned_re, float* turned_im, float* memory, float* sum, int first) {
  PF_SHARED_BY_BLOCK AxisPlan axis;
  for_lines({n, m, passes, twiddle, at, chirp, filter}, axis, memory,
            [&](int64_t, int row, int64_t plane, const Workspace& work) {
              any_row(row, axis, AnyPlane{turned_re, turned_im}.from(plane), work, sum + plane, first != 0);
            });
}

PF_KERNEL(item_threads, 2)
any_rows_through(int n, int m, const int* passes, const float* twiddle, const int* at, const float* chirp,
                 const float* filter, const float* transfer, float* turned_re, float* turned_im, float* re, float* im,
                 float* memory) {
  PF_SHARED_BY_BLOCK AxisPlan axis;
  for_lines({n, m, passes, twiddle, at, chirp, filter}, axis, memory,
            [&](int64_t, int row, int64_t plane, const Workspace& work) {
              any_row_through(row, axis, transfer, AnyPlane{turned_re, turned_im}.from(plane),
                              AnyPlane{re, im}.from(plane), work);
            });
}

PF_KERNEL(item_threads, 2)
any_image_columns(int n, int m, const int* passes, const float* twiddle, const int* at, const float* chirp,
                  const float* filter, float* re, float* im, float* memory, float* sum, int first) {
  PF_SHARED_BY_BLOCK AxisPlan axis;
  for_lines({n, m, passes, twiddle, at, chirp, filter}, axis, memory,
            [&](int64_t, int column, int64_t plane, const Workspace& work) {
              any_image_column(column, axis, AnyPlane{re, im}.from(plane), work, sum + plane, first != 0);
            });
}

// The mean over `parts` sub-exposures, in the order of the detector: what bin and spread begin with.
PF_KERNEL(item_threads, 4)
any_means(int n, const int* position_of_pixel, int parts, int near, const float* sum, float* image) {
  for_items(n * n, [&](int64_t pattern, int pixel) {
    const AnySums sums = {sum + pattern * n * n, position_of_pixel, n};
    image[pattern * n * n + pixel] = expected_photons(sums(pixel), mean_factor(n, parts, near != 0), 1.0f);
  });
}

// (n, n) -> (N, n), then (N, N).
PF_KERNEL(item_threads, 4)
any_bin_rows(int n, int q, const float* image, float* out) {
  for_items(n / q * n, [&](int64_t pattern, int pixel) {
    const int first = first_binned(n, q) + pixel / n * q;
    const float* from = image + pattern * n * n + pixel % n;
    out[pattern * (n / q * n) + pixel] = binned(q, [&](int t) { return from[wrapped(first + t, n) * n]; });
  });
}

PF_KERNEL(item_threads, 4)
any_bin_columns(int n, int q, const float* image, float* out) {
  const int side = n / q;
  for_items(side * side, [&](int64_t pattern, int pixel) {
    const int first = first_binned(n, q) + pixel % side * q;
    const float* from = image + (pattern * side + pixel / side) * n;
    out[pattern * side * side + pixel] = binned(q, [&](int t) { return from[wrapped(first + t, n)]; });
  });
}

PF_KERNEL(item_threads, 4)
any_spread_rows(int n, const float* half, int length, const float* image, float* out) {
  for_items(n * n, [&](int64_t pattern, int pixel) {
    const float* from = image + pattern * n * n + pixel % n;
    out[pattern * n * n + pixel] = blurred(half, length, [&](int t) { return from[wrapped(pixel / n + t, n) * n]; });
  });
}

PF_KERNEL(item_threads, 4)
any_spread_columns(int n, const float* half, int length, const float* image, float* out) {
  for_items(n * n, [&](int64_t pattern, int pixel) {
    const float* from = image + (pattern * n + pixel / n) * n;
    out[pattern * n * n + pixel] = blurred(half, length, [&](int t) { return from[wrapped(pixel % n + t, n)]; });
  });
}

PF_KERNEL(item_threads, 4)
any_pixels(int n, const int* position_of_pixel, int parts, int near, const float* sum, int result, void* out,
           double scale, uint64_t seed, const uint64_t* indices, const double* factors) {
  for_items(pairs_of(n * n), [&](int64_t pattern, int pair) {
    any_detect({sum + pattern * n * n, position_of_pixel, n}, pair_pixel(pair), mean_factor(n, parts, near != 0),
               {Result(result), out, scale, seed, indices, factors}, pattern);
  });
}

// --- single stages: grid = patterns * blocks for the pixels, or the pairs of pixels, of a pattern ---

PF_KERNEL(item_threads, 4)
patches(const float* object, int64_t rows, int64_t columns, const double* positions, int boundary, int n, Pair* out) {
  const Scan scan = {{object, rows, columns}, positions, Boundary(boundary)};
  for_items(n * n, [&](int64_t pattern, int pixel) {
    out[pattern * n * n + pixel] = pair_of(scan.any(scan.placement(pattern, n))(pixel / n, pixel % n));
  });
}

#define PF_PHOTONS(type)                                                                                       \
  PF_KERNEL(item_threads, 4)                                                                                   \
  photons_##type(const type* rate, int n_pixels, int result, void* out, double scale, uint64_t seed,           \
                 const uint64_t* indices) {                                                                    \
    for_items(pairs_of(n_pixels), [&](int64_t pattern, int pair) {                                             \
      const int pixel = pair_pixel(pair);                                                                      \
      const type* at = rate + pattern * n_pixels + pixel;                                                      \
      const type here = pixel < n_pixels ? at[0] : type(0), beyond = pixel + 16 < n_pixels ? at[16] : type(0); \
      count_two({Result(result), out, scale, seed, indices, nullptr}, pattern, n_pixels, pixel, here, beyond); \
    });                                                                                                        \
  }

PF_PHOTONS(float)
PF_PHOTONS(double)

PF_KERNEL(item_threads, 4)
respond(const uint32_t* counts, int n_pixels, const uint64_t* indices, double scale, uint64_t seed, double dead_time,
        int paralysable, int dark_least, const uint32_t* dark, int64_t n_dark, double gain, double readout,
        double offset, double ceiling, int wrap, double step, const uint8_t* states, double hot, double masked,
        int result, void* out) {
  const Response response = {seed,   dead_time, paralysable != 0, dark_least, {{dark, {n_dark}}},        gain, readout,
                             offset, ceiling,   wrap != 0,        step,       {{states, {1, n_pixels}}}, hot,  masked};
  for_items(n_pixels, [&](int64_t pattern, int pixel) {
    const int64_t at = pattern * n_pixels + pixel;
    respond_one(response, counts[at], indices[pattern], pixel, scale, Result(result), out, at);
  });
}
