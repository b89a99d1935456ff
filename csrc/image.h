// From the intensities of the transform to those of the detector's pixels:
//
//   bin     q x q pixels of the transform (n = q N a side) make one. A detector's pixel is centred on a pixel of the
//           transform, so for even q it has q + 1 along each axis, of which the outer two count half: their sum is
//           kept.
//   spread  a symmetric kernel along both axes, periodic
//
// Both go along the row index first, then along the column index. Each function makes one pixel, or a lane of them.
#pragma once
#include "portable.h"

namespace pf {
inline namespace PF_ISA {

// The pixel of the transform, along an axis, where the first pixel of the detector begins; it may be below 0, see
// `wrapped`. The pixels n / 2 and N / 2 have the same centre.
PF_HD int first_binned(int n, int q) { return n / 2 - n / q / 2 * q - q / 2; }

// i modulo n, for -n <= i < 2 n.
PF_HD int wrapped(int i, int n) { return i < 0 ? i + n : i < n ? i : i - n; }

// at(t) is the pixel of the transform t pixels behind the first one.
template <class At>
PF_HD auto binned(int q, const At& at) {
  const bool shared = q % 2 == 0;
  auto sum = shared ? at(0) * 0.5f : at(0);
  for (int t = 1; t < q; ++t) sum = sum + at(t);
  return shared ? sum + at(q) * 0.5f : sum;
}

// at(t) is the pixel t pixels further on, t from -length to length; `half` is the kernel from its centre on.
template <class Half, class Length, class At>
PF_HD auto blurred(const Half& half, Length length, const At& at) {
  auto sum = at(0) * half[0];
  for (int t = 1; t < length; ++t) sum = sum + (at(-t) + at(t)) * half[t];
  return sum;
}

}  // namespace PF_ISA
}  // namespace pf
