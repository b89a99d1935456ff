// The transforms of many lines by the threads of a block; the lengths, hence the passes, are known at compile time.
//
// Work goes in phases: functions of a thread's number, on buffers that the threads of a block share. A block's phase(f)
// calls f(thread, registers) for each of its threads and then waits for all of them. On a GPU every thread calls it for
// itself. The tests call it on a CPU, for one thread after the other: forward, in reverse and shuffled. Within a phase
// the threads touch disjoint data. What a thread keeps from phase to phase is in its registers.
#pragma once
#include "../fft.h"

#if defined(__CUDACC__)
#define PF_DEVICE __device__ __forceinline__
#else
#define PF_DEVICE inline
#endif

namespace pf {
inline namespace PF_ISA {

// The same number, but the compiler cannot know that. Registers are scarce: what depends on the number is then computed
// where it is needed, and not kept from phase to phase.
template <class T>
PF_HD T untraced(T x) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(T) == 8)
    asm volatile("" : "+l"(x));
  else
    asm volatile("" : "+r"(x));
#endif
  return x;
}

// A complex number that is loaded and stored by one instruction.
struct alignas(8) Pair {
  float re, im;
};
PF_HD Complex<float> complex_of(Pair x) { return {x.re, x.im}; }
PF_HD Pair pair_of(Complex<float> x) { return {x.re, x.im}; }

// --- where the elements of a transform come from, and where they go: (element of the line, line) ---
// `along`: memory is best accessed with neighbouring threads along a line, not across lines.

// A pattern's plane in shared memory. Columns are permuted, so that a warp has no bank conflicts, whether its threads
// are in one row or in one column.
template <class Line, bool transposed>
struct Plane {
  static constexpr bool along = false, unrolled = false;
  Pair* elements;
  PF_HD Pair& at(int row, int column) const {
    return elements[row * Line::n + (column ^ ((row ^ column / 16 * Line::skew) & 15))];
  }
  PF_HD Complex<float> operator()(int k, int line) const { return complex_of(transposed ? at(line, k) : at(k, line)); }
  template <class R>
  PF_HD void operator()(R&, int, int k, int line, Complex<float> x) const {
    (transposed ? at(line, k) : at(k, line)) = pair_of(x);
  }
};

// A panel of columns in shared memory.
template <int columns>
struct Panel {
  static constexpr bool along = false, unrolled = false;
  Pair* elements;
  PF_HD Complex<float> operator()(int k, int line) const { return complex_of(elements[k * columns + line]); }
  template <class R>
  PF_HD void operator()(R&, int, int k, int line, Complex<float> x) const {
    elements[k * columns + line] = pair_of(x);
  }
};

// Part of the field (n, n) of one mode, in global memory.
struct FieldColumns {
  static constexpr bool along = false, unrolled = false;
  Pair* elements;
  int n;
  template <class R>
  PF_HD void operator()(R&, int, int k, int line, Complex<float> x) const {
    elements[k * n + line] = pair_of(x);
  }
};
struct FieldRows {
  static constexpr bool along = true;
  const Pair* elements;
  int n;
  PF_HD Complex<float> operator()(int k, int line) const { return complex_of(elements[line * n + k]); }
};

// `lines_` lines of length n_ for the `threads_` threads of a block.
template <int n_, int lines_, int threads_>
struct Lines {
  static constexpr int n = n_, lines = lines_, threads = threads_, passes = radices_of(n_).count;
  static_assert(passes > 0, "a side without prime factors above 13");
  PF_HD static constexpr int radix(int pass) { return radices_of(n).radix[pass]; }
  PF_HD static constexpr int span(int pass) {
    int result = n;
    for (int p = 0; p <= pass; ++p) result /= radix(p);
    return result;
  }
  PF_HD static constexpr int butterflies(int pass) { return n / radix(pass); }
  PF_HD static constexpr int items(int pass) { return lines * butterflies(pass) / threads; }  // of each thread
  static constexpr int slots = items(passes - 1) * radix(passes - 1);
  // The last pass reads neighbours in a row, radix by radix: `skew` spreads these over the banks, see Plane.
  static constexpr int skew = radix(passes - 1) % 2 ? 0 : butterflies(passes - 1) < 16 ? 2 : 1;
};

// Pass p, the butterflies of one thread. Items are numbered so that neighbouring threads access neighbouring memory.
template <class Line, int p, class R, class From, class To>
PF_DEVICE void pass(int thread, R& mine, const Pair* twiddle, const From& from, const To& to) {
  constexpr int radix = Line::radix(p), span = Line::span(p), butterflies = Line::butterflies(p);
  constexpr bool along = From::along || To::along;
  static_assert(Line::lines * butterflies % Line::threads == 0, "all threads have as many butterflies");
#pragma unroll(To::unrolled ? Line::items(p) : 1)
  for (int i = 0; i < Line::items(p); ++i) {
    const int item = i * Line::threads + thread;
    const int butterfly = along ? item % butterflies : item / Line::lines;
    const int line = along ? item / butterflies : item % Line::lines;
    const int j = butterfly % span, first = butterfly / span * (radix * span) + j;
    Complex<float> x[radix];
    PF_UNROLL
    for (int q = 0; q < radix; ++q) x[q] = from(first + q * span, line);
    Dft<radix, float>::run(x, [&](int q, Complex<float> value) {
      if (span > 1 && q > 0) {
        const Pair turn = twiddle[q * j * (Line::n / (radix * span))];
        value = times(value, turn.re, turn.im);
      }
      to(mine, i * radix + q, first + q * span, line, value);
    });
  }
}

// All passes, one phase each: the first reads `from`, the last writes `to`, the others work in `shared`.
template <class Line, int p = 0, class B, class From, class Shared, class To>
PF_DEVICE void transform(B& block, const Pair* twiddle, const From& from, const Shared& shared, const To& to) {
  if constexpr (p == Line::passes - 1) {
    block.phase([&](int thread, auto& mine) { pass<Line, p>(thread, mine, twiddle, from, to); });
  } else {
    block.phase([&](int thread, auto& mine) { pass<Line, p>(thread, mine, twiddle, from, shared); });
    transform<Line, p + 1>(block, twiddle, shared, shared, to);
  }
}

}  // namespace PF_ISA
}  // namespace pf
