// The discrete Fourier transform of a line, for a lane of lines at a time:
//
//   X[k] = sum_t x[t] exp(-2 pi i k t / n)
//
// Element t of the lines is at re[t * stride], im[t * stride]. All passes work in place. A butterfly reads and writes
// the same `radix` elements, so the butterflies of one pass may run in any order or at the same time.
//
// The forward transform leaves the frequencies in an order of its own, D = P F, where F is the (symmetric) matrix of
// the transform and P a permutation. Its passes transposed, the last one first, are D' = F P': they take that order and
// leave the natural one. So forward, a product in that order, and back needs no reordering.
#pragma once
#include "complex.h"
#include "fft_plan.h"

namespace pf {
inline namespace PF_ISA {

// The radices of the passes of a transform of length n, in their order; count = 0 where n has a prime factor above 5.
// Large radices first, so that there are few passes.
struct Radices {
  int count;
  int radix[max_passes];
};

PF_HD constexpr Radices radices_of(int n) {
  Radices found = {};
  if (n < 2) return found;
  int twos = 0, rest = n;
  for (; rest % 2 == 0; rest /= 2) ++twos;
  while (rest > 1 || twos > 0) {
    int radix = 0;
    if (twos >= 5 || twos == 3)
      radix = 8, twos -= 3;
    else if (twos >= 2)
      radix = 4, twos -= 2;
    else if (twos == 1)
      radix = 2, twos = 0;
    else if (rest % 5 == 0)
      radix = 5, rest /= 5;
    else if (rest % 3 == 0)
      radix = 3, rest /= 3;
    if (radix == 0 || found.count == max_passes) return {};
    found.radix[found.count++] = radix;
  }
  return found;
}

// --- butterflies: small transforms in registers; x[p] is element p, out(q, value) takes frequency q ---
// Elements are loaded where they are needed, and results are stored as soon as they are known: the eight complex
// numbers of the largest butterfly just fit 16 vector registers.

template <int R, class T>
struct Dft;

template <class T>
struct Dft<2, T> {
  template <class In, class Out>
  static PF_HD void run(const In& x, const Out& out) {
    const auto a = x[0], b = x[1];
    out(0, a + b);
    out(1, a - b);
  }
};

template <class T>
struct Dft<3, T> {
  template <class In, class Out>
  static PF_HD void run(const In& x, const Out& out) {
    const T sin60 = T(0.86602540378443864676);
    const auto x0 = x[0], x1 = x[1], x2 = x[2];
    const auto sum = x1 + x2, difference = x1 - x2;
    const decltype(sum) middle = {x0.re - sum.re * T(0.5), x0.im - sum.im * T(0.5)};
    const decltype(sum) turned = {difference.im * sin60, -difference.re * sin60};
    out(0, x0 + sum);
    out(1, middle + turned);
    out(2, middle - turned);
  }
};

template <class T>
struct Dft<4, T> {
  template <class In, class Out>
  static PF_HD void run(const In& x, const Out& out) {
    const auto x0 = x[0], x2 = x[2], a = x0 + x2, b = x0 - x2;
    const auto x1 = x[1], x3 = x[3], c = x1 + x3, d = times_minus_i(x1 - x3);
    out(0, a + c);
    out(1, b + d);
    out(2, a - c);
    out(3, b - d);
  }
};

template <class T>
struct Dft<5, T> {
  template <class In, class Out>
  static PF_HD void run(const In& x, const Out& out) {
    const T cos72 = T(0.30901699437494742410), cos144 = T(-0.80901699437494742410);
    const T sin72 = T(0.95105651629515357212), sin144 = T(0.58778525229247312917);
    const auto x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3], x4 = x[4];
    const auto s1 = x1 + x4, d1 = times_minus_i(x1 - x4), s2 = x2 + x3, d2 = times_minus_i(x2 - x3);
    using C = decltype(x0 + x1);
    const C a1 = {x0.re + (s1.re * cos72 + s2.re * cos144), x0.im + (s1.im * cos72 + s2.im * cos144)};
    const C a2 = {x0.re + (s1.re * cos144 + s2.re * cos72), x0.im + (s1.im * cos144 + s2.im * cos72)};
    const C b1 = {d1.re * sin72 + d2.re * sin144, d1.im * sin72 + d2.im * sin144};
    const C b2 = {d1.re * sin144 - d2.re * sin72, d1.im * sin144 - d2.im * sin72};
    out(0, x0 + (s1 + s2));
    out(1, a1 + b1);
    out(4, a1 - b1);
    out(2, a2 + b2);
    out(3, a2 - b2);
  }
};

// Every other element.
template <class In>
struct EveryOther {
  const In& x;
  int first;
  PF_HD auto operator[](int p) const { return x[2 * p + first]; }
};

template <class C>
struct ToRegisters {
  C* x;
  PF_HD void operator()(int q, C value) const { x[q] = value; }
};

template <class T>
struct Dft<8, T> {
  template <class In, class Out>
  static PF_HD void run(const In& x, const Out& out) {
    const T cos45 = T(0.70710678118654752440);
    using C = decltype(x[0] + x[0]);
    C even[4], odd[4];
    Dft<4, T>::run(EveryOther<In>{x, 0}, ToRegisters<C>{even});
    Dft<4, T>::run(EveryOther<In>{x, 1}, ToRegisters<C>{odd});
    const C turned[4] = {odd[0],
                         {(odd[1].re + odd[1].im) * cos45, (odd[1].im - odd[1].re) * cos45},
                         times_minus_i(odd[2]),
                         {(odd[3].im - odd[3].re) * cos45, -((odd[3].re + odd[3].im) * cos45)}};
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      out(k, even[k] + turned[k]);
      out(k + 4, even[k] - turned[k]);
    }
  }
};

