// Tables of the Fourier transforms, as plain data. The driver makes them (cpu/tables.h) and the kernels of every
// instruction set read them. There are no functions here: a function in this header would be compiled for several
// instruction sets under one name.
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

// One axis of the detector. `position` is the place of a frequency after the transform; `pixel` is its place on the
// detector, where frequency zero is at n / 2. Where n has a prime factor above 13, its transform is a convolution with
// a chirp (Bluestein 1970) of length m >= 2 n - 1, and `chirp` is not null.
struct AxisPlan {
  int n;
  FftPlan<float> fft;            // of length n, or m
  const float* chirp;            // (n, 2): exp(-i pi t^2 / n)
  const float* filter;           // (m, 2): transform of the conjugate chirp, by positions, divided by m
  const int* position_of_pixel;  // (n,)
  const int* pixel_of_position;  // (n,)
};

}  // namespace pf
