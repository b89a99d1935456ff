// One pattern on a CPU, from the object to the intensity or the expected photons; cuda/pattern.h is the same for a GPU.
//
//   patch      o[r, c]     bilinear sample of the object                patch.h
//   exit wave  psi = probe[m] o                                         exit_wave.h
//   far field  F   = FFT2(psi)                                          fft.h
//   intensity  I   = sum_m |F|^2 / N^2, zero frequency at (N/2, N/2)    dose.h
//   dose       lam = s^2 I                                              dose.h
//
// A pattern is worked on in phases. All work of a phase is done before the next phase begins. Within a phase the items
// (a panel of columns or of rows) may be done in any order, with the same bits.
//
// Small structures are passed by value: otherwise the compiler must assume that a store through a float pointer changes
// them.
#pragma once
#include "../dose.h"
#include "../exit_wave.h"
#include "../fft.h"
#include "patch.h"

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

// Phase 1, item = a panel of columns: exit wave of a mode, and its transform along the row index. The padding becomes
// zero: in columns because the padded probe is zero there, in rows so that the next phase reads nothing undefined.
template <int W>
inline void transform_columns(const Slice& object, const Placement& place, const ProbePanels& probe, int mode,
                              Shape shape, const AxisPlan& axis, int column, const Scratch& scratch) {
  constexpr int lanes = lane_padding / W;
  const Window window = open_window(object, place, 0, column, shape.n + 1, lane_padding + 1, scratch.window);
  const float* probe_rows = probe.data + 2 * (ptrdiff_t(mode) * shape.padded + column) * shape.n;
  float* rows = scratch.field + 2 * ptrdiff_t(column) * shape.padded;
  Pairs<W> upper[lanes];
  for (int k = 0; k < lanes; ++k) upper[k] = tap_row<W>(window, 0, k * W);
  for (int r = 0; r < shape.n; ++r) {
    // The rows of the object are too far apart for the CPU's own prefetching.
    const float* ahead = window.origin + (r + band) * window.stride;
    for (int k = 0; k <= 2 * lane_padding; k += lane_padding) PF_PREFETCH(ahead + k);
#pragma GCC unroll 4
    for (int k = 0; k < lanes; ++k) {
      const auto lower = tap_row<W>(window, r + 1, k * W);
      const auto patch = separated<W>(patch_value<W>(window, upper[k], lower));
      const ptrdiff_t re = r * panel_row + k * W, im = re + lane_padding;
      const auto wave = exit_wave(patch, load<float, W>(probe_rows + re), load<float, W>(probe_rows + im));
      store<float, W>(rows + re, wave.re);
      store<float, W>(rows + im, wave.im);
      upper[k] = lower;
    }
  }
  for (int i = shape.n * panel_row; i < shape.padded * panel_row; ++i) rows[i] = 0;
  transform_panel<W>(axis, rows, scratch, Keep<float, W>{rows, rows + lane_padding});
}

// From the panels of columns of the field to one panel of rows.
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

// From the order of the transform to that of the detector, for a panel of rows; the dose is applied on the way.
template <int W>
inline void write_rows(const float* sum, Shape shape, const AxisPlan& axis, int row, float dose, float* out) {
  const int n = shape.n, *position = axis.position_of_pixel, *pixel = axis.pixel_of_position;
  const float unitary = unitary_factor(n);
  for (int r = 0; r < lane_padding && row + r < n; r += W) {
    const int height = n - row - r < W ? n - row - r : W;
    for (int c = 0; c < n; c += W) {
      const int width = n - c < W ? n - c : W;
      lane<float, W> tile[W];
      for (int i = 0; i < W; ++i)
        tile[i] =
            expected_photons(load<float, W>(sum + position[i < width ? c + i : c] * panel_row + r), unitary, dose);
      transpose<W>(tile);
      for (int i = 0; i < height; ++i) store_first<W>(out + int64_t(pixel[row + r + i]) * n + c, tile[i], width);
    }
  }
}

// Phase 2, item = a panel of rows: the transform along the column index, the intensity, and after the last mode the
// rows of the result (n, n).
template <int W>
inline void transform_rows(const ProbePanels& probe, int mode, Shape shape, const AxisPlan& axis, int row,
                           const Scratch& scratch, float dose, float* out) {
  float* sum = scratch.line;
  if (probe.modes > 1) sum = scratch.sum + ptrdiff_t(row / panel_row * panel_row) * shape.padded + row % panel_row;
  transpose_panel<W>(scratch.field, shape, row, scratch.line);
  transform_panel<W>(axis, scratch.line, scratch, AddIntensity<W>{sum, mode == 0});
  if (mode == probe.modes - 1) write_rows<W>(sum, shape, axis, row, dose, out);
}

// All phases of one pattern: (n, n) expected photons, or intensities if the dose factor is 1.
template <int W>
inline void expose(const Slice& object, const Placement& place, const ProbePanels& probe, const Shape& shape,
                   const AxisPlan& axis, const Scratch& scratch, float dose, float* out) {
  for (int mode = 0; mode < probe.modes; ++mode) {
    for (int c = 0; c < shape.n; c += lane_padding)
      transform_columns<W>(object, place, probe, mode, shape, axis, c, scratch);
    for (int r = 0; r < shape.n; r += lane_padding) transform_rows<W>(probe, mode, shape, axis, r, scratch, dose, out);
  }
}

}  // namespace PF_ISA
}  // namespace pf
