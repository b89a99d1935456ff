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

// A row of `columns` taps from object row and column (row, start) on, which may lie outside the object.
inline void copy_taps(const Slice& object, Boundary boundary, int64_t row, int64_t start, int64_t columns, float* to) {
  const auto nearest = [](int64_t i, int64_t length) { return i < 0 ? 0 : i < length ? i : length - 1; };
  const bool edge = boundary == Boundary::edge;
  const int64_t inner_row = nearest(row, object.rows);
  const float* from = object.data + 2 * inner_row * object.columns;
  // Taps first ... past - 1 are inside the object.
  const int64_t first = nearest(-start, columns + 1);
  const int64_t past = row != inner_row && !edge ? first : nearest(object.columns - start, columns + 1);
  const auto fill = [&](int64_t begin, int64_t end) {
    const float* pixel = from + 2 * nearest(start + begin, object.columns);  // all of them have the same
    const float re = edge ? pixel[0] : boundary == Boundary::vacuum ? 1 : 0, im = edge ? pixel[1] : 0;
    for (int64_t c = begin; c < end; ++c) {
      to[2 * c] = re;
      to[2 * c + 1] = im;
    }
  };
  fill(0, first);
  memcpy(to + 2 * first, from + 2 * (start + first), sizeof(float) * 2 * size_t(past - first));
  fill(past, columns);
}

// The taps from patch row and column (r, c) on. If they are all inside the object they are read from it, otherwise from
// a copy that has what the boundary says outside the object.
inline Window open_window(const Slice& object, Boundary boundary, const Placement& at, int r, int c, int rows,
                          int columns, float* copy) {
  const int64_t top = at.row + r, start = at.column + c;
  if (top >= 0 && top + rows <= object.rows && start >= 0 && start + columns <= object.columns)
    return {
        object.data + 2 * (top * object.columns + start), 2 * object.columns, at.left, at.right, at.upper, at.lower};
  for (int64_t row = top; row < top + rows; ++row)
    copy_taps(object, boundary, row, start, columns, copy + 2 * columns * (row - top));
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
inline void patch_band(const Slice& object, Boundary boundary, const Placement& at, Shape shape, int first, float* copy,
                       float* out) {
  const int n = shape.n, rows = n - first < band ? n - first : band;
  const Window window = open_window(object, boundary, at, first, 0, rows + 1, shape.padded + 1, copy);
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
