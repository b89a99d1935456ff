// The chain of ../forward.h for the threads of a GPU, with the same operations in the same order, hence the same bits.
//
// Work goes in phases: functions of a thread's number, on buffers that the threads of a block share. A block's
// phase(f) calls f(thread, registers) for each of its threads and then waits for all. On a GPU every thread calls it
// for itself; the tests call it in a loop, forward, in reverse and shuffled. Within a phase the threads touch disjoint
// data; what a thread keeps from phase to phase stands in its registers.
//
//   fused   a block has a pattern: its plane stands in shared memory
//   split   a block has a panel of columns, then another a panel of rows: between them the field is in global memory
//   any     a thread has a line, in global memory: for all other sides
#pragma once
#include "../forward.h"

#if defined(__CUDACC__)
#define PF_DEVICE __device__ __forceinline__
#else
#define PF_DEVICE inline
#endif

namespace pf {
inline namespace PF_ISA {

// The same number, but the compiler does not know. Registers are scarce: what follows from the number is then worked
// out where it is needed, and not kept from phase to phase.
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

// A complex number that is read and written at once.
struct alignas(8) Pair {
  float re, im;
};
PF_HD Complex<float> complex_of(Pair x) { return {x.re, x.im}; }
PF_HD Pair pair_of(Complex<float> x) { return {x.re, x.im}; }

// --- patch and exit wave ---

// Taps by patch row and column, wherever they are.
struct AnyTaps {
  const Pair* object;
  int64_t rows, columns, top, left;
  PF_HD Pair operator()(int r, int c) const {
    const int64_t row = top + r, column = left + c;
    return row >= 0 && row < rows && column >= 0 && column < columns ? object[row * columns + column] : Pair{0, 0};
  }
};

// Taps that all lie inside an object of less than 4 GiB: no test, and an address is one register.
struct InnerTaps {
  const char* object;
  uint32_t first, pitch;  // bytes
  PF_HD Pair operator()(int r, int c) const {
    return *reinterpret_cast<const Pair*>(object +
                                          (first + uint32_t(r) * pitch + uint32_t(c) * uint32_t(sizeof(Pair))));
  }
};

// Pixels of the patch, between four taps each.
template <class Taps>
struct Patch {
  Taps tap;
  float left, right, upper, lower;
  PF_HD Complex<float> tap_row(int r, int c) const {
    const Pair a = tap(r, c), b = tap(r, c + 1);
    return {between(a.re, left, b.re, right), between(a.im, left, b.im, right)};
  }
  PF_HD Complex<float> operator()(int r, int c) const {
    const Complex<float> a = tap_row(r, c), b = tap_row(r + 1, c);
    return {between(a.re, upper, b.re, lower), between(a.im, upper, b.im, lower)};
  }
};

// The patches of a scan.
struct Scan {
  Object object;
  const double* positions;  // (patterns, 2)

  PF_HD Placement placement(int64_t pattern, int n) const {
    return place(positions[2 * pattern], positions[2 * pattern + 1], n, object.rows, object.columns);
  }
  PF_HD bool has_inner(const Placement& at, int n) const {
    return at.row >= 0 && at.row + n < object.rows && at.column >= 0 && at.column + n < object.columns &&
           object.rows * object.columns < (int64_t(1) << 32) / int64_t(sizeof(Pair));
  }
  PF_HD Patch<InnerTaps> inner(const Placement& at) const {
    const InnerTaps taps = {reinterpret_cast<const char*>(object.data),
                            uint32_t((at.row * object.columns + at.column) * int64_t(sizeof(Pair))),
                            uint32_t(object.columns * int64_t(sizeof(Pair)))};
    return {taps, at.left, at.right, at.upper, at.lower};
  }
  PF_HD Patch<AnyTaps> any(const Placement& at) const {
    const AnyTaps taps = {reinterpret_cast<const Pair*>(object.data), object.rows, object.columns, at.row, at.column};
    return {taps, at.left, at.right, at.upper, at.lower};
  }
};

// --- where the elements of a transform come from, and where they go: (element of the line, line) ---
// `along` tells that memory is best touched with neighbouring threads along a line, not across.

template <class Taps>
struct FromExitWave {
  static constexpr bool along = false, unrolled = false;
  Patch<Taps> patch;
  const Pair* probe;  // (n, n)
  int n, first_column;
  PF_HD Complex<float> operator()(int row, int line) const {
    const int column = first_column + line;
    const Pair p = probe[row * n + column];
    return times(patch(row, column), p.re, p.im);
  }
};

// A pattern's plane in shared memory. Columns are swizzled, so that a warp meets no bank twice, be its threads in one
// row or in one column.
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

// A part of the field (n, n) of one mode in global memory.
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

// Intensities of the pixels that a thread has to do with, modes added up.
template <class Line>
struct Sums {
  float sum[Line::slots];
};
struct ToSums {
  static constexpr bool along = true, unrolled = true;
  bool first;
  template <class R>
  PF_HD void operator()(R& mine, int slot, int, int, Complex<float> x) const {
    const float intensity = squared_modulus(x);
    mine.sum[slot] = first ? intensity : mine.sum[slot] + intensity;
  }
};

// --- the transform of `lines_` lines of length n_ by the threads of a block: FftPlan with radices that are known ---

template <int n_, int lines_, int threads_, int... radices>
struct Lines {
  static constexpr int n = n_, lines = lines_, threads = threads_, passes = sizeof...(radices);
  PF_HD static constexpr int radix(int pass) {
    constexpr int all[] = {radices...};
    return all[pass];
  }
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

// Pass p, the butterflies of one thread. Butterflies and lines are counted so that neighbours come next to each other.
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

// All passes, a phase each: the first reads `from`, the last writes `to`, in between all happens in `shared`.
template <class Line, int p = 0, class B, class From, class Shared, class To>
PF_DEVICE void transform(B& block, const Pair* twiddle, const From& from, const Shared& shared, const To& to) {
  if constexpr (p == Line::passes - 1) {
    block.phase([&](int thread, auto& mine) { pass<Line, p>(thread, mine, twiddle, from, to); });
  } else {
    block.phase([&](int thread, auto& mine) { pass<Line, p>(thread, mine, twiddle, from, shared); });
    transform<Line, p + 1>(block, twiddle, shared, shared, to);
  }
}

// The exit wave of a mode, transformed along the rows' index, `lines` columns from `first_column` on. The taps of a
// patch that reaches beyond the object need more registers than a butterfly leaves: that exit wave is laid down first.
template <class Line, class B, class Shared, class To>
PF_DEVICE void transform_columns(B& block, const Scan& scan, int64_t pattern, const Pair* probe, int first_column,
                                 const Pair* twiddle, const Shared& shared, const To& to) {
  constexpr int n = Line::n, lines = Line::lines;
  const Placement at = scan.placement(pattern, n);
  if (scan.has_inner(at, n)) {
    transform<Line>(block, twiddle, FromExitWave<InnerTaps>{scan.inner(at), probe, n, first_column}, shared, to);
  } else {
    const FromExitWave<AnyTaps> wave{scan.any(at), probe, n, first_column};
    block.phase([&](int thread, auto& mine) {
      PF_NO_UNROLL
      for (int i = thread; i < n * lines; i += Line::threads)
        shared(mine, 0, i / lines, i % lines, wave(i / lines, i % lines));
    });
    transform<Line>(block, twiddle, shared, shared, to);
  }
}

// --- detection ---

enum Output { intensities, wide_counts, narrow_counts, amplitudes };

constexpr float largest_rate = 2147483648.0f;  // 2^31 photons
constexpr uint32_t not_a_count = 0xffffffffu;  // where the rate is none that can be counted; no count is as large

struct Detector {
  int output;
  void* out;     // (patterns, pixels) float, uint32_t, uint16_t or float
  double scale;  // s
  uint64_t seed, first_index;

  // A sum over modes times the transform's 1 / N^2, then times the dose.
  PF_HD float rate(float sum, int n) const {
    const float unitary = 1 / (float(n) * float(n)), dose = output == intensities ? 1 : float(scale * scale);
    return sum * unitary * dose;
  }
  PF_HD void put_intensity(int64_t at, float intensity) const { static_cast<float*>(out)[at] = intensity; }
  PF_HD void put_count(int64_t at, uint32_t count) const {
    if (output == wide_counts) {
      static_cast<uint32_t*>(out)[at] = count;
    } else if (output == narrow_counts) {
      static_cast<uint16_t*>(out)[at] = uint16_t(count < 0xffff ? count : 0xffff);
    } else {
      float* to = static_cast<float*>(out) + at;
      amplitude(&count, 1, scale, to);
      if (count == not_a_count) *to = same_bits<float>(0x7fc00000u);
    }
  }
};

// Pixel and pixel + 16, which share their random bits (see photon_bits), as far as the pattern goes; `rate` has both.
template <class T>
PF_DEVICE void count_two(const Detector& detector, int64_t pattern, int n_pixels, int pixel, T rate, T rate_beyond) {
  const uint64_t block[1] = {uint64_t(pixel / 32 * 16 + pixel % 16)};
  uint64_t bits[1], bits_beyond[1];
  photon_bits(Philox<1>(untraced(detector.seed)), block, detector.first_index + uint64_t(pattern), bits, bits_beyond);
  const int64_t at = pattern * n_pixels + pixel;
  PF_NO_UNROLL
  for (int beyond = 0; beyond < 32 && pixel + beyond < n_pixels; beyond += 16) {
    const T lambda = beyond ? rate_beyond : rate;
    const bool can = lambda >= 0 && lambda <= T(largest_rate);
    detector.put_count(at + beyond, can ? poisson_quantile(beyond ? bits_beyond[0] : bits[0], lambda) : not_a_count);
  }
}

// The same two where intensities may be asked for.
PF_DEVICE void detect_two(const Detector& detector, int64_t pattern, int n_pixels, int pixel, float rate,
                          float rate_beyond) {
  if (detector.output != intensities) return count_two(detector, pattern, n_pixels, pixel, rate, rate_beyond);
  const int64_t at = pattern * n_pixels + pixel;
  if (pixel < n_pixels) detector.put_intensity(at, rate);
  if (pixel + 16 < n_pixels) detector.put_intensity(at + 16, rate_beyond);
}

// The pairs of such pixels are numbered, too.
PF_HD int pairs_of(int n_pixels) { return (n_pixels + 31) / 32 * 16; }
PF_HD int pair_pixel(int pair) { return pair / 16 * 32 + pair % 16; }

// What becomes of the threads' sums: `lines` rows from position `first_row` on. Photons are counted in the order of
// pixels, where a thread has both that share their random bits, so the rates go through shared memory once more. So do
// intensities, but for the fused sides: there a warp's pixels fill whole sectors of memory as they are.
template <class Line, class B>
PF_DEVICE void detect(B& block, const int* pixel_of_position, int first_row, const Detector& detector, int64_t pattern,
                      float* shared) {
  constexpr int n = Line::n, last = Line::passes - 1, radix = Line::radix(last), butterflies = Line::butterflies(last);
  constexpr int pitch = n + 8;  // keeps rows off each other's banks
  constexpr bool direct = Line::lines == n;
  block.phase([&](int thread, auto& mine) {
    PF_UNROLL
    for (int i = 0; i < Line::items(last); ++i) {
      const int item = i * Line::threads + thread, line = item / butterflies;
      const int row = pixel_of_position[first_row + line];
      int column = pixel_of_position[item % butterflies * radix];  // of the first; the next is butterflies further on
      PF_UNROLL
      for (int q = 0; q < radix; ++q) {
        const float rate = detector.rate(mine.sum[i * radix + q], n);
        if (direct && detector.output == intensities)
          detector.put_intensity(pattern * (n * n) + row * n + column, rate);
        else
          shared[line * pitch + column] = rate;
        column += butterflies;
        if (column >= n) column -= n;
      }
    }
  });
  if (direct && detector.output == intensities) return;
  block.phase([&](int thread, auto&) {
    PF_NO_UNROLL
    for (int item = thread; item < Line::lines * n / 2; item += Line::threads) {
      const int line = item / (n / 2), column = pair_pixel(item % (n / 2));
      const float* rate = shared + line * pitch + column;
      detect_two(detector, pattern, n * n, pixel_of_position[first_row + line] * n + column, rate[0], rate[16]);
    }
  });
}

// --- fused ---

template <class Line, class B>
PF_DEVICE void fused(B& block, const Scan& scan, int64_t pattern, const Pair* probe, int modes, const Pair* twiddle,
                     const int* pixel_of_position, const Detector& detector, Pair* shared) {
  constexpr int n = Line::n;
  const Plane<Line, false> columns{shared};
  const Plane<Line, true> rows{shared};
  for (int mode = 0; mode < modes; ++mode) {
    transform_columns<Line>(block, scan, pattern, probe + mode * (n * n), 0, twiddle, columns, columns);
    transform<Line>(block, twiddle, rows, rows, ToSums{mode == 0});
  }
  detect<Line>(block, pixel_of_position, 0, detector, pattern, reinterpret_cast<float*>(shared));
}

// --- split: field is (patterns, modes, n, n) ---

template <class Line, class B>
PF_DEVICE void split_columns(B& block, const Scan& scan, int64_t pattern, int mode, int first_column, const Pair* probe,
                             int modes, const Pair* twiddle, Pair* field, Pair* shared) {
  constexpr int n = Line::n;
  transform_columns<Line>(block, scan, pattern, probe + mode * (n * n), first_column, twiddle,
                          Panel<Line::lines>{shared},
                          FieldColumns{field + (pattern * modes + mode) * (n * n) + first_column, n});
}

template <class Line, class B>
PF_DEVICE void split_rows(B& block, int64_t pattern, int first_row, int modes, const Pair* twiddle,
                          const int* pixel_of_position, const Pair* field, const Detector& detector, Pair* shared) {
  constexpr int n = Line::n;
  for (int mode = 0; mode < modes; ++mode)
    transform<Line>(block, twiddle, FieldRows{field + (pattern * modes + mode) * (n * n) + first_row * n, n},
                    Plane<Line, true>{shared}, ToSums{mode == 0});
  detect<Line>(block, pixel_of_position, first_row, detector, pattern, reinterpret_cast<float*>(shared));
}

// --- any: planes (n, n) of a pattern, a thread has a line of elements n apart ---

struct ToTransposed {
  float *re, *im;  // one row of the target
  int n;
  PF_HD void operator()(ptrdiff_t at, Complex<float> x) const {
    re[at / n] = x.re;
    im[at / n] = x.im;
  }
};

template <class Out>
PF_HD void transform_any(const AxisPlan& axis, float* re, float* im, double* work_re, double* work_im, ptrdiff_t step,
                         const Out& out) {
  if (axis.mixed_radix)
    fft_line<float, 1, 1>(axis.fft, re, im, axis.n, out);
  else
    chirp_line<1>(axis.chirp, axis.n, re, im, 0, axis.n, work_re, work_im, step, out);
}

PF_DEVICE void any_column(const Scan& scan, int64_t pattern, const Pair* probe, int column, const AxisPlan& axis,
                          float* re, float* im, float* turned_re, float* turned_im, double* work_re, double* work_im,
                          ptrdiff_t step) {
  const int n = axis.n;
  const FromExitWave<AnyTaps> wave{scan.any(scan.placement(pattern, n)), probe, n, column};
  for (int r = 0; r < n; ++r) {
    const Complex<float> x = wave(r, 0);
    re[r * n + column] = x.re;
    im[r * n + column] = x.im;
  }
  transform_any(axis, re + column, im + column, work_re, work_im, step,
                ToTransposed{turned_re + column * n, turned_im + column * n, n});
}

PF_DEVICE void any_row(int row, const AxisPlan& axis, float* turned_re, float* turned_im, double* work_re,
                       double* work_im, ptrdiff_t step, float* sum, bool first) {
  transform_any(axis, turned_re + row, turned_im + row, work_re, work_im, step, AddIntensity<1>{sum + row, first});
}

PF_DEVICE void any_detect(int n, int pixel, const int* position_of_pixel, const float* sum, const Detector& detector,
                          int64_t pattern) {
  const int n_pixels = n * n;
  const auto rate = [&](int p) {
    return p < n_pixels ? detector.rate(sum[position_of_pixel[p % n] * n + position_of_pixel[p / n]], n) : 0.0f;
  };
  const float here = rate(pixel), beyond = rate(pixel + 16);
  detect_two(detector, pattern, n_pixels, pixel, here, beyond);
}

}  // namespace PF_ISA
}  // namespace pf
