// Functions of lanes, made of correctly rounded IEEE 754 operations only: the same bits at every width and on every
// machine.
#pragma once
#include "poisson_coefficients.h"
#include "portable.h"

namespace pf {
inline namespace PF_ISA {

constexpr double kRound = 0x1.8p52;       // x + kRound rounds x to an integer, which is then in the low bits
constexpr float kQuickRound = 0x1.8p23f;  // the same for floats; below, its bits
constexpr uint32_t kQuickRoundBits = 0x4b400000;

template <class To, class From>
PF_HD To same_bits(From x) {
  static_assert(sizeof(To) == sizeof(From), "");
  To y;
  memcpy(&y, &x, sizeof y);
  return y;
}

// k + 1 where the comparison holds, k elsewhere. A comparison of lanes gives numbers of all ones (-1) where it holds;
// one of plain numbers (W = 1) gives a bool.
PF_HD uint64_t add_where(uint64_t k, bool holds) { return k + uint64_t(holds); }
PF_HD uint32_t add_where(uint32_t k, bool holds) { return k + uint32_t(holds); }
template <class V, class M>
PF_HD V add_where(V k, M holds) {
  return k - (V)holds;
}

// Bit i is set where the comparison holds for number i.
PF_HD uint32_t mask_bits(bool holds) { return holds; }
PF_HD uint32_t mask_bits(int holds) { return uint32_t(holds); }  // bool & bool
template <class M>
PF_HD uint32_t mask_bits(M holds) {
  uint32_t bits = 0;
  for (unsigned i = 0; i < sizeof holds / sizeof holds[0]; ++i) bits |= uint32_t(holds[i] != 0) << i;
  return bits;
}

template <class V>
PF_HD V larger(V a, V b) {
  return a > b ? a : b;
}

template <class V>
PF_HD V smaller(V a, V b) {
  return a < b ? a : b;
}

#if defined(__AVX2__) && !defined(__CUDACC__)  // the same in one instruction
PF_HD lane<double, 4> larger(lane<double, 4> a, lane<double, 4> b) { return _mm256_max_pd(a, b); }
PF_HD lane<double, 4> smaller(lane<double, 4> a, lane<double, 4> b) { return _mm256_min_pd(a, b); }
PF_HD lane<float, 8> larger(lane<float, 8> a, lane<float, 8> b) { return _mm256_max_ps(a, b); }
PF_HD lane<float, 8> smaller(lane<float, 8> a, lane<float, 8> b) { return _mm256_min_ps(a, b); }
#endif

// |x| of floats.
template <int W>
PF_HD lane<float, W> magnitude(lane<float, W> x) {
  return same_bits<lane<float, W>>(same_bits<lane<uint32_t, W>>(x) & 0x7fffffffu);
}

PF_HD double root(double x) {
#if defined(__CUDA_ARCH__)
  return __dsqrt_rn(x);
#else
  return __builtin_sqrt(x);
#endif
}
PF_HD float root(float x) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(x);
#else
  return __builtin_sqrtf(x);
#endif
}
template <class V>
PF_HD V root(V x) {
  for (unsigned i = 0; i < sizeof x / sizeof x[0]; ++i) x[i] = root(x[i]);
  return x;
}

#if defined(__SSE2__) && !defined(__CUDACC__)
PF_HD uint32_t mask_bits(lane<int64_t, 2> m) { return uint32_t(_mm_movemask_pd((__m128d)m)); }
PF_HD uint32_t mask_bits(lane<int32_t, 4> m) { return uint32_t(_mm_movemask_ps((__m128)m)); }
PF_HD lane<double, 2> root(lane<double, 2> x) { return _mm_sqrt_pd(x); }
PF_HD lane<float, 4> root(lane<float, 4> x) { return _mm_sqrt_ps(x); }
#endif
#if defined(__AVX2__) && !defined(__CUDACC__)
PF_HD uint32_t mask_bits(lane<int64_t, 4> m) { return uint32_t(_mm256_movemask_pd((__m256d)m)); }
PF_HD uint32_t mask_bits(lane<int32_t, 8> m) { return uint32_t(_mm256_movemask_ps((__m256)m)); }
PF_HD lane<double, 4> root(lane<double, 4> x) { return _mm256_sqrt_pd(x); }
PF_HD lane<float, 8> root(lane<float, 8> x) { return _mm256_sqrt_ps(x); }
#endif
#if defined(__AVX512DQ__) && !defined(__CUDACC__)
PF_HD uint32_t mask_bits(lane<int64_t, 8> m) { return _mm512_movepi64_mask((__m512i)m); }
PF_HD uint32_t mask_bits(lane<int32_t, 16> m) { return _mm512_movepi32_mask((__m512i)m); }
PF_HD lane<double, 8> root(lane<double, 8> x) { return _mm512_sqrt_pd(x); }
PF_HD lane<float, 16> root(lane<float, 16> x) {
  return _mm512_maskz_sqrt_ps(0xffff, x);  // GCC 12 warns about _mm512_sqrt_ps
}
#endif

// 0, 1, 2, ...
template <class T, int W>
PF_HD lane<T, W> iota() {
  lane<T, W> x;
  for (int i = 0; i < W; ++i) x[i] = T(i);
  return x;
}

// c[0] + c[1] x + ... of K lanes. Odd and even powers are summed separately: two short chains of dependent operations
// instead of a long one.
template <class T, class V, int K, int N>
PF_HD void polynomial(const T (&c)[N], const V (&x)[K], const V (&square)[K], V (&sum)[K]) {
  V odd[K];
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    odd[v] = V{} + c[N - 1];
    sum[v] = V{} + c[N - 2];
  }
  PF_UNROLL
  for (int i = N - 3; i > 0; i -= 2) {
    PF_UNROLL
    for (int v = 0; v < K; ++v) {
      odd[v] = odd[v] * square[v] + c[i];
      sum[v] = sum[v] * square[v] + c[i - 1];
    }
  }
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    sum[v] = odd[v] * x[v] + sum[v];
    if (N % 2) sum[v] = sum[v] * x[v] + c[0];
  }
}
template <class T, class V, int K, int N>
PF_HD void polynomial(const T (&c)[N], const V (&x)[K], V (&sum)[K]) {
  V square[K];
  PF_UNROLL
  for (int v = 0; v < K; ++v) square[v] = x[v] * x[v];
  polynomial(c, x, square, sum);
}

