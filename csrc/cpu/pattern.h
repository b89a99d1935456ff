// One pattern on a CPU, from the object to the intensity or the expected photons; cuda/pattern.h is the same for a GPU.
//
//   patch      o[r, c]     bilinear sample of the object                patch.h
//   exit wave  psi = probe[m] o                                         exit_wave.h
//   slices     psi = o IFFT2(between FFT2(psi)), slice by slice         fft.h
//   near field psi = IFFT2(near FFT2(psi)), I = sum |psi|^2 / S         fft.h
//   far field  F   = FFT2(psi)                                          fft.h
//   intensity  I   = sum |F|^2 / (S N^2) over modes and sub-exposures, zero frequency at (N/2, N/2)    dose.h
//   detector   bin, spread                                              image.h
//   dose       lam = s^2 f I                                            dose.h
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
#include "image.h"
#include "patch.h"

namespace pf {
inline namespace PF_ISA {

template <int W, class Out>
inline void transform_panel(const AxisPlan& axis, float* rows, const Scratch& scratch, const Out& out) {
  float *re = rows, *im = rows + lane_padding;
  if (!axis.chirp) return fft_line<float, W, lane_padding / W>(axis.fft, re, im, panel_row, out);
  for (int c = 0; c < lane_padding; c += W)
    chirp_line<W>(axis, re, im, c, panel_row, scratch.chirp, scratch.chirp + W, 2 * W, out);
}

template <int W, class Out>
inline void transform_panel_back(const AxisPlan& axis, float* rows, const Scratch& scratch, const Out& out) {
  float *re = rows, *im = rows + lane_padding;
  if (!axis.chirp) return fft_line_back<float, W, lane_padding / W>(axis.fft, re, im, panel_row, out);
  for (int c = 0; c < lane_padding; c += W)
    chirp_line<W>(axis, im, re, c, panel_row, scratch.chirp, scratch.chirp + W, 2 * W, Exchanged<Out>{out});
}

// Before phase 1, for the same item: a mode with the weights of a pattern.
template <int W>
inline void weigh_probe(const ProbePanels& probe, const float* weights, int mode, int modes, Shape shape, int column,
                        float* out) {
  const ptrdiff_t plane = 2 * ptrdiff_t(shape.padded) * shape.n;
  const ptrdiff_t first = 2 * ptrdiff_t(column) * shape.n, last = first + shape.n * panel_row;
  for (ptrdiff_t i = first; i < last; i += W)
    store<float, W>(out + i, weighted(weights, mode, modes, probe.planes,
                                      [&](int p) { return load<float, W>(probe.data + p * plane + i); }));
}

// Phase 1, item = a panel of columns: the exit wave of a mode behind a slice, and its transform along the row index.
// `wave` is a panel of what falls on the slice. The padding becomes zero: in columns because the padded probe is zero
// there, in rows so that the next phase reads nothing undefined.
template <int W>
inline void transform_columns(const Slice& object, Boundary boundary, const Placement& place, const float* wave,
                              Shape shape, const AxisPlan& axis, int column, const Scratch& scratch) {
  constexpr int lanes = lane_padding / W;
  const Window window = open_window(object, boundary, place, 0, column, shape.n + 1, lane_padding + 1, scratch.window);
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
      const auto exit = exit_wave(patch, load<float, W>(wave + re), load<float, W>(wave + im));
      store<float, W>(rows + re, exit.re);
      store<float, W>(rows + im, exit.im);
      upper[k] = lower;
    }
  }
  for (int i = shape.n * panel_row; i < shape.padded * panel_row; ++i) rows[i] = 0;
  transform_panel<W>(axis, rows, scratch, Keep<float, W>{rows, rows + lane_padding});
}

