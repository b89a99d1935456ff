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
inline void transform_panel(const AxisPlan& axis, float* rows, const Scratch& scratch, const Out& out) {
  float *re = rows, *im = rows + lane_padding;
  if (axis.mixed_radix)
    fft_line<float, W, lane_padding / W>(axis.fft, re, im, panel_row, out);
  else
    for (int c = 0; c < lane_padding; c += W)
      chirp_line<W>(axis.chirp, axis.n, re, im, c, panel_row, scratch.chirp_re, scratch.chirp_im, W, out);
}

// Phase 1, item = a panel of columns: exit wave of a mode, and its transform along the rows' index. The padding becomes
// zero: in columns because the padded probe is zero there, in rows so that the next phase reads nothing undefined.
template <int W>
inline void transform_columns(const Object& object, const Placement& place, const Probe& probe, int mode, Shape shape,
                              const AxisPlan& axis, int column, const Scratch& scratch) {
  constexpr int lanes = lane_padding / W;
  const Window window = open_window(object, place, 0, column, shape.n + 1, lane_padding + 1, scratch.window);
  const float* probe_rows = probe.panels + 2 * (ptrdiff_t(mode) * shape.padded + column) * shape.n;
  float* rows = scratch.field + 2 * ptrdiff_t(column) * shape.padded;
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
      const ptrdiff_t re = r * panel_row + k * W, im = re + lane_padding;
      const auto p_re = load<float, W>(probe_rows + re), p_im = load<float, W>(probe_rows + im);
      store<float, W>(rows + re, p_re * o.re - p_im * o.im);
      store<float, W>(rows + im, p_re * o.im + p_im * o.re);
      upper[k] = lower;
    }
  }
  for (int i = shape.n * panel_row; i < shape.padded * panel_row; ++i) rows[i] = 0;
  transform_panel<W>(axis, rows, scratch, Keep<float, W>{rows, rows + lane_padding});
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

// From the columns' panels of the field to a panel of rows.
template <int W>
inline void transpose_panel(const float* field, Shape shape, int row, float* line) {
  for (int c = 0; c < shape.padded; c += W) {
    const float* panel = field + 2 * ptrdiff_t(c / lane_padding * lane_padding) * shape.padded;
    for (int r = 0; r < panel_row; r += W) {  // real, then imaginary parts
      const int part = r / lane_padding * lane_padding;
      const float* from = panel + (row + r - part) * panel_row + part + c % lane_padding;
      lane<float, W> tile[W];
      for (int i = 0; i < W; ++i) tile[i] = load<float, W>(from + i * panel_row);
      transpose<W>(tile);
      for (int i = 0; i < W; ++i) store<float, W>(line + (c + i) * panel_row + r, tile[i]);
    }
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

// From positions back to detector pixels, rows of detector; the transform's 1 / N^2, then the dose (1 for none).
template <int W>
inline void write_rows(const float* sum, Shape shape, const AxisPlan& axis, int row, float dose, float* out) {
  const int n = shape.n, *position = axis.position_of_pixel, *pixel = axis.pixel_of_position;
  const float unitary = 1 / (float(n) * float(n));
  for (int r = 0; r < lane_padding && row + r < n; r += W) {
    const int height = n - row - r < W ? n - row - r : W;
    for (int c = 0; c < n; c += W) {
      const int width = n - c < W ? n - c : W;
      lane<float, W> tile[W];
      for (int i = 0; i < W; ++i)
        tile[i] = load<float, W>(sum + position[i < width ? c + i : c] * panel_row + r) * unitary * dose;
      transpose<W>(tile);
      for (int i = 0; i < height; ++i) store_first<W>(out + int64_t(pixel[row + r + i]) * n + c, tile[i], width);
    }
  }
}

// Phase 2, item = a panel of rows: the transform along the columns' index, intensity, and after the last mode the rows
// of the detector.
template <int W>
inline void transform_rows(const Probe& probe, int mode, Shape shape, const AxisPlan& axis, int row,
                           const Scratch& scratch, float dose, float* out) {
  float* sum = scratch.line;
  if (probe.modes > 1) sum = scratch.sum + ptrdiff_t(row / panel_row * panel_row) * shape.padded + row % panel_row;
  transpose_panel<W>(scratch.field, shape, row, scratch.line);
  transform_panel<W>(axis, scratch.line, scratch, AddIntensity<W>{sum, mode == 0});
  if (mode == probe.modes - 1) write_rows<W>(sum, shape, axis, row, dose, out);
}

// The phases of one pattern in turn: (n, n) intensities times dose = s^2, or before dose where that is 1.
template <int W>
inline void intensity(const Object& object, const Placement& place, const Probe& probe, const Shape& shape,
                      const AxisPlan& axis, const Scratch& scratch, float dose, float* out) {
  for (int mode = 0; mode < probe.modes; ++mode) {
    for (int c = 0; c < shape.n; c += lane_padding)
      transform_columns<W>(object, place, probe, mode, shape, axis, c, scratch);
    for (int r = 0; r < shape.n; r += lane_padding) transform_rows<W>(probe, mode, shape, axis, r, scratch, dose, out);
  }
}

// sqrt is exact to the last bit by IEEE 754, in a vector as in a scalar.
PF_HD void amplitude(const uint32_t* counts, int64_t n_pixels, double scale, float* out) {
  for (int64_t i = 0; i < n_pixels; ++i) out[i] = float(root(double(counts[i])) / scale);
}

}  // namespace PF_ISA
}  // namespace pf
