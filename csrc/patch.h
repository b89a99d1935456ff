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

// A rectangle of taps, readable from `origin` on, and the weights.
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

// Every other number of two vectors, starting at `odd`. With eight numbers halves are exchanged first: within pieces of
// four numbers the rest is cheap.
template <int W, int odd, int... I>
PF_HD lane<float, W> every_other(Pairs<W> x, Indices<I...>) {
  if constexpr (W == 8) {
    const lane<float, W> low = PF_SHUFFLE(x.first, x.second, float, W, (I % 4 + I / 4 * W)...);
    const lane<float, W> high = PF_SHUFFLE(x.first, x.second, float, W, (I % 4 + 4 + I / 4 * W)...);
    return PF_SHUFFLE(low, high, float, W, (I / 4 * 4 + I % 2 * 2 + odd + (I % 4 / 2) * W)...);
  } else {
    return PF_SHUFFLE(x.first, x.second, float, W, (2 * I + odd)...);
  }
}

template <int W>
PF_HD Complex<lane<float, W>> separated(Pairs<W> x) {
  if constexpr (W == 1)
    return {x.first, x.second};
  else
    return {every_other<W, 0>(x, typename make_indices<W>::type()),
            every_other<W, 1>(x, typename make_indices<W>::type())};
}

// A point between two samples; the weights add up to one.
template <class V>
PF_HD V between(V a, float weight_a, V b, float weight_b) {
  return a * weight_a + b * weight_b;
}

// One tap row, interpolated along the columns, at patch columns c ... c + W - 1.
template <int W>
PF_HD Pairs<W> tap_row(const Window& window, int row, int c) {
  const float* at = window.origin + row * window.stride + 2 * c;
  return {between(load<float, W>(at), window.left, load<float, W>(at + 2), window.right),
          between(load<float, W>(at + W), window.left, load<float, W>(at + W + 2), window.right)};
}

template <int W>
PF_HD Pairs<W> patch_value(const Window& window, Pairs<W> upper, Pairs<W> lower) {
  return {between(upper.first, window.upper, lower.first, window.lower),
          between(upper.second, window.upper, lower.second, window.lower)};
}

// The taps from patch row and column (r, c) on. Where they all lie within the object they are read in place, else from
// a copy with zeros outside the object.
inline Window open_window(const Object& object, const Placement& at, int r, int c, int rows, int columns, float* copy) {
  const int64_t top = at.row + r, start = at.column + c;
  if (top >= 0 && top + rows <= object.rows && start >= 0 && start + columns <= object.columns)
    return {
        object.data + 2 * (top * object.columns + start), 2 * object.columns, at.left, at.right, at.upper, at.lower};
  const int64_t first = start < 0 ? -start : 0;
  const int64_t past = object.columns - start < columns ? object.columns - start : columns;
  for (int64_t row = top; row < top + rows; ++row) {
    float* to = copy + 2 * columns * (row - top);
    memset(to, 0, sizeof(float) * 2 * columns);
    if (row >= 0 && row < object.rows && first < past)
      memcpy(to + 2 * first, object.data + 2 * (row * object.columns + start + first),
             sizeof(float) * 2 * (past - first));
  }
  return {copy, 2 * columns, at.left, at.right, at.upper, at.lower};
}

// The patch, (n, n) complex, from row `first` to the end of its band.
template <int W>
inline void patch_band(const Object& object, const Placement& at, Shape shape, int first, float* copy, float* out) {
  const int n = shape.n, rows = n - first < band ? n - first : band;
  const Window window = open_window(object, at, first, 0, rows + 1, shape.padded + 1, copy);
  for (int c = 0; c < n; c += W) {
    auto upper = tap_row<W>(window, 0, c);
    for (int r = 0; r < rows; ++r) {
      const auto lower = tap_row<W>(window, r + 1, c), value = patch_value<W>(window, upper, lower);
      float* to = out + 2 * (int64_t(first + r) * n + c);
      const int floats = 2 * (n - c);
      store_first<W>(to, value.first, floats);
      if (floats > W) store_first<W>(to + W, value.second, floats - W);
      upper = lower;
    }
  }
}

}  // namespace PF_ISA
}  // namespace pf