// What is done with the elements of a line after the last pass: they are stored in the planes,
template <class T, int W>
struct Keep {
  T *re, *im;
  PF_HD void operator()(ptrdiff_t at, Complex<lane<T, W>> x) const {
    store<T, W>(re + at, x.re);
    store<T, W>(im + at, x.im);
  }
};

// or stored there times what `factor` has at the same places,
template <class T, int W>
struct KeepTimes {
  T *re, *im;
  const T *factor_re, *factor_im;
  PF_HD void operator()(ptrdiff_t at, Complex<lane<T, W>> x) const {
    Keep<T, W>{re, im}(at, times(x, load<T, W>(factor_re + at), load<T, W>(factor_im + at)));
  }
};

// or they go to `out` with real and imaginary parts exchanged. The inverse transform is the forward one with them
// exchanged before and after.
template <class Out>
struct Exchanged {
  const Out& out;
  template <class V>
  PF_HD void operator()(ptrdiff_t at, Complex<V> x) const {
    out(at, Complex<V>{x.im, x.re});
  }
};

// --- one butterfly of one pass: its inputs are `step` apart, starting at `first`; outputs go to the same places ---

template <class T, int W>
struct Inputs {
  const T *re, *im;
  ptrdiff_t first, step;
  PF_HD Complex<lane<T, W>> operator[](int p) const {
    return {load<T, W>(re + first + p * step), load<T, W>(im + first + p * step)};
  }
};

template <class T, int W>
struct TurnedInputs {
  Inputs<T, W> inputs;
  const T* twiddle;
  int twiddle_step;
  PF_HD Complex<lane<T, W>> operator[](int p) const {
    const auto x = inputs[p];
    return p ? times(x, twiddle[2 * p * twiddle_step], twiddle[2 * p * twiddle_step + 1]) : x;
  }
};

template <class T, int W, bool twiddled, class Out>
struct Outputs {
  const Out& out;
  ptrdiff_t first, step;
  const T* twiddle;
  int twiddle_step;
  PF_HD void operator()(int q, Complex<lane<T, W>> x) const {
    if (twiddled && q > 0) x = times(x, twiddle[2 * q * twiddle_step], twiddle[2 * q * twiddle_step + 1]);
    out(first + q * step, x);
  }
};

template <int R, class T, int W, bool twiddled, class Out>
PF_HD void butterfly(const T* re, const T* im, ptrdiff_t origin, ptrdiff_t stride, int first, int span,
                     const T* twiddle, int twiddle_step, const Out& out) {
  const ptrdiff_t at = origin + first * stride, step = span * stride;
  Dft<R, T>::run(Inputs<T, W>{re, im, at, step}, Outputs<T, W, twiddled, Out>{out, at, step, twiddle, twiddle_step});
}

