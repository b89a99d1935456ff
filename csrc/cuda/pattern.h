// One pattern on a GPU, with the same operations in the same order as cpu/pattern.h, hence with the same bits.
//
//   fused   a block has a pattern, whose plane is in shared memory
//   split   a block has a panel of columns, another one later a panel of rows; the field between is in global memory
//   any     a thread has a line, in global memory: for all other sides
//
// Phases are explained in block_fft.h.
#pragma once
#include "patch.h"
#include "photons.h"

namespace pf {
inline namespace PF_ISA {

// The exit wave of a mode, transformed along the row index: `lines` columns from `first_column` on. The taps of a patch
// that reaches beyond the object need more registers than a butterfly leaves, so that exit wave is first stored.
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

// --- any: planes (n, n) of a pattern; a thread has a line, whose elements are n apart ---

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
