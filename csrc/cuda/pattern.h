// One pattern on a GPU, with the same operations in the same order as cpu/pattern.h, hence with the same bits.
//
//   fused   a block has a pattern, whose plane is in shared memory
//   split   a block has a panel of columns, another one later a panel of rows; the field between is in global memory
//   any     a thread has a line, in global memory: for all other sides, and for exposures that are not plain
//
// Phases are explained in block_fft.h.
#pragma once
#include "../image.h"
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
// Waves are in re, im by (row, column), and after the transform along the row index in turned_re, turned_im by (column,
// position of the row's frequency).

// A complex plane.
struct AnyPlane {
  float *re, *im;
  PF_HD AnyPlane from(ptrdiff_t first) const { return {re + first, im + first}; }
};

struct ToTransposed {
  AnyPlane line;  // one row of the target
  int n;
  PF_HD void operator()(ptrdiff_t at, Complex<float> x) const {
    line.re[at / n] = x.re;
    line.im[at / n] = x.im;
  }
};

// Working memory of the chirps: an element of a line for all threads of the grid, then the next element.
struct Workspace {
  float *re, *im;
  ptrdiff_t step;
};

template <class Out>
PF_HD void transform_any(const AxisPlan& axis, const AnyPlane& line, const Workspace& work, const Out& out) {
  if (axis.chirp)
    chirp_line<1>(axis, line.re, line.im, 0, axis.n, work.re, work.im, work.step, out);
  else
    fft_line<float, 1, 1>(axis.fft, line.re, line.im, axis.n, out);
}

template <class Out>
PF_HD void transform_any_back(const AxisPlan& axis, const AnyPlane& line, const Workspace& work, const Out& out) {
  if (axis.chirp)
    chirp_line<1>(axis, line.im, line.re, 0, axis.n, work.re, work.im, work.step, Exchanged<Out>{out});
  else
    fft_line_back<float, 1, 1>(axis.fft, line.re, line.im, axis.n, out);
}

// The planes of a probe, with the weights of one pattern or null.
struct AnyProbe {
  const Pair* data;
  int planes, modes;
  const float* weights;
  PF_HD Complex<float> operator()(int mode, ptrdiff_t n_pixels, ptrdiff_t pixel) const {
    const auto plane = [&](int p) { return data[p * n_pixels + pixel]; };
    if (!weights) return complex_of(plane(mode));
    return {weighted(weights, mode, modes, planes, [&](int p) { return plane(p).re; }),
            weighted(weights, mode, modes, planes, [&](int p) { return plane(p).im; })};
  }
};

// The exit wave of a mode behind a slice, and its transform; without a probe the wave has come from the slice before,
// and first goes back.
PF_DEVICE void any_column(const Scan& scan, int64_t pattern, const AnyProbe& probe, int mode, int column,
                          const AxisPlan& axis, const AnyPlane& waves, const AnyPlane& turned, const Workspace& work) {
  const int n = axis.n;
  const AnyPlane line = waves.from(column);
  if (!probe.data) transform_any_back(axis, line, work, Keep<float, 1>{line.re, line.im});
  const Patch<AnyTaps> patch = scan.any(scan.placement(pattern, n));
  for (int r = 0; r < n; ++r) {
    const ptrdiff_t at = ptrdiff_t(r) * n;
    const Complex<float> wave =
        probe.data ? probe(mode, ptrdiff_t(n) * n, at + column) : Complex<float>{line.re[at], line.im[at]};
    const Complex<float> x = exit_wave(patch(r, column), wave.re, wave.im);
    line.re[at] = x.re;
    line.im[at] = x.im;
  }
  transform_any(axis, line, work, ToTransposed{turned.from(ptrdiff_t(column) * n), n});
}

PF_DEVICE void any_row(int row, const AxisPlan& axis, const AnyPlane& turned, const Workspace& work, float* sum,
                       bool first) {
  transform_any(axis, turned.from(row), work, AddIntensity<1>{sum + row, first});
}

// To another plane: along the column index, times the transfer function, and back. `transfer` has real and imaginary
// parts as planes, by the positions of the frequencies along (column, row), divided by n^2.
PF_DEVICE void any_row_through(int row, const AxisPlan& axis, const float* transfer, const AnyPlane& turned,
                               const AnyPlane& waves, const Workspace& work) {
  const ptrdiff_t n = axis.n;
  const AnyPlane line = turned.from(row);
  transform_any(axis, line, work, KeepTimes<float, 1>{line.re, line.im, transfer + row, transfer + n * n + row});
  transform_any_back(axis, line, work, ToTransposed{waves.from(row * n), int(n)});
}

// In the near field, behind any_row_through.
PF_DEVICE void any_image_column(int column, const AxisPlan& axis, const AnyPlane& waves, const Workspace& work,
                                float* sum, bool first) {
  transform_any_back(axis, waves.from(column), work, AddIntensity<1>{sum + column, first});
}

// Sums of intensities of one pattern, in the order of the detector: by (position of the column, position of the row),
// or without positions already by (row, column).
struct AnySums {
  const float* sum;
  const int* position_of_pixel;
  int n;
  PF_HD float operator()(int pixel) const {
    if (!position_of_pixel) return sum[pixel];
    return sum[position_of_pixel[pixel % n] * n + position_of_pixel[pixel / n]];
  }
};

PF_DEVICE void any_detect(const AnySums& sums, int pixel, float mean, const Detector& detector, int64_t pattern) {
  const int n_pixels = sums.n * sums.n;
  const float dose = detector.dose(pattern);
  const auto rate = [&](int p) { return p < n_pixels ? expected_photons(sums(p), mean, dose) : 0.0f; };
  const float here = rate(pixel), beyond = rate(pixel + 16);
  detect_two(detector, pattern, n_pixels, pixel, here, beyond);
}

}  // namespace PF_ISA
}  // namespace pf
