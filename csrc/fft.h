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

// The radices of the passes of a transform of length n, in their order; count = 0 where n has a prime factor above 13.
// Few passes: large powers of two. The largest prime comes last, because the last pass needs no twiddles.
struct Radices {
  int count;
  int radix[max_passes];
};

PF_HD constexpr Radices radices_of(int n) {
  constexpr int primes[] = {5, 3, 7, 11, 13};
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
    else
      for (int i = 0; i < 5 && radix == 0; ++i)
        if (rest % primes[i] == 0) radix = primes[i], rest /= primes[i];
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

// cos(2 pi j / R) and sin(2 pi j / R) for j = 1 ... (R - 1) / 2.
template <int R>
struct Circle;
template <>
struct Circle<7> {
  double cosine[3] = {0.62348980185873353053, -0.22252093395631440429, -0.90096886790241912624};
  double sine[3] = {0.78183148246802980871, 0.97492791218182360702, 0.43388373911755812048};
};
template <>
struct Circle<11> {
  double cosine[5] = {0.84125353283118116886, 0.41541501300188642553, -0.14231483827328514044, -0.65486073394528506406,
                      -0.95949297361449738989};
  double sine[5] = {0.54064081745559758211, 0.90963199535451837141, 0.98982144188093273238, 0.75574957435425828377,
                    0.28173255684142969771};
};
template <>
struct Circle<13> {
  double cosine[6] = {0.88545602565320989590,  0.56806474673115580251,  0.12053668025532305335,
                      -0.35460488704253562597, -0.74851074817110109863, -0.97094181742605202716};
  double sine[6] = {0.46472317204376854566, 0.82298386589365639458, 0.99270887409805399280,
                    0.93501624268541482344, 0.66312265824079520238, 0.23931566428755776715};
};

// R = 7, 11, 13. Elements p and R - p meet the same cosines, and sines of opposite sign.
template <int R, class T>
struct Dft {
  static constexpr int half = R / 2;
  template <class In, class Out>
  static PF_HD void run(const In& x, const Out& out) {
    constexpr Circle<R> circle = {};
    using C = decltype(x[0] + x[0]);
    const C x0 = x[0];
    C sum[half], difference[half], all = x0;
    PF_UNROLL
    for (int p = 0; p < half; ++p) {
      const C a = x[p + 1], b = x[R - 1 - p];
      sum[p] = a + b;
      difference[p] = times_minus_i(a - b);
      all = all + sum[p];
    }
    out(0, all);
    PF_UNROLL
    for (int q = 1; q <= half; ++q) {
      T c = T(circle.cosine[q - 1]), s = T(circle.sine[q - 1]);
      C even = {x0.re + sum[0].re * c, x0.im + sum[0].im * c};
      C odd = {difference[0].re * s, difference[0].im * s};
      PF_UNROLL
      for (int p = 1; p < half; ++p) {
        const int turn = (p + 1) * q % R;
        c = T(circle.cosine[turn > half ? R - turn - 1 : turn - 1]);
        s = T(turn > half ? -circle.sine[R - turn - 1] : circle.sine[turn - 1]);
        even = {even.re + sum[p].re * c, even.im + sum[p].im * c};
        odd = {odd.re + difference[p].re * s, odd.im + difference[p].im * s};
      }
      out(q, even + odd);
      out(R - q, even - odd);
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
      case 7: fft_pass<7, T, W, lanes>(plan, span, re, im, stride, out); break;
      case 11: fft_pass<11, T, W, lanes>(plan, span, re, im, stride, out); break;
      case 13: fft_pass<13, T, W, lanes>(plan, span, re, im, stride, out); break;
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
    case 7: return fft_pass_back<7, T, W, lanes>(plan, span, re, im, stride, out);
    case 11: return fft_pass_back<11, T, W, lanes>(plan, span, re, im, stride, out);
    case 13: return fft_pass_back<13, T, W, lanes>(plan, span, re, im, stride, out);
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
// order. work_re and work_im each hold m elements, `step` apart.
template <int W, class Out>
PF_HD_LARGE void chirp_line(const AxisPlan& axis, const float* re, const float* im, ptrdiff_t origin, ptrdiff_t stride,
                            float* work_re, float* work_im, ptrdiff_t step, const Out& out) {
  const Keep<float, W> keep{work_re, work_im};
  const Inputs<float, W> line{re, im, origin, stride}, work{work_re, work_im, 0, step};
  const int n = axis.n, m = axis.fft.n;
  const float *chirp = axis.chirp, *filter = axis.filter;
  PF_NO_UNROLL
  for (int t = 0; t < n; ++t) keep(t * step, times(line[t], chirp[2 * t], chirp[2 * t + 1]));
  PF_NO_UNROLL
  for (int t = n; t < m; ++t) keep(t * step, Complex<lane<float, W>>{lane<float, W>{}, lane<float, W>{}});
  fft_line<float, W, 1>(axis.fft, work_re, work_im, step, keep);
  PF_NO_UNROLL
  for (int at = 0; at < m; ++at) keep(at * step, times(work[at], filter[2 * at], filter[2 * at + 1]));
  fft_line_back<float, W, 1>(axis.fft, work_re, work_im, step, keep);
  PF_NO_UNROLL
  for (int k = 0; k < n; ++k) out(origin + k * stride, times(work[k], chirp[2 * k], chirp[2 * k + 1]));
}

}  // namespace PF_ISA
}  // namespace pf
