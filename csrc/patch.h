// The patch: the object under the probe, by bilinear interpolation; outside the object there are zeros, ones (vacuum)
// or its nearest pixel (edge).
//
//   patch[r, c] = weighted sum of four neighbouring object pixels ("taps"); patch index N/2 is at the position [x, y]
//
// It is computed as two interpolations along the columns and one along the rows. The weights are computed once per
// pattern, in double precision. cpu/patch.h and cuda/patch.h fetch the taps.
#pragma once
#include "portable.h"

namespace pf {
inline namespace PF_ISA {

// Position of the upper left tap of patch pixel (0, 0), and the weights.
struct Placement {
  int64_t row, column;
  float left, right, upper, lower;  // 1 - u, u, 1 - v, v
};

// The integer and the fractional part of a coordinate. A coordinate so far away that the patch is wholly outside the
// object (NaN too) is moved to one that is outside as well, but small enough for an integer.
struct Coordinate {
  int64_t whole;
  double fraction;
};

PF_HD Coordinate split(double x, double low, double high) {
  if (!(x > low)) return {int64_t(low), 0};
  if (!(x < high)) return {int64_t(high), 0};
  const int64_t toward_zero = int64_t(x), whole = double(toward_zero) > x ? toward_zero - 1 : toward_zero;
  return {whole, x - double(whole)};
}

PF_HD Placement place(double x, double y, int n, int64_t rows, int64_t columns) {
  const Coordinate i = split(x - n / 2, -2.0 - n, double(columns) + 1);
  const Coordinate j = split(y - n / 2, -2.0 - n, double(rows) + 1);
  return {j.whole, i.whole, float(1 - i.fraction), float(i.fraction), float(1 - j.fraction), float(j.fraction)};
}

// Interpolates between two numbers; the weights add up to one.
template <class V>
PF_HD V between(V a, float weight_a, V b, float weight_b) {
  return a * weight_a + b * weight_b;
}

}  // namespace PF_ISA
}  // namespace pf