// exp(-x), 0 <= x <= 700: x = n ln 2 + t with |t| <= ln(2) / 2. exp(-t) is a fitted polynomial (error 1.2e-17, and
// rounding).
template <int D, int K>
PF_HD void exp_minus(const lane<double, D> (&x)[K], lane<double, D> (&result)[K]) {
  using V = lane<double, D>;
  using B = lane<uint64_t, D>;
  constexpr double c[] = {PF_EXP};
  V shifted[K], t[K];
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    shifted[v] = x[v] * 1.4426950408889634 + kRound;
    const V n = shifted[v] - kRound;
    // ln 2 as the sum of two numbers; n times the first is exact.
    t[v] = (x[v] - n * 0x1.62e42fee00000p-1) - n * 0x1.a39ef35793c76p-33;
  }
  polynomial(c, t, result);
  PF_UNROLL
  for (int v = 0; v < K; ++v) result[v] *= same_bits<V>((uint64_t(1023) - same_bits<B>(shifted[v])) << 52);
}

// log(x), 0 < x < 1 and not subnormal: 2 artanh((m - 1) / (m + 1)) + e ln 2, where x = 2^e m and
// sqrt(1/2) <= m < sqrt(2). The series of artanh ends where its terms fall below 1e-15.
template <int D, int K>
PF_HD void log_of(const lane<double, D> (&x)[K], lane<double, D> (&result)[K]) {
  using V = lane<double, D>;
  using B = lane<uint64_t, D>;
  constexpr double c[] = {2.0, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19};
  constexpr uint64_t root_half = 0x3fe6a09e667f3bcd;
  V e[K], f[K], square[K];
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    const B moved = same_bits<B>(x[v]) + (0x3ff0000000000000u - root_half);
    const V m = same_bits<V>((moved & 0xfffffffffffffu) + root_half);
    e[v] = same_bits<V>((moved >> 52) | 0x4330000000000000u) - (0x1p52 + 1023);
    f[v] = (m - 1.0) / (m + 1.0);
    square[v] = f[v] * f[v];
  }
  polynomial(c, square, result);
  PF_UNROLL
  for (int v = 0; v < K; ++v) result[v] = e[v] * 0.6931471805599453 + f[v] * result[v];
}

}  // namespace PF_ISA
}  // namespace pf
