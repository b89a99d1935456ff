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
// A pattern is worked on in phases; between two phases all work of the first is done. Within a phase the items (a lane
// of columns, a tile) touch disjoint data and may run in any order or at once.
#pragma once
#include "patch.h"
#include "poisson.h"

namespace pf {
inline namespace PF_ISA {

template <int W>
inline void transform_line(const AxisPlan& axis, const Shape& shape, float* re, float* im, const Scratch& scratch) {
  if (axis.mixed_radix)
    fft_line<float, W>(axis.fft, re, im, shape.stride);
  else
    chirp_line<W>(axis.chirp, axis.n, re, im, shape.stride, scratch.chirp_re, scratch.chirp_im);
}

// Phase 1, item = a lane of columns: exit wave, then the transform along the rows' index.
template <int W>
inline void transform_columns(const Window& window, const Probe& probe, int mode, const Shape& shape,
                              const AxisPlan& axis, int c, const Scratch& scratch) {
  float *re = scratch.re + c, *im = scratch.im + c;
  const int64_t plane = int64_t(mode) * shape.n * shape.padded + c;
  const float *probe_re = probe.re + plane, *probe_im = probe.im + plane;
  auto upper = tap_row<W>(window, 0, c);
  for (int r = 0; r < shape.n; ++r) {
    const auto lower = tap_row<W>(window, r + 1, c);
    const auto o = patch_value<W>(window, upper, lower);
    const Complex<lane<float, W>> p = {load<float, W>(probe_re + int64_t(r) * shape.padded),
                                       load<float, W>(probe_im + int64_t(r) * shape.padded)};
    store<float, W>(re + r * shape.stride, p.re * o.re - p.im * o.im);
    store<float, W>(im + r * shape.stride, p.re * o.im + p.im * o.re);
    upper = lower;
  }
  for (int r = shape.n; r < shape.padded; ++r) {  // read by the transposition, so that every tile is whole
    store<float, W>(re + r * shape.stride, lane<float, W>{});
    store<float, W>(im + r * shape.stride, lane<float, W>{});
  }
  transform_line<W>(axis, shape, re, im, scratch);
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

// Phase 2, item = a pair of tiles that change places.
template <int W>
inline void transpose_tiles(float* plane, int64_t stride, int i, int j) {
  lane<float, W> a[W], b[W];
  float *at_a = plane + i * stride + j, *at_b = plane + j * stride + i;
  for (int r = 0; r < W; ++r) {
    a[r] = load<float, W>(at_a + r * stride);
    b[r] = load<float, W>(at_b + r * stride);
  }
  transpose<W>(a);
  transpose<W>(b);
  for (int r = 0; r < W; ++r) {
    store<float, W>(at_b + r * stride, a[r]);
    store<float, W>(at_a + r * stride, b[r]);
  }
}

// Phase 3, item = a lane of (transposed) rows: the transform along the columns' index, then the intensity.
template <int W>
inline void transform_rows(int mode, const Shape& shape, const AxisPlan& axis, int c, const Scratch& scratch) {
  float *re = scratch.re + c, *im = scratch.im + c, *sum = scratch.sum + c;
  transform_line<W>(axis, shape, re, im, scratch);
  for (int r = 0; r < shape.n; ++r) {
    const int64_t at = r * shape.stride;
    const auto x = load<float, W>(re + at), y = load<float, W>(im + at);
    auto intensity = x * x + y * y;
    if (mode > 0) intensity = load<float, W>(sum + at) + intensity;
    store<float, W>(sum + at, intensity);
  }
}

// Phase 4, item = a tile of the detector: back from transposed positions to pixels, and the transform's 1 / N^2.
template <int W>
inline void write_intensity(const float* sum, const Shape& shape, const AxisPlan& axis, int position, int column,
                            float* out) {
  const int n = shape.n, width = n - column < W ? n - column : W, height = n - position < W ? n - position : W;
  const float unitary = 1 / (float(n) * float(n));
  lane<float, W> tile[W];
  for (int i = 0; i < W; ++i) {
    const int pixel = i < width ? column + i : column;
    tile[i] = load<float, W>(sum + axis.position_of_pixel[pixel] * shape.stride + position) * unitary;
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
    for (int c = 0; c < shape.n; c += W) transform_columns<W>(window, probe, mode, shape, axis, c, scratch);
    for (int i = 0; i < shape.padded; i += W)
      for (int j = i; j < shape.padded; j += W) {
        transpose_tiles<W>(scratch.re, shape.stride, i, j);
        transpose_tiles<W>(scratch.im, shape.stride, i, j);
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
