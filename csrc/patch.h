// The object under the probe: bilinear samples, zero outside the object.
//   patch[r, c] = sum of four taps around row r + y - N/2, column c + x - N/2
// evaluated as two interpolations along the columns and one along the rows; u and v are computed in double, once.
#pragma once
#include "fft.h"

namespace pf {
inline namespace PF_ISA {

// Where the upper left tap of patch pixel (0, 0) stands, and the weights.
struct Placement {
  int64_t row, column;
  float left, right, upper, lower;  // 1 - u, u, 1 - v, v
};

// Tap rows and columns readable from `origin` on: n + 1 rows of padded + 1 complex numbers.
struct Window {
  const float* origin;
  ptrdiff_t stride;  // floats from row to row
  float left, right, upper, lower;
};

// The whole and the fractional part of a coordinate; one so far away that the patch lies wholly outside is moved to a
// place that is just as far outside.
struct Split {
  int64_t whole;
  double fraction;
};

PF_HD Split split(double x, double low, double high) {
  if (!(x > low)) return {int64_t(low), 0};
  if (!(x < high)) return {int64_t(high), 0};
  const int64_t toward_zero = int64_t(x), whole = double(toward_zero) > x ? toward_zero - 1 : toward_zero;
  return {whole, x - double(whole)};
}

PF_HD Placement place(double x, double y, int n, int64_t rows, int64_t columns) {
  const Split i = split(x - n / 2, -2.0 - n, double(columns) + 1), j = split(y - n / 2, -2.0 - n, double(rows) + 1);
  return {j.whole,
          i.whole,
          float(1 - i.fraction),
          float(i.fraction),
          float(1 - j.fraction),
          float(j.fraction)};
}

#if defined(__clang__)
#define PF_SHUFFLE(a, b, T, W, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
template <class T>
struct index_of;
template <>
struct index_of<float> {
  using type = int32_t;
};
#define PF_SHUFFLE(a, b, T, W, ...) __builtin_shuffle(a, b, lane<typename index_of<T>::type, W>{__VA_ARGS__})
#endif

template <int... I>
struct Indices {};
template <int n, int... I>
struct make_indices : make_indices<n - 1, n - 1, I...> {};
template <int... I>
struct make_indices<0, I...> {
  using type = Indices<I...>;
};

template <int W, int... I>
PF_HD Complex<lane<float, W>> load_pairs(const float* from, Indices<I...>) {
  const lane<float, W> a = load<float, W>(from), b = load<float, W>(from + W);
  return {PF_SHUFFLE(a, b, float, W, (2 * I)...), PF_SHUFFLE(a, b, float, W, (2 * I + 1)...)};
}

// W complex numbers, stored in pairs, as real and imaginary lanes.
template <int W>
PF_HD Complex<lane<float, W>> load_complex(const float* from) {
  if constexpr (W == 1)
    return {from[0], from[1]};
  else
    return load_pairs<W>(from, typename make_indices<W>::type());
}

// One tap row, interpolated along the columns, at patch columns c ... c + W - 1.
template <int W>
PF_HD Complex<lane<float, W>> tap_row(const Window& window, int row, int c) {
  const float* at = window.origin + row * window.stride + 2 * c;
  const auto a = load_complex<W>(at), b = load_complex<W>(at + 2);
  return {a.re * window.left + b.re * window.right, a.im * window.left + b.im * window.right};
}

template <int W>
PF_HD Complex<lane<float, W>> patch_value(const Window& window, Complex<lane<float, W>> upper,
                                          Complex<lane<float, W>> lower) {
  return {upper.re * window.upper + lower.re * window.lower, upper.im * window.upper + lower.im * window.lower};
}

// A patch within the object is read in place; one that leaves it, or whose padded columns would, is read from a copy
// with zeros around it.
inline Window open_window(const Object& object, const Placement& at, const Shape& shape, float* copy) {
  const Window weights = {nullptr, 0, at.left, at.right, at.upper, at.lower};
  Window window = weights;
  const int taps = shape.n + 1, width = shape.padded + 1;
  if (at.row >= 0 && at.row + taps <= object.rows && at.column >= 0 && at.column + width <= object.columns) {
    window.stride = 2 * object.columns;
    window.origin = object.data + at.row * window.stride + 2 * at.column;
    return window;
  }
  window.stride = 2 * width;
  window.origin = copy;
  const int64_t first = at.column < 0 ? -at.column : 0;
  const int64_t past = object.columns - at.column < taps ? object.columns - at.column : taps;
  for (int r = 0; r < taps; ++r) {
    float* to = copy + r * window.stride;
    memset(to, 0, sizeof(float) * 2 * width);
    const int64_t row = at.row + r;
    if (row >= 0 && row < object.rows && first < past)
      memcpy(to + 2 * first, object.data + 2 * (row * object.columns + at.column + first),
             sizeof(float) * 2 * (past - first));
  }
  return window;
}

template <int W, int... I>
PF_HD void store_pairs(float* to, Complex<lane<float, W>> x, int count, Indices<I...>) {
  store_first<W>(to, PF_SHUFFLE(x.re, x.im, float, W, ((I / 2) + (I % 2) * W)...), 2 * count);
  if (2 * count > W)
    store_first<W>(to + W, PF_SHUFFLE(x.re, x.im, float, W, ((W + I) / 2 + (I % 2) * W)...), 2 * count - W);
}

// The patch itself, (n, n) complex. W is at least 2.
template <int W>
inline void patch(const Window& window, int n, float* out) {
  for (int c = 0; c < n; c += W) {
    auto upper = tap_row<W>(window, 0, c);
    for (int r = 0; r < n; ++r) {
      const auto lower = tap_row<W>(window, r + 1, c);
      store_pairs<W>(out + 2 * (int64_t(r) * n + c), patch_value<W>(window, upper, lower), n - c,
                     typename make_indices<W>::type());
      upper = lower;
    }
  }
}

}  // namespace PF_ISA
}  // namespace pf