// The same transposed: inputs are turned.
template <int R, class T, int W, bool twiddled, class Out>
PF_HD void butterfly_back(const T* re, const T* im, ptrdiff_t origin, ptrdiff_t stride, int first, int span,
                          const T* twiddle, int twiddle_step, const Out& out) {
  const ptrdiff_t at = origin + first * stride, step = span * stride;
  const Inputs<T, W> inputs{re, im, at, step};
  const Outputs<T, W, false, Out> outputs{out, at, step, twiddle, twiddle_step};
  if constexpr (twiddled)
    Dft<R, T>::run(TurnedInputs<T, W>{inputs, twiddle, twiddle_step}, outputs);
  else
    Dft<R, T>::run(inputs, outputs);
}

// A number that is known at compile time, used in place of an int.
template <int n>
struct Known {
  PF_HD constexpr operator int() const { return n; }
};

// All butterflies of a pass, for `lanes` neighbouring lanes of lines. The last pass, with span 1, needs no twiddles.
template <int R, class T, int W, int lanes, class Span, class Out>
PF_HD_LARGE void fft_pass(const FftPlan<T>& plan, Span span, T* re, T* im, ptrdiff_t stride, Out out) {
  const int n = plan.n, step = n / (R * span);
  const T* twiddle = plan.twiddle;  // a copy: the compiler must assume that stores to re and im change `plan`
  if (span == 1) {
    PF_NO_UNROLL
    for (int first = 0; first < n; first += R)
      for (int lane = 0; lane < lanes; ++lane)
        butterfly<R, T, W, false>(re, im, lane * W, stride, first, 1, twiddle, 0, out);
    return;
  }
  PF_NO_UNROLL
  for (int block = 0; block < n; block += R * span) PF_NO_UNROLL
  for (int j = 0; j < span; ++j)
    for (int lane = 0; lane < lanes; ++lane)
      butterfly<R, T, W, true>(re, im, lane * W, stride, block + j, int(span), twiddle, j * step, Keep<T, W>{re, im});
}

template <int R, class T, int W, int lanes, class Out>
PF_HD_LARGE void fft_pass_of(const FftPlan<T>& plan, int span, T* re, T* im, ptrdiff_t stride, const Out& out) {
#if !defined(__CUDACC__)  // cuda/block_fft.h has its own passes for the common sizes
  switch (span) {
    case 1: return fft_pass<R, T, W, lanes>(plan, Known<1>{}, re, im, stride, out);
    case 4: return fft_pass<R, T, W, lanes>(plan, Known<4>{}, re, im, stride, out);
    case 8: return fft_pass<R, T, W, lanes>(plan, Known<8>{}, re, im, stride, out);
    case 16: return fft_pass<R, T, W, lanes>(plan, Known<16>{}, re, im, stride, out);
    case 32: return fft_pass<R, T, W, lanes>(plan, Known<32>{}, re, im, stride, out);
  }
#endif
  fft_pass<R, T, W, lanes>(plan, span, re, im, stride, out);
}

template <class T, int W, int lanes, class Out>
PF_HD_LARGE void fft_line(const FftPlan<T>& plan, T* re, T* im, ptrdiff_t stride, const Out& out) {
  PF_NO_UNROLL
  for (int p = 0; p < plan.n_passes; ++p) {
    const int span = plan.span[p];
    switch (plan.radix[p]) {
      case 8: fft_pass_of<8, T, W, lanes>(plan, span, re, im, stride, out); break;
      case 5: fft_pass<5, T, W, lanes>(plan, span, re, im, stride, out); break;
      case 4: fft_pass_of<4, T, W, lanes>(plan, span, re, im, stride, out); break;
      case 3: fft_pass<3, T, W, lanes>(plan, span, re, im, stride, out); break;
      default: fft_pass<2, T, W, lanes>(plan, span, re, im, stride, out);
    }
  }
}

// All butterflies of a pass back. After pass 0, the last, elements go to `out`.
template <int R, class T, int W, int lanes, class Span, class Out>
PF_HD_LARGE void fft_pass_back(const FftPlan<T>& plan, Span span, T* re, T* im, ptrdiff_t stride, Out out) {
  const int n = plan.n, step = n / (R * span);
  const T* twiddle = plan.twiddle;
  if (span == 1) {
    PF_NO_UNROLL
    for (int first = 0; first < n; first += R)
      for (int lane = 0; lane < lanes; ++lane)
        butterfly_back<R, T, W, false>(re, im, lane * W, stride, first, 1, twiddle, 0, out);
    return;
  }
  PF_NO_UNROLL
  for (int block = 0; block < n; block += R * span) PF_NO_UNROLL
  for (int j = 0; j < span; ++j)
    for (int lane = 0; lane < lanes; ++lane)
      butterfly_back<R, T, W, true>(re, im, lane * W, stride, block + j, int(span), twiddle, j * step, out);
}

