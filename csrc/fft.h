// The discrete Fourier transform of one line, for a lane of lines at a time:
//   X[k] = sum_t x[t] exp(-2 pi i k t / n)
// Element t of the lines stands at re[t * stride], im[t * stride]. All passes work in place: a butterfly reads and
// writes the same `radix` elements, so the butterflies of one pass may run in any order or at once.
#pragma once
#include "plan.h"
#include "portable.h"

namespace pf {
inline namespace PF_ISA {

template <class V>
struct Complex {
  V re, im;
};

template <class V>
PF_HD Complex<V> operator+(Complex<V> a, Complex<V> b) {
  return {a.re + b.re, a.im + b.im};
}
template <class V>
PF_HD Complex<V> operator-(Complex<V> a, Complex<V> b) {
  return {a.re - b.re, a.im - b.im};
}
template <class V>
PF_HD V squared_modulus(Complex<V> a) {
  return a.re * a.re + a.im * a.im;
}
template <class V, class T>
PF_HD Complex<V> times(Complex<V> a, T re, T im) {
  return {a.re * re - a.im * im, a.re * im + a.im * re};
}
template <class V>
PF_HD Complex<V> times_minus_i(Complex<V> a) {
  return {a.im, -a.re};
}

// --- butterflies: small transforms in registers, natural order in and out ---

template <int R, class T>
struct Dft;

template <class T>
struct Dft<2, T> {
  template <class V>
  static PF_HD void run(Complex<V>* x) {
    const Complex<V> a = x[0], b = x[1];
    x[0] = a + b;
    x[1] = a - b;
  }
};

template <class T>
struct Dft<3, T> {
  template <class V>
  static PF_HD void run(Complex<V>* x) {
    const T sin60 = T(0.86602540378443864676);
    const Complex<V> sum = x[1] + x[2], difference = x[1] - x[2];
    const Complex<V> middle = {x[0].re - sum.re * T(0.5), x[0].im - sum.im * T(0.5)};
    const Complex<V> turned = {difference.im * sin60, -difference.re * sin60};
    x[0] = x[0] + sum;
    x[1] = middle + turned;
    x[2] = middle - turned;
  }
};

template <class T>
struct Dft<4, T> {
  template <class V>
  static PF_HD void run(Complex<V>* x) {
    const Complex<V> a = x[0] + x[2], b = x[0] - x[2], c = x[1] + x[3], d = times_minus_i(x[1] - x[3]);
    x[0] = a + c;
    x[1] = b + d;
    x[2] = a - c;
    x[3] = b - d;
  }
};

template <class T>
struct Dft<5, T> {
  template <class V>
  static PF_HD void run(Complex<V>* x) {
    const T cos72 = T(0.30901699437494742410), cos144 = T(-0.80901699437494742410);
    const T sin72 = T(0.95105651629515357212), sin144 = T(0.58778525229247312917);
    const Complex<V> s1 = x[1] + x[4], d1 = times_minus_i(x[1] - x[4]);
    const Complex<V> s2 = x[2] + x[3], d2 = times_minus_i(x[2] - x[3]);
    const Complex<V> a1 = {x[0].re + (s1.re * cos72 + s2.re * cos144), x[0].im + (s1.im * cos72 + s2.im * cos144)};
    const Complex<V> a2 = {x[0].re + (s1.re * cos144 + s2.re * cos72), x[0].im + (s1.im * cos144 + s2.im * cos72)};
    const Complex<V> b1 = {d1.re * sin72 + d2.re * sin144, d1.im * sin72 + d2.im * sin144};
    const Complex<V> b2 = {d1.re * sin144 - d2.re * sin72, d1.im * sin144 - d2.im * sin72};
    x[0] = x[0] + (s1 + s2);
    x[1] = a1 + b1;
    x[4] = a1 - b1;
    x[2] = a2 + b2;
    x[3] = a2 - b2;
  }
};

template <class T>
struct Dft<8, T> {
  template <class V>
  static PF_HD void run(Complex<V>* x) {
    const T cos45 = T(0.70710678118654752440);
    Complex<V> even[4] = {x[0], x[2], x[4], x[6]}, odd[4] = {x[1], x[3], x[5], x[7]};
    Dft<4, T>::run(even);
    Dft<4, T>::run(odd);
    const Complex<V> turned[4] = {odd[0],
                                  {(odd[1].re + odd[1].im) * cos45, (odd[1].im - odd[1].re) * cos45},
                                  times_minus_i(odd[2]),
                                  {(odd[3].im - odd[3].re) * cos45, -((odd[3].re + odd[3].im) * cos45)}};
    for (int k = 0; k < 4; ++k) {
      x[k] = even[k] + turned[k];
      x[k + 4] = even[k] - turned[k];
    }
  }
};

// What becomes of a line's elements at last: by default they stay in the planes.
template <class T, int W>
struct Keep {
  T *re, *im;
  PF_HD void operator()(ptrdiff_t at, Complex<lane<T, W>> x) const {
    store<T, W>(re + at, x.re);
    store<T, W>(im + at, x.im);
  }
};

// --- one butterfly of one pass: inputs at `first + p * span`, outputs in the same places ---

template <int R, class T, int W, bool twiddled, class Out>
PF_HD void butterfly(const T* re, const T* im, ptrdiff_t origin, ptrdiff_t stride, int first, int span,
                     const T* twiddle, int twiddle_step, const Out& out) {
  Complex<lane<T, W>> x[R];
#pragma GCC unroll 8
  for (int p = 0; p < R; ++p) {
    const ptrdiff_t at = origin + (first + p * span) * stride;
    x[p] = {load<T, W>(re + at), load<T, W>(im + at)};
  }
  Dft<R, T>::run(x);
#pragma GCC unroll 8
  for (int q = 0; q < R; ++q) {
    if (twiddled && q > 0) x[q] = times(x[q], twiddle[2 * q * twiddle_step], twiddle[2 * q * twiddle_step + 1]);
    out(origin + (first + q * span) * stride, x[q]);
  }
}

// All butterflies of a pass, for `lanes` neighbouring lanes of lines. The last pass, of span 1, needs no twiddles.
template <int R, class T, int W, int lanes, class Out>
PF_HD_LARGE void fft_pass(const FftPlan<T>& plan, int span, T* re, T* im, ptrdiff_t stride, Out out) {
  const int n = plan.n, step = n / (R * span);
  const T* twiddle = plan.twiddle;  // held here, because a store to the planes might else be taken to change the plan
  if (span == 1) {
    for (int first = 0; first < n; first += R)
      for (int lane = 0; lane < lanes; ++lane)
        butterfly<R, T, W, false>(re, im, lane * W, stride, first, 1, twiddle, 0, out);
    return;
  }
  for (int block = 0; block < n; block += R * span)
    for (int j = 0; j < span; ++j)
      for (int lane = 0; lane < lanes; ++lane)
        butterfly<R, T, W, true>(re, im, lane * W, stride, block + j, span, twiddle, j * step, Keep<T, W>{re, im});
}

template <class T, int W, int lanes, class Out>
PF_HD_LARGE void fft_line(const FftPlan<T>& plan, T* re, T* im, ptrdiff_t stride, const Out& out) {
  for (int p = 0; p < plan.n_passes; ++p) {
    const int span = plan.span[p];
    switch (plan.radix[p]) {
      case 8: fft_pass<8, T, W, lanes>(plan, span, re, im, stride, out); break;
      case 5: fft_pass<5, T, W, lanes>(plan, span, re, im, stride, out); break;
      case 4: fft_pass<4, T, W, lanes>(plan, span, re, im, stride, out); break;
      case 3: fft_pass<3, T, W, lanes>(plan, span, re, im, stride, out); break;
      default: fft_pass<2, T, W, lanes>(plan, span, re, im, stride, out);
    }
  }
}

// Any length, through a convolution with a chirp: k t = (k^2 + t^2 - (k - t)^2) / 2. The result is in natural order.
// The work planes hold two lines of length m for W lanes each, an element `step` numbers after the last.
template <int W, class Out>
PF_HD_LARGE void chirp_line(const ChirpPlan& plan, int n, const float* re, const float* im, ptrdiff_t origin,
                            ptrdiff_t stride, double* work_re, double* work_im, ptrdiff_t step, const Out& out) {
  using V = lane<double, W>;
  const int m = plan.fft.n;
  double *second_re = work_re + m * step, *second_im = work_im + m * step;
  for (int t = 0; t < m; ++t) {
    Complex<V> x = {V{}, V{}};
    if (t < n) {
      x = {convert<double, float, W>(load<float, W>(re + origin + t * stride)),
           convert<double, float, W>(load<float, W>(im + origin + t * stride))};
      x = times(x, plan.chirp[2 * t], plan.chirp[2 * t + 1]);
    }
    store<double, W>(work_re + t * step, x.re);
    store<double, W>(work_im + t * step, x.im);
  }
  fft_line<double, W, 1>(plan.fft, work_re, work_im, step, Keep<double, W>{work_re, work_im});
  // The inverse transform is the conjugate of the forward transform of the conjugate.
  for (int k = 0; k < m; ++k) {
    const ptrdiff_t at = plan.fft.at[k] * step;
    const Complex<V> x = times(Complex<V>{load<double, W>(work_re + at), load<double, W>(work_im + at)},
                               plan.filter[2 * k], plan.filter[2 * k + 1]);
    store<double, W>(second_re + k * step, x.re);
    store<double, W>(second_im + k * step, -x.im);
  }
  fft_line<double, W, 1>(plan.fft, second_re, second_im, step, Keep<double, W>{second_re, second_im});
  for (int k = 0; k < n; ++k) {
    const ptrdiff_t at = plan.fft.at[k] * step;
    const Complex<V> x = times(Complex<V>{load<double, W>(second_re + at), -load<double, W>(second_im + at)},
                               plan.chirp[2 * k], plan.chirp[2 * k + 1]);
    out(origin + k * stride, {convert<float, double, W>(x.re), convert<float, double, W>(x.im)});
  }
}

}  // namespace PF_ISA
}  // namespace pf
