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

constexpr int band = 8;  // rows of the object that are read side by side

PF_HD ptrdiff_t panel_offset(const Shape& shape, int r, int c) {
  return (ptrdiff_t(c / lane_padding) * shape.padded + r) * lane_padding + c % lane_padding;
}

// Phase 1, item = a band of rows: exit wave of a mode. Rows and columns beyond the patch become zero.
template <int W>
inline void exit_wave(Window window, const Probe& probe, int mode, Shape shape, int first_row, const Scratch& scratch) {
  const float *probe_re = probe.re + int64_t(mode) * shape.n * shape.padded,
              *probe_im = probe.im + (probe_re - probe.re);
  float *re = scratch.re, *im = scratch.im;
  const int last_row = first_row + band < shape.n ? first_row + band : shape.n;
  for (int c = 0; c < shape.n; c += W) {
    auto upper = tap_row<W>(window, first_row, c);
    for (int r = first_row; r < last_row; ++r) {
      const auto lower = tap_row<W>(window, r + 1, c);
      const auto o = separated<W>(patch_value<W>(window, upper, lower));
      const ptrdiff_t at_probe = ptrdiff_t(r) * shape.padded + c, at = panel_offset(shape, r, c);
      const auto p_re = load<float, W>(probe_re + at_probe), p_im = load<float, W>(probe_im + at_probe);
      store<float, W>(re + at, p_re * o.re - p_im * o.im);
      store<float, W>(im + at, p_re * o.im + p_im * o.re);
      upper = lower;
    }
    for (int r = shape.n; r < shape.padded && last_row == shape.n; ++r) {
      const ptrdiff_t at = panel_offset(shape, r, c);
      store<float, W>(re + at, lane<float, W>{});
      store<float, W>(im + at, lane<float, W>{});
    }
  }
}

template <int W, class Out>
inline void transform_line(const AxisPlan& axis, float* re, float* im, const Scratch& scratch, const Out& out) {
  if (axis.mixed_radix)
    fft_line<float, W>(axis.fft, re, im, lane_padding, out);
  else
    chirp_line<W>(axis.chirp, axis.n, re, im, lane_padding, scratch.chirp_re, scratch.chirp_im, out);
}

// Phase 2, item = a lane of columns: the transform along the rows' index.
template <int W>
inline void transform_columns(const Shape& shape, const AxisPlan& axis, int c, const Scratch& scratch) {
  const ptrdiff_t top = panel_offset(shape, 0, c);
  float *re = scratch.re + top, *im = scratch.im + top;
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

// Phase 3, item = a pair of tiles that change places.
template <int W>
inline void transpose_tiles(float* plane, Shape shape, int i, int j) {
  lane<float, W> a[W], b[W];
  float *at_a = plane + panel_offset(shape, i, j), *at_b = plane + panel_offset(shape, j, i);
  for (int r = 0; r < W; ++r) {
    a[r] = load<float, W>(at_a + r * lane_padding);
    b[r] = load<float, W>(at_b + r * lane_padding);
  }
  transpose<W>(a);
  transpose<W>(b);
  for (int r = 0; r < W; ++r) {
    store<float, W>(at_b + r * lane_padding, a[r]);
    store<float, W>(at_a + r * lane_padding, b[r]);
  }
}

// Adds |x|^2 of the first mode to nothing, of the others to what there is.
template <int W>
struct AddIntensity {
  float* sum;
  bool first;
  PF_HD void operator()(ptrdiff_t at, Complex<lane<float, W>> x) const {
    auto intensity = x.re * x.re + x.im * x.im;
    if (!first) intensity = load<float, W>(sum + at) + intensity;
    store<float, W>(sum + at, intensity);
  }
};

// Phase 4, item = a lane of (transposed) rows: the transform along the columns' index, and its intensity.
template <int W>
inline void transform_rows(int mode, const Shape& shape, const AxisPlan& axis, int c, const Scratch& scratch) {
  const ptrdiff_t top = panel_offset(shape, 0, c);
  transform_line<W>(axis, scratch.re + top, scratch.im + top, scratch, AddIntensity<W>{scratch.sum + top, mode == 0});
}

// Phase 5, item = a tile of the detector: back from transposed positions to pixels, and the transform's 1 / N^2.
template <int W>
inline void write_intensity(const float* sum, Shape shape, const AxisPlan& axis, int position, int column, float* out) {
  const int n = shape.n, width = n - column < W ? n - column : W, height = n - position < W ? n - position : W;
  const float unitary = 1 / (float(n) * float(n));
  lane<float, W> tile[W];
  for (int i = 0; i < W; ++i) {
    const int pixel = i < width ? column + i : column;
    tile[i] = load<float, W>(sum + panel_offset(shape, axis.position_of_pixel[pixel], position)) * unitary;
  }
  transpose<W>(tile);
  for (int i = 0; i < height; ++i)
    store_first<W>(out + int64_t(axis.pixel_of_position[position + i]) * n + column, tile[i], width);
}

// The phases of one pattern in turn: (n, n) intensities before dose.
template <int W>
inline void intensity(const Window& window, const Probe& probe, const Shape& shape, const AxisPlan& axis,
                      const Scratch& scratch, float* out) {
  for (int mode = 0; mode < probe.modes; ++mode) {
    for (int r = 0; r < shape.n; r += band) exit_wave<W>(window, probe, mode, shape, r, scratch);
    for (int c = 0; c < shape.n; c += W) transform_columns<W>(shape, axis, c, scratch);
    for (int i = 0; i < shape.padded; i += W)
      for (int j = i; j < shape.padded; j += W) {
        transpose_tiles<W>(scratch.re, shape, i, j);
        transpose_tiles<W>(scratch.im, shape, i, j);
      }
    for (int c = 0; c < shape.n; c += W) transform_rows<W>(mode, shape, axis, c, scratch);
  }
  for (int position = 0; position < shape.n; position += W)
    for (int column = 0; column < shape.n; column += W)
      write_intensity<W>(scratch.sum, shape, axis, position, column, out);
}

inline void expected_photons(float* intensity, int64_t n_pixels, float scale_squared) {
  for (int64_t i = 0; i < n_pixels; ++i) intensity[i] *= scale_squared;
}

// sqrt is exact to the last bit by IEEE 754, in a vector as in a scalar.
inline void amplitude(const uint32_t* counts, int64_t n_pixels, double scale, float* out) {
  for (int64_t i = 0; i < n_pixels; ++i) out[i] = float(__builtin_sqrt(double(counts[i])) / scale);
}

}  // namespace PF_ISA
}  // namespace pf