template <int R, class T, int W, int lanes, class Out>
PF_HD_LARGE void fft_pass_back_of(const FftPlan<T>& plan, int span, T* re, T* im, ptrdiff_t stride, const Out& out) {
#if !defined(__CUDACC__)
  switch (span) {
    case 1: return fft_pass_back<R, T, W, lanes>(plan, Known<1>{}, re, im, stride, out);
    case 4: return fft_pass_back<R, T, W, lanes>(plan, Known<4>{}, re, im, stride, out);
    case 8: return fft_pass_back<R, T, W, lanes>(plan, Known<8>{}, re, im, stride, out);
    case 16: return fft_pass_back<R, T, W, lanes>(plan, Known<16>{}, re, im, stride, out);
    case 32: return fft_pass_back<R, T, W, lanes>(plan, Known<32>{}, re, im, stride, out);
  }
#endif
  fft_pass_back<R, T, W, lanes>(plan, span, re, im, stride, out);
}

template <class T, int W, int lanes, class Out>
PF_HD_LARGE void fft_pass_back_of(const FftPlan<T>& plan, int p, T* re, T* im, ptrdiff_t stride, const Out& out) {
  const int span = plan.span[p];
  switch (plan.radix[p]) {
    case 8: return fft_pass_back_of<8, T, W, lanes>(plan, span, re, im, stride, out);
    case 5: return fft_pass_back<5, T, W, lanes>(plan, span, re, im, stride, out);
    case 4: return fft_pass_back_of<4, T, W, lanes>(plan, span, re, im, stride, out);
    case 3: return fft_pass_back<3, T, W, lanes>(plan, span, re, im, stride, out);
    default: return fft_pass_back<2, T, W, lanes>(plan, span, re, im, stride, out);
  }
}

// n times the inverse transform of a line, from the order that fft_line leaves to the natural one.
template <class T, int W, int lanes, class Out>
PF_HD_LARGE void fft_line_back(const FftPlan<T>& plan, T* re, T* im, ptrdiff_t stride, const Out& out) {
  PF_NO_UNROLL
  for (int p = plan.n_passes - 1; p > 0; --p)
    fft_pass_back_of<T, W, lanes>(plan, p, im, re, stride, Keep<T, W>{im, re});
  fft_pass_back_of<T, W, lanes>(plan, 0, im, re, stride, Exchanged<Out>{out});
}

// A line of any length, as a convolution with a chirp: k t = (k^2 + t^2 - (k - t)^2) / 2. The result is in natural
// order. work_re and work_im each hold two lines of length m for W lanes; consecutive elements are `step` apart.
template <int W, class Out>
PF_HD_LARGE void chirp_line(const ChirpPlan& plan, int n, const float* re, const float* im, ptrdiff_t origin,
                            ptrdiff_t stride, double* work_re, double* work_im, ptrdiff_t step, const Out& out) {
  using V = lane<double, W>;
  const int m = plan.fft.n;
  double *second_re = work_re + m * step, *second_im = work_im + m * step;
  PF_NO_UNROLL
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
  PF_NO_UNROLL
  for (int k = 0; k < m; ++k) {
    const ptrdiff_t at = plan.fft.at[k] * step;
    const Complex<V> x = times(Complex<V>{load<double, W>(work_re + at), load<double, W>(work_im + at)},
                               plan.filter[2 * k], plan.filter[2 * k + 1]);
    store<double, W>(second_re + k * step, x.re);
    store<double, W>(second_im + k * step, -x.im);
  }
  fft_line<double, W, 1>(plan.fft, second_re, second_im, step, Keep<double, W>{second_re, second_im});
  PF_NO_UNROLL
  for (int k = 0; k < n; ++k) {
    const ptrdiff_t at = plan.fft.at[k] * step;
    const Complex<V> x = times(Complex<V>{load<double, W>(second_re + at), -load<double, W>(second_im + at)},
                               plan.chirp[2 * k], plan.chirp[2 * k + 1]);
    out(origin + k * stride, Complex<lane<float, W>>{convert<float, double, W>(x.re), convert<float, double, W>(x.im)});
  }
}

}  // namespace PF_ISA
}  // namespace pf
