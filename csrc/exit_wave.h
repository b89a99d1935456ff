// The exit wave: psi[m, r, c] = probe[m, r, c] * patch[r, c]. With weights a pattern has a probe of its own:
//
//   mode m of pattern b = weights[b, m] * plane[m], and to mode 0 the eigenprobes are added:
//   sum_k weights[b, M + k] * plane[M + k]
#pragma once
#include "complex.h"

namespace pf {
inline namespace PF_ISA {

// `patch` is the object under the probe (patch.h); probe_re and probe_im are the same pixels of one probe mode.
template <class V>
PF_HD Complex<V> exit_wave(Complex<V> patch, V probe_re, V probe_im) {
  return times(patch, probe_re, probe_im);
}

// A number (real or imaginary part) of a weighted mode; plane(p) is that number of plane p.
template <class Plane>
PF_HD auto weighted(const float* weights, int mode, int modes, int planes, const Plane& plane) {
  auto sum = plane(mode) * weights[mode];
  if (mode == 0)
    for (int p = modes; p < planes; ++p) sum = sum + plane(p) * weights[p];
  return sum;
}

}  // namespace PF_ISA
}  // namespace pf
