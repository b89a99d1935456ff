// Tables of the Fourier transforms, as plain data. The driver makes them once per call (cpu/tables.h) and the kernels
// of every instruction set read them. There are no functions here: a function in this header would be compiled for
// several instruction sets under one name.
#pragma once
#include "portable.h"

namespace pf {

constexpr int max_passes = 12;  // 2^12 = 4096 is the longest transform

// A complex transform of length n as in-place passes (decimation in frequency). Pass p has n / radix[p] butterflies,
// whose inputs are span[p] elements apart. After the last pass frequency k is at position at[k].
template <class T>
struct FftPlan {
  int n;
  int n_passes;
  int radix[max_passes];
  int span[max_passes];
  const T* twiddle;  // (n, 2): exp(-2 pi i t / n)
  const int* at;     // (n,)
};

// A transform of any length n as a convolution (Bluestein 1970) of length m >= 2 n - 1, in double precision.
struct ChirpPlan {
  FftPlan<double> fft;   // length m
  const double* chirp;   // (n, 2): exp(-i pi t^2 / n)
  const double* filter;  // (m, 2): transform of the conjugate chirp, divided by m
};

// One axis of the detector. `position` is the place of a frequency after the transform; `pixel` is its place on the
// detector, where frequency zero is at n / 2.
struct AxisPlan {
  int n;
  bool mixed_radix;  // n = 2^a 3^b 5^c: `fft`, in single precision; otherwise `chirp`
  FftPlan<float> fft;
  ChirpPlan chirp;
  const int* position_of_pixel;  // (n,)
  const int* pixel_of_position;  // (n,)
};

}  // namespace pf
