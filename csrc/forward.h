// One pattern, from the object under the probe to what the detector counts: the only place where the stages meet.
//
//   patch      o[r, c]     bilinear sample of the object
//   exit wave  psi = probe[m] o
//   far field  F   = FFT2(psi) / N
//   intensity  I   = sum_m |F|^2, zero frequency at (N/2, N/2)
//   dose       lam = s^2 I
//   photons    k   ~ Poisson(lam)
//   amplitude  A   = sqrt(k) / s
//
// Small structures are passed by value: a store through a float pointer might else be taken to change them.
//
// A pattern is worked on in phases; between two phases all work of the first is done. Within a phase the items (a lane
// of columns, a tile) touch disjoint data and may run in any order or at once.
#pragma once
#include "patch.h"
#include "poisson.h"

namespace pf {
inline namespace PF_ISA {

template <int W, class Out>
inline void transform_line(const AxisPlan& axis, float* re, float* im, const Scratch& scratch, const Out& out) {
  if (axis.mixed_radix)
    fft_line<float, W, lane_padding / W>(axis.fft, re, im, lane_padding, out);
  else
    for (int c = 0; c < lane_padding; c += W)
      chirp_line<W>(axis.chirp, axis.n, re, im, c, lane_padding, scratch.chirp_re, scratch.chirp_im, W, out);
}

// Phase 1, item = a panel of columns: exit wave of a mode, and its transform along the rows' index. The padding becomes
// zero: in columns because the padded probe is zero there, in rows so that the next phase reads nothing undefined.
template <int W>
inline void transform_columns(const Object& object, const Placement& place, const Probe& probe, int mode, Shape shape,
                              const AxisPlan& axis, int column, const Scratch& scratch) {
  constexpr int lanes = lane_padding / W;
  const Window window = open_window(object, place, 0, column, shape.n + 1, lane_padding + 1, scratch.window);
  const ptrdiff_t at_probe = ptrdiff_t(mode) * shape.n * shape.padded + column;
  const float *probe_re = probe.re + at_probe, *probe_im = probe.im + at_probe;
  float *re = scratch.re + ptrdiff_t(column) * shape.padded, *im = scratch.im + ptrdiff_t(column) * shape.padded;
  Pairs<W> upper[lanes];
  for (int k = 0; k < lanes; ++k) upper[k] = tap_row<W>(window, 0, k * W);
  for (int r = 0; r < shape.n; ++r) {
    // The object's rows lie too far apart for the processor to see them coming.
    const float* ahead = window.origin + (r + band) * window.stride;
    for (int k = 0; k <= 2 * lane_padding; k += lane_padding) PF_PREFETCH(ahead + k);
#pragma GCC unroll 4
    for (int k = 0; k < lanes; ++k) {
      const auto lower = tap_row<W>(window, r + 1, k * W);
      const auto o = separated<W>(patch_value<W>(window, upper[k], lower));
      const ptrdiff_t from = ptrdiff_t(r) * shape.padded + k * W, to = ptrdiff_t(r) * lane_padding + k * W;
      const auto p_re = load<float, W>(probe_re + from), p_im = load<float, W>(probe_im + from);
      store<float, W>(re + to, p_re * o.re - p_im * o.im);
      store<float, W>(im + to, p_re * o.im + p_im * o.re);
      upper[k] = lower;
    }
  }
  for (int i = shape.n * lane_padding; i < shape.padded * lane_padding; ++i) re[i] = im[i] = 0;
  transform_line<W>(axis, re, im, scratch, Keep<float, W>{re, im});
}

template <int W, int H, int... I>
PF_HD void swap_halves(lane<float, W>& a, lane<float, W>& b, Indices<I...>) {
  const lane<float, W> x = a, y = b;
  a = PF_SHUFFLE(x, y, float, W, ((I & H) ? W + I - H : I)...);
  b = PF_SHUFFLE(x, y, float, W, ((I & H) ? W + I : I + H)...);
}

template <int W, int H>
PF_HD void transpose_step(lane<float, W> (&rows)[W]) {
  for (int r = 0; r < W; ++r)
    if (!(r & H)) swap_halves<W, H>(rows[r], rows[r | H], typename make_indices<W>::type());
  if constexpr (H > 1) transpose_step<W, H / 2>(rows);
}

// A W x W tile in registers.
template <int W>
PF_HD void transpose(lane<float, W> (&rows)[W]) {
  if constexpr (W > 1) transpose_step<W, W / 2>(rows);
}

// From the columns' panels of a plane to the line of a panel of rows.
template <int W>
inline void transpose_panel(const float* plane, Shape shape, int row, float* line) {
  for (int c = 0; c < shape.padded; c += W)
    for (int r = 0; r < lane_padding; r += W) {
      const ptrdiff_t panel = ptrdiff_t(c / lane_padding) * lane_padding * shape.padded;
      const float* from = plane + panel + (row + r) * lane_padding + c % lane_padding;
      lane<float, W> tile[W];
      for (int i = 0; i < W; ++i) tile[i] = load<float, W>(from + i * lane_padding);
      transpose<W>(tile);
      for (int i = 0; i < W; ++i) store<float, W>(line + (c + i) * lane_padding + r, tile[i]);
    }
}

// |x|^2, on top of what there is or, for the first mode, of nothing.
template <int W>
struct AddIntensity {
  float* sum;
  bool first;
  PF_HD void operator()(ptrdiff_t at, Complex<lane<float, W>> x) const {
    auto intensity = squared_modulus(x);
    if (!first) intensity = load<float, W>(sum + at) + intensity;
    store<float, W>(sum + at, intensity);
  }
};

// From positions back to detector pixels, rows of detector, and the transform's 1 / N^2.
template <int W>
inline void write_rows(const float* sum, Shape shape, const AxisPlan& axis, int row, float* out) {
  const int n = shape.n, *position = axis.position_of_pixel, *pixel = axis.pixel_of_position;
  const float unitary = 1 / (float(n) * float(n));
  for (int r = 0; r < lane_padding && row + r < n; r += W) {
    const int height = n - row - r < W ? n - row - r : W;
    for (int c = 0; c < n; c += W) {
      const int width = n - c < W ? n - c : W;
      lane<float, W> tile[W];
      for (int i = 0; i < W; ++i)
        tile[i] = load<float, W>(sum + position[i < width ? c + i : c] * lane_padding + r) * unitary;
      transpose<W>(tile);
      for (int i = 0; i < height; ++i) store_first<W>(out + int64_t(pixel[row + r + i]) * n + c, tile[i], width);
    }
  }
}

// Phase 2, item = a panel of rows: the transform along the columns' index, intensity, and after the last mode the rows
// of the detector.
template <int W>
inline void transform_rows(const Probe& probe, int mode, Shape shape, const AxisPlan& axis, int row,
                           const Scratch& scratch, float* out) {
  float *re = scratch.line_re, *im = scratch.line_im;
  float* sum = probe.modes > 1 ? scratch.sum + ptrdiff_t(row) * shape.padded : re;
  transpose_panel<W>(scratch.re, shape, row, re);
  transpose_panel<W>(scratch.im, shape, row, im);
  transform_line<W>(axis, re, im, scratch, AddIntensity<W>{sum, mode == 0});
  if (mode == probe.modes - 1) write_rows<W>(sum, shape, axis, row, out);
}

// The phases of one pattern in turn: (n, n) intensities before dose.
template <int W>
inline void intensity(const Object& object, const Placement& place, const Probe& probe, const Shape& shape,
                      const AxisPlan& axis, const Scratch& scratch, float* out) {
  for (int mode = 0; mode < probe.modes; ++mode) {
    for (int c = 0; c < shape.n; c += lane_padding)
      transform_columns<W>(object, place, probe, mode, shape, axis, c, scratch);
    for (int r = 0; r < shape.n; r += lane_padding) transform_rows<W>(probe, mode, shape, axis, r, scratch, out);
  }
}

PF_HD void expected_photons(float* intensity, int64_t n_pixels, float scale_squared) {
  for (int64_t i = 0; i < n_pixels; ++i) intensity[i] *= scale_squared;
}

// sqrt is exact to the last bit by IEEE 754, in a vector as in a scalar.
PF_HD void amplitude(const uint32_t* counts, int64_t n_pixels, double scale, float* out) {
  for (int64_t i = 0; i < n_pixels; ++i) out[i] = float(root(double(counts[i])) / scale);
}

}  // namespace PF_ISA
}  // namespace pf