// From the panels of columns of the field to one panel of rows, or back.
template <int W, bool back = false>
inline void transpose_panel(float* field, Shape shape, int row, float* line) {
  for (int c = 0; c < shape.padded; c += W) {
    float* panel = field + 2 * ptrdiff_t(c / lane_padding * lane_padding) * shape.padded;
    for (int r = 0; r < panel_row; r += W) {  // real, then imaginary parts
      const int part = r / lane_padding * lane_padding;
      float* in_field = panel + (row + r - part) * panel_row + part + c % lane_padding;
      float* in_line = line + c * panel_row + r;
      float *from = back ? in_line : in_field, *to = back ? in_field : in_line;
      lane<float, W> tile[W];
      for (int i = 0; i < W; ++i) tile[i] = load<float, W>(from + i * panel_row);
      transpose<W>(tile);
      for (int i = 0; i < W; ++i) store<float, W>(to + i * panel_row, tile[i]);
    }
  }
}

// To another plane, item = a panel of rows: the transform along the column index, times the transfer function, and
// back. The padding stays zero.
template <int W>
inline void propagate_rows(TransferPanels transfer, Shape shape, const AxisPlan& axis, int row,
                           const Scratch& scratch) {
  float *re = scratch.line, *im = re + lane_padding;
  const float* factor = transfer + 2 * ptrdiff_t(row) * shape.n;
  transpose_panel<W>(scratch.field, shape, row, scratch.line);
  transform_panel<W>(axis, scratch.line, scratch, KeepTimes<float, W>{re, im, factor, factor + lane_padding});
  transform_panel_back<W>(axis, scratch.line, scratch, Keep<float, W>{re, im});
  transpose_panel<W, true>(scratch.field, shape, row, scratch.line);
}

// The same plane, item = a panel of columns: back along the row index, then on as behind the first slice.
template <int W>
inline void transform_next_columns(const Slice& object, Boundary boundary, const Placement& place, Shape shape,
                                   const AxisPlan& axis, int column, const Scratch& scratch) {
  float* rows = scratch.field + 2 * ptrdiff_t(column) * shape.padded;
  transform_panel_back<W>(axis, rows, scratch, Keep<float, W>{rows, rows + lane_padding});
  transform_columns<W>(object, boundary, place, rows, shape, axis, column, scratch);
}

// From the order of the transform to that of the detector, for a panel of rows; the dose is applied on the way.
template <int W>
inline void write_rows(const float* sum, Shape shape, const AxisPlan& axis, int row, float mean, float dose,
                       float* out) {
  const int n = shape.n, *position = axis.position_of_pixel, *pixel = axis.pixel_of_position;
  for (int r = 0; r < lane_padding && row + r < n; r += W) {
    const int height = n - row - r < W ? n - row - r : W;
    for (int c = 0; c < n; c += W) {
      const int width = n - c < W ? n - c : W;
      lane<float, W> tile[W];
      for (int i = 0; i < W; ++i)
        tile[i] = expected_photons(load<float, W>(sum + position[i < width ? c + i : c] * panel_row + r), mean, dose);
      transpose<W>(tile);
      for (int i = 0; i < height; ++i) store_first<W>(out + int64_t(pixel[row + r + i]) * n + c, tile[i], width);
    }
  }
}

// Where the intensities of one wave are added, for a panel that begins at row (or column) `first`: to the sum over all
// waves, or, if there is only one, in place of that wave.
inline float* sums_of(const Scratch& scratch, Shape shape, int waves, int first, float* alone) {
  if (waves == 1) return alone;
  return scratch.sum + ptrdiff_t(first / panel_row * panel_row) * shape.padded + first % panel_row;
}

// Phase 2, item = a panel of rows: the transform along the column index, the intensity of wave number `wave`, and after
// the last one the rows of the result (n, n).
template <int W>
inline void transform_rows(int wave, int waves, Shape shape, const AxisPlan& axis, int row, const Scratch& scratch,
                           float mean, float dose, float* out) {
  float* sum = sums_of(scratch, shape, waves, row, scratch.line);
  transpose_panel<W>(scratch.field, shape, row, scratch.line);
  transform_panel<W>(axis, scratch.line, scratch, AddIntensity<W>{sum, wave == 0});
  if (wave == waves - 1) write_rows<W>(sum, shape, axis, row, mean, dose, out);
}

