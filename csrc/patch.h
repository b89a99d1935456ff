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
  return {j.whole, i.whole, float(1 - i.fraction), float(i.fraction), float(1 - j.fraction), float(j.fraction)};
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

// W complex numbers as they stand in memory, real and imaginary parts in turn.
template <int W>
struct Pairs {
  lane<float, W> first, second;
};

// Every other number of two vectors, starting at `odd`: first within pieces of four numbers, which is cheap, then
// pairs between the pieces.
template <int W, int odd, int... I>
PF_HD lane<float, W> every_other(Pairs<W> x, Indices<I...>) {
  const lane<float, W> y = PF_SHUFFLE(x.first, x.second, float, W, (I / 4 * 4 + I % 2 * 2 + odd + (I % 4 / 2) * W)...);
  if constexpr (W == 4)
    return y;
  else
    return PF_SHUFFLE(y, y, float, W, (I < W / 2 ? I / 2 * 4 + I % 2 : (I - W / 2) / 2 * 4 + 2 + I % 2)...);
}

template <int W>
PF_HD Complex<lane<float, W>> separated(Pairs<W> x) {
  if constexpr (W == 1)
    return {x.first, x.second};
  else
    return {every_other<W, 0>(x, typename make_indices<W>::type()),
            every_other<W, 1>(x, typename make_indices<W>::type())};
}

// One tap row, interpolated along the columns, at patch columns c ... c + W - 1.
template <int W>
PF_HD Pairs<W> tap_row(const Window& window, int row, int c) {
  const float* at = window.origin + row * window.stride + 2 * c;
  return {load<float, W>(at) * window.left + load<float, W>(at + 2) * window.right,
          load<float, W>(at + W) * window.left + load<float, W>(at + W + 2) * window.right};
}

template <int W>
PF_HD Pairs<W> patch_value(const Window& window, Pairs<W> upper, Pairs<W> lower) {
  return {upper.first * window.upper + lower.first * window.lower,
          upper.second * window.upper + lower.second * window.lower};
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

// The patch itself, (n, n) complex. Row by row, because the result is larger than the caches.
template <int W>
inline void patch(Window window, int n, float* out) {
  for (int r = 0; r < n; ++r)
    for (int c = 0; c < n; c += W) {
      const auto value = patch_value<W>(window, tap_row<W>(window, r, c), tap_row<W>(window, r + 1, c));
      float* to = out + 2 * (int64_t(r) * n + c);
      const int floats = 2 * (n - c);
      store_first<W>(to, value.first, floats);
      if (floats > W) store_first<W>(to + W, value.second, floats - W);
    }
}

}  // namespace PF_ISA
}  // namespace pf
