// The patch on a CPU: taps are read a lane at a time, a row of taps serves the patch rows above and below it.
#pragma once
#include "../lane_shuffle.h"
#include "../model.h"
#include "../patch.h"
#include "layout.h"

namespace pf {
inline namespace PF_ISA {

// A rectangle of taps in memory, from `origin` on, and the weights.
struct Window {
  const float* origin;
  ptrdiff_t stride;  // floats from row to row
  float left, right, upper, lower;
};

// The taps from patch row and column (r, c) on. If they are all inside the object they are read from it, otherwise from
// a copy that has zeros outside the object.
inline Window open_window(const Slice& object, const Placement& at, int r, int c, int rows, int columns, float* copy) {
  const int64_t top = at.row + r, start = at.column + c;
  if (top >= 0 && top + rows <= object.rows && start >= 0 && start + columns <= object.columns)
    return {
        object.data + 2 * (top * object.columns + start), 2 * object.columns, at.left, at.right, at.upper, at.lower};
  const int64_t first = start < 0 ? -start : 0;
  const int64_t past = object.columns - start < columns ? object.columns - start : columns;
  for (int64_t row = top; row < top + rows; ++row) {
    float* to = copy + 2 * columns * (row - top);
    memset(to, 0, sizeof(float) * 2 * size_t(columns));
    if (row >= 0 && row < object.rows && first < past)
      memcpy(to + 2 * first, object.data + 2 * (row * object.columns + start + first),
             sizeof(float) * 2 * size_t(past - first));
  }
  return {copy, 2 * columns, at.left, at.right, at.upper, at.lower};
}

// One row of taps, interpolated along the columns, at patch columns c ... c + W - 1.
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

// A band of the patch (n, n) complex: rows `first` to `first` + band - 1, or to the last row.
template <int W>
inline void patch_band(const Slice& object, const Placement& at, Shape shape, int first, float* copy, float* out) {
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