// In the near field in place of phase 2, after propagate_rows; item = a panel of columns: back along the row index, the
// intensity, and after the last wave the columns of the result (n, n).
template <int W>
inline void image_columns(int wave, int waves, Shape shape, const AxisPlan& axis, int column, const Scratch& scratch,
                          float mean, float dose, float* out) {
  const int n = shape.n;
  float* rows = scratch.field + 2 * ptrdiff_t(column) * shape.padded;
  float* sum = sums_of(scratch, shape, waves, column, rows);
  transform_panel_back<W>(axis, rows, scratch, AddIntensity<W>{sum, wave == 0});
  if (wave < waves - 1) return;
  for (int r = 0; r < n; ++r)
    for (int c = 0; c < lane_padding && column + c < n; c += W) {
      const auto rate = expected_photons(load<float, W>(sum + r * panel_row + c), mean, dose);
      store_first<W>(out + int64_t(r) * n + column + c, rate, n - column - c);
    }
}

// The phases that make scratch.image (n, n) the result (N, N), item = a row. The field is no longer needed.
template <int W, class Each>
inline void detect(const Setup& setup, const Scratch& scratch, float dose, float* out, const Each& each) {
  const int n = setup.shape.n, q = setup.bin, side = n / q, length = int(setup.spread.shape[0]);
  const float* half = setup.spread.data;
  float *image = scratch.image, *between = scratch.field, *line = scratch.line;
  if (q > 1) {
    each(1, 1, [&](int) { repeat_rows(image, n, n, q / 2); });
    each(side, 1, [&](int r) { bin_rows<W>(image, n, q, r, between); });
    if (!half) return each(side, 1, [&](int r) { bin_columns(between, n, q, r, line, dose, out); });
    each(side, 1, [&](int r) { bin_columns(between, n, q, r, line, 1, image); });
  }
  each(1, 1, [&](int) { repeat_rows(image, side, side, length - 1); });
  each(side, rows_together, [&](int r) { spread_rows<W>(image, side, half, length, r, line, dose, out); });
}

// All phases of one pattern: (N, N) expected photons, or intensities if the dose factor is 1. `each` does the items of
// a phase: each(last, step, work) calls work(item) for 0, step, 2 step ... below `last`.
template <int W, class Each>
inline void expose(const Setup& setup, const double* path, const float* weights, const Scratch& scratch, float dose,
                   float* out, const Each& each) {
  const Shape shape = setup.shape;
  const AxisPlan& axis = *setup.axis;
  const Slice object = setup.object.slice(0);
  const int n = shape.n, waves = setup.modes * setup.sub_exposures;
  const bool direct = setup.bin == 1 && !setup.spread;
  float* to = direct ? out : scratch.image;
  const float mean = mean_factor(n, setup.sub_exposures, setup.near), factor = direct ? dose : 1;
  for (int wave = 0; wave < waves; ++wave) {
    const int mode = wave / setup.sub_exposures, part = wave % setup.sub_exposures;
    const float* probe = weights ? scratch.probe : setup.probe.data + 2 * ptrdiff_t(mode) * shape.padded * n;
    const Placement at = place(path[2 * part], path[2 * part + 1], n, object.rows, object.columns);
    each(n, lane_padding, [&](int c) {
      if (weights && part == 0) weigh_probe<W>(setup.probe, weights, mode, setup.modes, shape, c, scratch.probe);
      transform_columns<W>(object, setup.boundary, at, probe + 2 * ptrdiff_t(c) * n, shape, axis, c, scratch);
    });
    for (int64_t number = 1; number < setup.object.slices; ++number) {
      const Slice slice = setup.object.slice(number);
      each(n, lane_padding, [&](int r) { propagate_rows<W>(setup.between, shape, axis, r, scratch); });
      each(n, lane_padding,
           [&](int c) { transform_next_columns<W>(slice, setup.boundary, at, shape, axis, c, scratch); });
    }
    if (setup.near) {
      each(n, lane_padding, [&](int r) { propagate_rows<W>(setup.near, shape, axis, r, scratch); });
      each(n, lane_padding, [&](int c) { image_columns<W>(wave, waves, shape, axis, c, scratch, mean, factor, to); });
    } else {
      each(n, lane_padding, [&](int r) { transform_rows<W>(wave, waves, shape, axis, r, scratch, mean, factor, to); });
    }
  }
  if (!direct) detect<W>(setup, scratch, dose, out, each);
}

}  // namespace PF_ISA
}  // namespace pf
