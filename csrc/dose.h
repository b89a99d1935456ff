// From the far field to what the detector gives, one pixel (or lane of pixels) at a time:
//
//   intensity  I   = sum |F|^2 / (S N^2)        over modes and S sub-exposures; F = plain, not normalised, Fourier
//                                               transform of the exit wave; in the near field sum |psi|^2 / S
//   dose       lam = float32(s^2 f) * I         expected photons; s is the intensity scale, f the pattern's dose factor
//   photons    k   ~ Poisson(lam)               poisson.h
//   amplitude  A   = sqrt(k) / s
//
// This is the only place where the dose is applied.
#pragma once
#include "complex.h"
#include "lane_math.h"
#include "model.h"

namespace pf {
inline namespace PF_ISA {

// Rates above are not counted: the counts might not fit 32 bits.
constexpr float largest_rate = 2147483648.0f;  // 2^31 photons in one pixel

// Photons for each unit of intensity: float32(s^2 f), or 1 where the intensity before the dose is asked for.
PF_HD float dose_factor(Result result, double scale, double factor) {
  return result == Result::intensity ? 1.0f : float(scale * scale * factor);
}

// 1 / (S N^2), in the near field 1 / S: it makes a transform unitary, and a mean of the sum over sub-exposures.
PF_HD float mean_factor(int n, int sub_exposures, bool near) {
  return 1 / ((near ? 1 : float(n) * float(n)) * float(sub_exposures));
}

// Sum of intensities -> expected photons.
template <class V>
PF_HD V expected_photons(V sum, float mean, float dose) {
  return sum * mean * dose;
}

// Adds |x|^2 to the sum of intensities. The first wave starts the sum.
template <int W>
struct AddIntensity {
  float* sum;
  bool first;
  PF_HD void operator()(ptrdiff_t at, Complex<lane<float, W>> x) const {
    auto intensity = squared_modulus(x);
    if (!first) intensity = load<float, W>(sum + at) + intensity;
    store<float, W>(sum + at, intensity);
  }
};

// sqrt(k) / s. By IEEE 754 the square root is correctly rounded, in a vector as in a scalar.
PF_HD float amplitude_of(uint32_t count, double scale) { return float(root(double(count)) / scale); }

// A count in 16 bits; larger ones become 65535.
PF_HD uint16_t saturated(uint32_t count) { return uint16_t(count < 0xffff ? count : 0xffff); }

}  // namespace PF_ISA
}  // namespace pf
