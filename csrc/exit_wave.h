// The exit wave: psi[m, r, c] = probe[m, r, c] * patch[r, c].
#pragma once
#include "complex.h"

namespace pf {
inline namespace PF_ISA {

// `patch` is the object under the probe (patch.h); probe_re and probe_im are the same pixels of one probe mode.
template <class V>
PF_HD Complex<V> exit_wave(Complex<V> patch, V probe_re, V probe_im) {
  return times(patch, probe_re, probe_im);
}

}  // namespace PF_ISA
}  // namespace pf
