// The patch and the exit wave on a GPU, pixel by pixel; cpu/patch.h is the same for lanes.
#pragma once
#include "../exit_wave.h"
#include "../model.h"
#include "../patch.h"
#include "block_fft.h"

namespace pf {
inline namespace PF_ISA {

// Taps by patch row and column; outside the object there is what the boundary says.
struct AnyTaps {
  const Pair* object;
  int64_t rows, columns, top, left;
  Boundary boundary;
  PF_HD static int64_t nearest(int64_t i, int64_t length) { return i < 0 ? 0 : i < length ? i : length - 1; }
  PF_HD Pair operator()(int r, int c) const {
    const int64_t row = top + r, column = left + c;
    if (row >= 0 && row < rows && column >= 0 && column < columns) return object[row * columns + column];
    if (boundary == Boundary::edge) return object[nearest(row, rows) * columns + nearest(column, columns)];
    return {boundary == Boundary::vacuum ? 1.0f : 0.0f, 0};
  }
};

// Taps that are all inside an object of less than 4 GiB: no tests, and an address takes one register.
struct InnerTaps {
  const char* object;
  uint32_t first, pitch;  // bytes
  PF_HD Pair operator()(int r, int c) const {
    return *reinterpret_cast<const Pair*>(object +
                                          (first + uint32_t(r) * pitch + uint32_t(c) * uint32_t(sizeof(Pair))));
  }
};

// Pixels of the patch, each from four taps.
template <class Taps>
struct Patch {
  Taps tap;
  float left, right, upper, lower;
  PF_HD Complex<float> tap_row(int r, int c) const {
    const Pair a = tap(r, c), b = tap(r, c + 1);
    return {between(a.re, left, b.re, right), between(a.im, left, b.im, right)};
  }
  PF_HD Complex<float> operator()(int r, int c) const {
    const Complex<float> a = tap_row(r, c), b = tap_row(r + 1, c);
    return {between(a.re, upper, b.re, lower), between(a.im, upper, b.im, lower)};
  }
};

// The patches of a scan, or of one of its sub-exposures.
struct Scan {
  Slice object;
  const double* positions;  // (patterns, parts, 2)
  Boundary boundary = Boundary::zero;
  int parts = 1, part = 0;

  PF_HD Placement placement(int64_t pattern, int n) const {
    const double* at = positions + 2 * (pattern * parts + part);
    return place(at[0], at[1], n, object.rows, object.columns);
  }
  PF_HD bool has_inner(const Placement& at, int n) const {
    return at.row >= 0 && at.row + n < object.rows && at.column >= 0 && at.column + n < object.columns &&
           object.rows * object.columns < (int64_t(1) << 32) / int64_t(sizeof(Pair));
  }
  PF_HD Patch<InnerTaps> inner(const Placement& at) const {
    const InnerTaps taps = {reinterpret_cast<const char*>(object.data),
                            uint32_t((at.row * object.columns + at.column) * int64_t(sizeof(Pair))),
                            uint32_t(object.columns * int64_t(sizeof(Pair)))};
    return {taps, at.left, at.right, at.upper, at.lower};
  }
  PF_HD Patch<AnyTaps> any(const Placement& at) const {
    const AnyTaps taps = {
        reinterpret_cast<const Pair*>(object.data), object.rows, object.columns, at.row, at.column, boundary};
    return {taps, at.left, at.right, at.upper, at.lower};
  }
};

// The exit wave of one mode, as the elements of columns from `first_column` on (see block_fft.h).
template <class Taps>
struct FromExitWave {
  static constexpr bool along = false, unrolled = false;
  Patch<Taps> patch;
  const Pair* probe;  // (n, n)
  int n, first_column;
  PF_HD Complex<float> operator()(int row, int line) const {
    const int column = first_column + line;
    const Pair p = probe[row * n + column];
    return exit_wave(patch(row, column), p.re, p.im);
  }
};

}  // namespace PF_ISA
}  // namespace pf
