// Photon counts: exact Poisson quantiles of Philox uniforms, one per pixel.
//
// count = the smallest k >= 0 with F(k; rate) >= u. Rates below 8 add up F from k = 0. Larger ones take floor(x), x the
// asymptotic expansion of the continuous quantile of M. B. Giles (2016, ACM Transactions on Mathematical Software 42,
// algorithm 955); below 640, where x can fall on the wrong side of an integer, the few pixels within the error bound
// of one are added up too. tools/fit_poisson.py makes the fitted coefficients.
//
// Rates in floats take a short cut: the same two ways in floats ("quick" below), on twice as many numbers at once, and
// with an error bound. Only where that leaves the count in doubt do the doubles decide. The short cut therefore changes
// no count, and float and double rates of the same value get the same one.
//
// A pixel goes through the same IEEE-exact operations whatever lane it sits in, so its count does not depend on the
// width, on the pixels around it or on the machine.
#pragma once
#include "philox.h"
#include "portable.h"

namespace pf {
inline namespace PF_ISA {

constexpr double kSumBelow = 8, kCheckBelow = 640;
constexpr double kTail = 0.5 - 0x1p-9;    // |u - 1/2| beyond is a tail
constexpr double kRound = 0x1.8p52;       // adding it rounds to an integer and leaves that in the low bits
constexpr float kQuickRound = 0x1.8p23f;  // the same for floats, and its bits
constexpr uint32_t kQuickRoundBits = 0x4b400000;
constexpr float kQuickTail = 0x1p-9f;            // smaller u or 1 - u are left to the doubles
constexpr float kQuickLargest = 0x1.fffffep30f;  // larger rates, too: they do not fit an int32
constexpr float kQuickSumError = 0x1p-17f;       // more than ten times the error of u - F in floats

template <class To, class From>
PF_HD To same_bits(From x) {
  static_assert(sizeof(To) == sizeof(From), "");
  To y;
  memcpy(&y, &x, sizeof y);
  return y;
}

// A comparison of lanes gives all ones where it holds; of plain numbers (W = 1) it gives a bool.
PF_HD uint64_t add_where(uint64_t k, bool holds) { return k + holds; }
PF_HD uint32_t add_where(uint32_t k, bool holds) { return k + holds; }
template <class V, class M>
PF_HD V add_where(V k, M holds) {
  return k - (V)holds;
}

// Bit i is set where lane i holds.
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
PF_HD lane<float, 16> root(lane<float, 16> x) { return _mm512_sqrt_ps(x); }
#endif

// c[0] + c[1] x + ... of K lanes, odd and even powers apart: several short chains of operations in place of a long one.
template <class T, class V, int K, int N>
PF_HD void polynomial(const T (&c)[N], const V (&x)[K], V (&sum)[K]) {
  V square[K], odd[K];
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    square[v] = x[v] * x[v];
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

// exp(-x), 0 <= x <= 700: x = n ln 2 + t, |t| <= ln(2) / 2, exp(-t) a fitted polynomial (error 1.2e-17 and rounding).
template <int D, int K>
PF_HD void exp_minus(const lane<double, D> (&x)[K], lane<double, D> (&result)[K]) {
  using V = lane<double, D>;
  using B = lane<uint64_t, D>;
  constexpr double c[] = {1.0,
                          -1.0,
                          0.5000000000000019,
                          -0.1666666666666668,
                          0.0416666666664881,
                          -0.008333333333319601,
                          0.0013888888952314775,
                          -0.00019841269890047113,
                          2.4801485482328494e-05,
                          -2.755724091857897e-06,
                          2.763263963904103e-07,
                          -2.5110037605963777e-08};
  V shifted[K], t[K];
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    shifted[v] = x[v] * 1.4426950408889634 + kRound;
    const V n = shifted[v] - kRound;
    t[v] = (x[v] - n * 0x1.62e42fee00000p-1) - n * 0x1.a39ef35793c76p-33;  // ln 2 in two; n times the first is exact
  }
  polynomial(c, t, result);
  PF_UNROLL
  for (int v = 0; v < K; ++v) result[v] *= same_bits<V>((uint64_t(1023) - same_bits<B>(shifted[v])) << 52);
}

// log(x), 0 < x < 1 and normal: 2 artanh((m - 1) / (m + 1)) + e ln 2 with x = 2^e m, sqrt(1/2) <= m < sqrt(2); the
// series of artanh is cut where its terms fall below 1e-15.
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

// w = Phi^-1(u), the normal quantile, of K lanes, the roots of their rates and the inverse roots, all from one
// division. Fitted ratios of polynomials: u - 1/2 times one of y = sqrt(u (1 - u)) shifts Phi(w) by less than 1e-13; in
// the tails (u or 1 - u below 2^-9) one of sqrt(-log(min(u, 1 - u))) has w to 1e-13.
template <int D, int K>
PF_HD void normal_quantile(const lane<double, D> (&u)[K], const lane<double, D> (&rate)[K], lane<double, D> (&w)[K],
                           lane<double, D> (&deviation)[K], lane<double, D> (&inverse)[K]) {
  using V = lane<double, D>;
  constexpr double middle_top[] = {9.756146817600342, 2588.9497162787434, 129592.17254363374, 1916245.586744359,
                                   9362741.973840222, 14063073.226342535, 4791151.363090953,  48016.940668974894};
  constexpr double middle_bottom[] = {1.0,
                                      334.19218558255267,
                                      20510.112068762046,
                                      384755.04410366074,
                                      2626178.2558271154,
                                      6874010.689283602,
                                      6589782.616309797,
                                      1598489.8369068222};
  constexpr double tail_top[] = {-3.13933621351649,  -10.24424555074286, 5.130096154498292,
                                 11.420697628441708, 3.0276263864565984, 0.16804217478002534};
  constexpr double tail_bottom[] = {
      1.0, 7.213755584019673, 8.379184303226353, 2.142428173211188, 0.1188043934207987, 1.7680089760545202e-07};
  V q[K], distance[K], root_of[K], top[K], bottom[K];
  uint32_t tails = 0;
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    q[v] = u[v] - 0.5;
    distance[v] = larger(q[v], -q[v]);
    root_of[v] = root(u[v] * (1.0 - u[v]));
    tails |= mask_bits(distance[v] > kTail);
  }
  PF_UNROLL
  for (int v = 0; v < K; ++v) deviation[v] = root(rate[v]);
  polynomial(middle_top, root_of, top);
  polynomial(middle_bottom, root_of, bottom);
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    const V common = 1.0 / (bottom[v] * deviation[v]);
    w[v] = q[v] * top[v] * (common * deviation[v]);
    inverse[v] = common * bottom[v];
  }
  if (!tails) return;
  PF_UNROLL
  for (int v = 0; v < K; ++v) top[v] = 0.5 - distance[v];
  log_of<D, K>(top, bottom);
  PF_UNROLL
  for (int v = 0; v < K; ++v) root_of[v] = root(-bottom[v]);
  polynomial(tail_top, root_of, top);
  polynomial(tail_bottom, root_of, bottom);
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    const V tail = top[v] / bottom[v];
    w[v] = distance[v] > kTail ? (q[v] > 0.0 ? tail : -tail) : w[v];
  }
}

// Counts of K lanes (K * D numbers) by summation, rate < 640: p = p rate / k, F = F + p while F < u. Rounding shifts F
// by less than (rate + 32) 2^-51; u stops there below 1, so that F always reaches it.
template <int D, int K>
PF_HD void sum_quantile(const lane<double, D> (&rate)[K], const lane<double, D> (&u)[K],
                        lane<uint64_t, D> (&count)[K]) {
  using V = lane<double, D>;
  using B = lane<uint64_t, D>;
  V p[K], sum[K], goal[K];
  exp_minus<D, K>(rate, p);
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    const V top = 1.0 - (rate[v] + 32.0) * 0x1p-51;
    goal[v] = u[v] < top ? u[v] : top;
    sum[v] = p[v];
    count[v] = B{};
  }
  for (double k = 1;;) {
    auto below = sum[0] < goal[0];
    PF_UNROLL
    for (int v = 1; v < K; ++v) below |= sum[v] < goal[v];
    if (!mask_bits(below)) return;
    for (int step = 0; step < 4; ++step, k += 1) {  // a step too many changes nothing
      const double inverse = 1.0 / k;
      PF_UNROLL
      for (int v = 0; v < K; ++v) {
        count[v] = add_where(count[v], sum[v] < goal[v]);
        p[v] *= rate[v] * inverse;
        sum[v] += p[v];
      }
    }
  }
}

// floor(x) with x = rate + sqrt(rate) w + w^2 h(s) + c0(s) + c1(s) / rate + c2(s) / rate^2, w = Phi^-1(u),
// s = w / sqrt(rate), for rate >= 8. From 640 on floor(x) is the count but where F misses u by less than 2e-12. Below,
// a set bit of the result marks a number whose s leaves the fitted range or whose x is within its error bound of an
// integer.
template <int D, int K>
PF_HD uint32_t expand_quantile(const lane<double, D> (&rate)[K], const lane<double, D> (&u)[K],
                               lane<uint64_t, D> (&count)[K]) {
  using V = lane<double, D>;
  using B = lane<uint64_t, D>;
  constexpr double h[] = {0.1666666665899598,    -0.013888889378767307,  0.0037037480008599967, -0.0013308775604660445,
                          0.0005536737153098066, -0.0002659987678104228, 0.0001845061200611569, -7.963210787660384e-05};
  constexpr double c0[] = {0.3333333333108005,    -0.027777782382521134,  0.00864198923888887,  -0.0035206869854893445,
                           0.0016514303805582168, -0.0011679973550574045, 0.0005821177338244275};
  constexpr double c1[] = {-0.019753106745094846, 0.017259085303882284,  -0.01267449239886369,
                           0.008602712845063476,  -0.012307779853886003, 0.00788243314417186};
  constexpr double c2[] = {-0.0006152707318792817, 0.0024700169399524464, -0.010960702368633246};
  V deviation[K], inverse[K], w[K], s[K], p0[K], p1[K], p2[K], ph[K];
  normal_quantile<D, K>(u, rate, w, deviation, inverse);
  PF_UNROLL
  for (int v = 0; v < K; ++v) s[v] = w[v] * inverse[v];
  polynomial(h, s, ph);
  polynomial(c0, s, p0);
  polynomial(c1, s, p1);
  polynomial(c2, s, p2);
  uint32_t doubtful = 0;
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    const V over_rate = inverse[v] * inverse[v], small = p0[v] + over_rate * (p1[v] + over_rate * p2[v]);
    const V offset = deviation[v] * w[v] + (w[v] * w[v] * ph[v] + small);  // x - rate
    // floor(x) from the whole and the fraction of the rate apart, which keeps large rates from rounding x - rate.
    const V whole = rate[v] + kRound, y = (rate[v] - (whole - kRound)) - 0.5 + offset, nearest = y + kRound;
    const V gap = y - (nearest - kRound), miss = larger(gap, -gap), reach = s[v] - 0.125;
    const V error = 1.5e-3 * (s[v] * s[v]) + 1e-3 * over_rate;  // at least 1.7 times that of x
    const auto doubt = (rate[v] < kCheckBelow) & ((miss + error > 0.5) | (larger(reach, -reach) > 1.125));
    doubtful |= mask_bits(doubt) << (v * D);
    count[v] = same_bits<B>(whole) + same_bits<B>(nearest);
  }
  return doubtful;
}

// The upper halves of W numbers.
template <int W>
PF_HD lane<uint32_t, W> upper_halves(const uint64_t* bits) {
  if constexpr (W == 1) {
    return uint32_t(*bits >> 32);
  } else {
    const auto a = load<uint32_t, W>((const uint32_t*)bits), b = load<uint32_t, W>((const uint32_t*)bits + W);
    if constexpr (W == 4) return __builtin_shufflevector(a, b, 1, 3, 5, 7);
    if constexpr (W == 8) return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
    if constexpr (W == 16)
      return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  }
}

// exp_minus in floats, 0 <= x <= 8: relative error below 4e-7.
template <int W, int K>
PF_HD void quick_exp_minus(const lane<float, W> (&x)[K], lane<float, W> (&result)[K]) {
  using V = lane<float, W>;
  using B = lane<uint32_t, W>;
  constexpr float c[] = {
      1.0f, -1.0f, 0.49998870491981506f, -0.16666504740715027f, 0.041917506605386734f, -0.008369148708879948f};
  V shifted[K], t[K];
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    shifted[v] = x[v] * 1.44269504f + kQuickRound;
    const V n = shifted[v] - kQuickRound;
    t[v] = (x[v] - n * 0x1.62ep-1f) - n * 0x1.0bfbe8p-15f;
  }
  polynomial(c, t, result);
  PF_UNROLL
  for (int v = 0; v < K; ++v) result[v] *= same_bits<V>((kQuickRoundBits + 127 - same_bits<B>(shifted[v])) << 23);
}

// u as a float from the upper 32 random bits, error below 2^-24.
template <int W>
PF_HD lane<float, W> quick_uniform(lane<uint32_t, W> high) {
  return convert<float, int32_t, W>((lane<int32_t, W>)(high ^ 0x80000000u)) * 0x1p-32f + 0.5f;
}

// sum_quantile in floats, rate < 8. What is left of u, u - F, stops at its first value below the error bound. Where
// that is above minus the bound the count is in doubt: a set bit of the result.
template <int W, int K>
PF_HD uint32_t quick_sum_quantile(const lane<float, W> (&rate)[K], const lane<uint32_t, W> (&high)[K],
                                  lane<uint32_t, W> (&count)[K]) {
  using V = lane<float, W>;
  V p[K], left[K];
  quick_exp_minus<W, K>(rate, p);
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    left[v] = quick_uniform<W>(high[v]) - p[v];
    count[v] = lane<uint32_t, W>{};
  }
  for (float k = 1;;) {
    auto more = left[0] > kQuickSumError;
    PF_UNROLL
    for (int v = 1; v < K; ++v) more |= left[v] > kQuickSumError;
    if (!mask_bits(more)) break;
    for (int step = 0; step < 4; ++step, k += 1) {  // a step too many changes nothing
      const float inverse = 1 / k;
      PF_UNROLL
      for (int v = 0; v < K; ++v) {
        const auto below = left[v] > kQuickSumError;
        count[v] = add_where(count[v], below);
        p[v] *= rate[v] * inverse;
        left[v] -= below ? p[v] : V{};
      }
    }
  }
  uint32_t doubtful = 0;
  PF_UNROLL
  for (int v = 0; v < K; ++v) doubtful |= mask_bits(left[v] >= -kQuickSumError) << (v * W);
  return doubtful;
}

// expand_quantile in floats. A set bit of the result marks a number whose count is in doubt: in a tail, with one of the
// largest rates, or with x within its error bound of an integer. The rounding of u, of w and of the product with
// sqrt(rate) is in proportion to sqrt(rate), what the shorter polynomials miss to s^2 and 1 / rate.
template <int W, int K>
PF_HD uint32_t quick_expand_quantile(const lane<float, W> (&rate)[K], const lane<uint32_t, W> (&high)[K],
                                     lane<uint32_t, W> (&count)[K]) {
  using V = lane<float, W>;
  using I = lane<int32_t, W>;
  using B = lane<uint32_t, W>;
  constexpr float w_top[] = {8.940361976623535f, 699.9413452148438f, 7207.89453125f, 10720.166015625f,
                             370.439697265625f};
  constexpr float w_bottom[] = {1.0f, 107.94658660888672f, 1647.5841064453125f, 5437.150390625f, 4150.12158203125f};
  constexpr float h[] = {0.1666666716337204f, -0.013887430541217327f, 0.0036631368566304445f, -0.0015464903553947806f,
                         0.0007575647905468941f};
  constexpr float c0[] = {0.3333323001861572f, -0.027742791920900345f, 0.009617133997380733f, -0.004615676589310169f};
  constexpr float c1[] = {-0.02117517590522766f, 0.031205669045448303f};
  V tail[K], root_of[K], deviation[K], inverse[K], size[K], w[K], s[K], top[K], bottom[K];
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    const I folded = (I)high[v] ^ ((I)high[v] >> 31);
    tail[v] = convert<float, int32_t, W>(folded) * 0x1p-32f + 0x1p-33f;  // min(u, 1 - u)
    root_of[v] = root(tail[v] * (1.0f - tail[v]));
    deviation[v] = root(rate[v]);
  }
  polynomial(w_top, root_of, top);
  polynomial(w_bottom, root_of, bottom);
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    const V common = 1.0f / (bottom[v] * deviation[v]);
    size[v] = (0.5f - tail[v]) * top[v] * (common * deviation[v]);
    inverse[v] = common * bottom[v];
    w[v] = same_bits<V>(same_bits<B>(size[v]) | (~high[v] & 0x80000000u));
    s[v] = w[v] * inverse[v];
  }
  polynomial(h, s, top);
  polynomial(c0, s, bottom);
  uint32_t doubtful = 0;
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    const V over_rate = inverse[v] * inverse[v], square = w[v] * w[v], wide = deviation[v] * w[v];
    const V small = square * top[v] + (bottom[v] + over_rate * (c1[1] * s[v] + c1[0]));
    const I whole = convert<int32_t, float, W>(rate[v]);
    const V y = (rate[v] - convert<float, int32_t, W>(whole)) - 0.5f + (wide + small), nearest = y + kQuickRound;
    const V gap = y - (nearest - kQuickRound), miss = larger(gap, -gap);
    const V error =  // at least twice that of x
        deviation[v] * (size[v] * 1.2e-6f + 5e-7f) + over_rate * (square * 8e-3f + 5e-3f);
    const auto doubt = (miss + error > 0.5f) | (tail[v] < kQuickTail) | (rate[v] > kQuickLargest);
    doubtful |= mask_bits(doubt) << (v * W);
    count[v] = (B)whole + same_bits<B>(nearest) - kQuickRoundBits;
  }
  return doubtful;
}

// Count of one pixel from its 64 random bits: what a GPU thread runs. Doubles are rare there, and need many registers.
PF_HD_RARE uint32_t poisson_quantile(uint64_t bits, double rate) {
  const double rates[1] = {rate}, us[1] = {uniform<1>(bits)};
  uint64_t count[1];
  if (rate < kSumBelow || expand_quantile<1, 1>(rates, us, count)) sum_quantile<1, 1>(rates, us, count);
  return uint32_t(count[0]);
}
PF_HD uint32_t poisson_quantile(uint64_t bits, float rate) {
  const float rates[1] = {rate};
  const uint32_t high[1] = {uint32_t(bits >> 32)};
  uint32_t count[1];
  const uint32_t doubtful = rate < float(kSumBelow) ? quick_sum_quantile<1, 1>(rates, high, count)
                                                    : quick_expand_quantile<1, 1>(rates, high, count);
  return doubtful ? poisson_quantile(bits, double(rate)) : count[0];
}

// The count of one pixel of one pattern.
template <class T>
PF_HD uint32_t poisson_count(T rate, uint32_t pixel, uint64_t seed, uint64_t pattern) {
  const uint64_t block[1] = {pixel / 32 * 16 + pixel % 16};
  uint64_t first[1], second[1];
  photon_bits(Philox<1>(seed), block, pattern, first, second);
  return poisson_quantile(pixel / 16 % 2 ? second[0] : first[0], rate);
}

template <int D, class T>
PF_HD lane<double, D> load_rates(const T* from) {
  if constexpr (D == 1) {
    return double(*from);
  } else {
#if defined(__AVX2__) && !defined(__CUDACC__)
    if constexpr (D == 4 && sizeof(T) == 4) return _mm256_cvtps_pd(_mm_loadu_ps((const float*)from));
#endif
    return __builtin_convertvector(load<T, D>(from), lane<double, D>);
  }
}

template <int D>
PF_HD void store_counts(uint32_t* to, lane<uint64_t, D> count) {
  if constexpr (D == 1) {
    *to = uint32_t(count);
  } else {
    store<uint32_t, D>(to, __builtin_convertvector(count, lane<uint32_t, D>));
  }
}

// Lanes of D doubles, or of W floats, that are worked on together: a few, so that none waits for the result of the last
// operation.
constexpr int lanes_together(int d) { return d < 4 ? 4 : 16 / d; }
constexpr int quick_lanes_together(int w) { return w < 8 ? 4 : 32 / w; }

// Counts of 16 pixels, all with rates below 8 (`sum`) or none. D doubles make a lane.
template <int D, class T>
inline void count_sixteen(bool sum, const T* rate, const uint64_t* bits, uint32_t* count) {
  constexpr int K = lanes_together(D);
  lane<double, D> rates[K], us[K];
  lane<uint64_t, D> counts[K];
  uint32_t doubtful = 0;
  for (int i = 0; i < 16; i += K * D) {
    PF_UNROLL
    for (int v = 0; v < K; ++v) {
      rates[v] = load_rates<D>(rate + i + v * D);
      us[v] = uniform<D>(load<uint64_t, D>(bits + i + v * D));
    }
    if (sum) {
      sum_quantile<D, K>(rates, us, counts);
    } else {
      doubtful |= expand_quantile<D, K>(rates, us, counts) << i;
    }
    PF_UNROLL
    for (int v = 0; v < K; ++v) store_counts<D>(count + i + v * D, counts[v]);
  }
  for (; doubtful; doubtful &= doubtful - 1) {
    const int i = __builtin_ctz(doubtful);
    const double one_rate[1] = {rate[i]}, one_u[1] = {uniform<1>(bits[i])};
    uint64_t one_count[1];
    sum_quantile<1, 1>(one_rate, one_u, one_count);
    count[i] = uint32_t(one_count[0]);
  }
}

// Pixels of one kind that wait until they fill the lanes: up to 31, and 32 that come.
template <class T>
struct WaitingPixels {
  T rate[64];
  uint64_t bits[64];
  int pixel[64];
  int length = 0;

  // Adds the pixels `first + i` of those of 32 whose bit i is set.
  void add(uint32_t chosen, const T* rates, const uint64_t* random, int first) {
    int n = length;
    for (; chosen; chosen &= chosen - 1, ++n) {
      const int i = __builtin_ctz(chosen);
      rate[n] = rates[i];
      bits[n] = random[i];
      pixel[n] = first + i;
    }
    length = n;
  }

  // Counts the last N pixels, filled up with idle ones, by count_them(rates, bits, counts) and lets them go.
  template <int N, class F>
  void count_last(T idle_rate, uint32_t* count, F count_them) {
    const int first = length < N ? 0 : length - N;
    for (int i = length; i < N; ++i) {
      rate[i] = idle_rate;
      bits[i] = uint64_t(1) << 63;
    }
    uint32_t counts[N];
    count_them(rate + first, bits + first, counts);
    for (int i = first; i < length; ++i) count[pixel[i]] = counts[i - first];
    length = first;
  }
};

// Counts of those of 32 pixels that are chosen, all with rates below 8. `count` holds 0 for them; the others keep
// theirs.
template <int W>
inline void sum_chosen(uint32_t chosen, const float* rate, const uint64_t* bits, uint32_t* count) {
  constexpr int K = quick_lanes_together(W);
  uint32_t doubtful = 0;
  for (int i = 0; i < 32; i += W * K) {
    if (!(chosen >> i & (~0u >> (32 - W * K)))) continue;
    lane<float, W> rates[K];
    lane<uint32_t, W> high[K], counts[K];
    PF_UNROLL
    for (int v = 0; v < K; ++v) {
      const auto all = load<float, W>(rate + i + v * W);
      rates[v] = all < float(kSumBelow) ? all : lane<float, W>{};  // a count of 0
      high[v] = upper_halves<W>(bits + i + v * W);
    }
    doubtful |= quick_sum_quantile<W, K>(rates, high, counts) << i;
    PF_UNROLL
    for (int v = 0; v < K; ++v) store<uint32_t, W>(count + i + v * W, load<uint32_t, W>(count + i + v * W) | counts[v]);
  }
  for (doubtful &= chosen; doubtful; doubtful &= doubtful - 1) {
    const int i = __builtin_ctz(doubtful);
    count[i] = poisson_quantile(bits[i], double(rate[i]));
  }
}

// Counts of 32 pixels, `first` the index of the first. Expands whole lanes, whatever else is in them; few pixels to
// sum, and those in doubt, wait.
template <int W>
inline void count_quickly(const float* rate, const uint64_t* bits, int first, uint32_t* count,
                          WaitingPixels<float> (&waiting)[2]) {
  constexpr int K = quick_lanes_together(W);
  uint32_t doubtful = 0, sum = 0;
  for (int i = 0; i < 32; i += W * K) {
    lane<float, W> rates[K];
    lane<uint32_t, W> high[K], counts[K];
    uint32_t large = 0, zero = 0;
    PF_UNROLL
    for (int v = 0; v < K; ++v) {
      rates[v] = load<float, W>(rate + i + v * W);
      high[v] = upper_halves<W>(bits + i + v * W);
      counts[v] = lane<uint32_t, W>{};
      large |= mask_bits(rates[v] >= float(kSumBelow)) << (v * W);
      zero |= mask_bits(quick_uniform<W>(high[v]) + rates[v] < 1 - 0x1p-20f) << (v * W);
    }
    sum |= (~(large | zero) & (~0u >> (32 - W * K))) << i;
    if (large) {
      doubtful |= (quick_expand_quantile<W, K>(rates, high, counts) & large) << i;
      PF_UNROLL
      for (int v = 0; v < K; ++v) counts[v] = rates[v] >= float(kSumBelow) ? counts[v] : lane<uint32_t, W>{};
    }
    PF_UNROLL
    for (int v = 0; v < K; ++v) store<uint32_t, W>(count + i + v * W, counts[v]);
  }
  if (__builtin_popcount(sum) >= 16) {  // gathering so many costs more than the idle numbers in the lanes
    sum_chosen<W>(sum, rate, bits, count);
    sum = 0;
  }
  waiting[0].add(doubtful, rate, bits, first);
  waiting[1].add(sum, rate, bits, first);
}

// The same in doubles. Sixteen pixels of one kind go straight through; from mixed ones each kind waits.
template <int D>
inline void count_exactly(const double* rate, const uint64_t* bits, int first, uint32_t* count,
                          WaitingPixels<double> (&waiting)[2]) {
  for (int half = 0; half < 32; half += 16) {
    uint32_t expand = 0, zero = 0;
    PF_UNROLL
    for (int i = half; i < half + 16; i += D) expand |= mask_bits(load<double, D>(rate + i) >= kSumBelow) << i;
    if (expand >> half == 0xffff) {
      count_sixteen<D>(false, rate + half, bits + half, count + half);
      continue;
    }
    PF_UNROLL
    for (int i = half; i < half + 16; i += D) {  // F(0) = exp(-rate) > 1 - rate: where u is below that, the count is 0
      const auto below = (1 - 0x1p-50) - load<double, D>(rate + i);
      zero |= mask_bits(uniform<D>(load<uint64_t, D>(bits + i)) < below) << i;
    }
    const uint32_t sum = 0xffffu << half & ~(expand | zero);
    if (sum >> half == 0xffff) {
      count_sixteen<D>(true, rate + half, bits + half, count + half);
      continue;
    }
    memset(count + half, 0, 16 * sizeof *count);
    waiting[0].add(expand, rate, bits, first);
    waiting[1].add(sum, rate, bits, first);
  }
}

// Counts of one pattern. rate (n_pixels), in photons, 0 to 2^31; W = 1, 4, 8 or 16 numbers of 32 bits make a lane.
template <class T, int W>
inline void poisson_counts(const T* rate, uint32_t* count, int n_pixels, uint64_t seed, uint64_t pattern) {
  constexpr int D = W == 1 ? 1 : W / 2, K = lanes_together(D);
  constexpr bool quick = sizeof(T) == sizeof(float);
  constexpr int sums = quick ? 32 : 16;
  const Philox<D> philox(seed);
  WaitingPixels<T> waiting[2];  // to expand, to sum
  uint64_t step[D];
  for (int i = 0; i < D; ++i) step[i] = i;
  const auto steps = load<uint64_t, D>(step);
  const auto expand = [](const T* r, const uint64_t* b, uint32_t* c) { count_sixteen<D>(false, r, b, c); };
  const auto sum = [](const T* r, const uint64_t* b, uint32_t* c) {
    if constexpr (quick) {
      memset(c, 0, sums * sizeof *c);
      sum_chosen<W>(~0u, r, b, c);
    } else {
      count_sixteen<D>(true, r, b, c);
    }
  };

  for (int first = 0; first < n_pixels; first += 32) {
    uint64_t bits[32];
    for (int i = 0; i < 16; i += K * D) {
      lane<uint64_t, D> block[K], b0[K], b1[K];
      for (int v = 0; v < K; ++v) block[v] = steps + uint64_t(first / 2 + i + v * D);
      photon_bits(philox, block, pattern, b0, b1);
      for (int v = 0; v < K; ++v) {
        store<uint64_t, D>(bits + i + v * D, b0[v]);
        store<uint64_t, D>(bits + 16 + i + v * D, b1[v]);
      }
    }
    const int here = n_pixels - first < 32 ? n_pixels - first : 32;
    T padded_rates[32];
    uint32_t padded_counts[32];
    const T* rates = rate + first;
    uint32_t* counts = count + first;
    if (here < 32) {  // the rest: no photons expected, and u near 0
      for (int i = 0; i < 32; ++i) {
        padded_rates[i] = i < here ? rates[i] : T(0);
        bits[i] = i < here ? bits[i] : 0;
      }
      rates = padded_rates;
      counts = padded_counts;
    }
    if constexpr (quick)
      count_quickly<W>(rates, bits, first, counts, waiting);
    else
      count_exactly<D>(rates, bits, first, counts, waiting);
    if (here < 32) memcpy(count + first, counts, here * sizeof *count);
    while (waiting[0].length >= 16) waiting[0].template count_last<16>(T(kSumBelow), count, expand);
    while (waiting[1].length >= sums) waiting[1].template count_last<sums>(T(0), count, sum);
  }
  if (waiting[0].length) waiting[0].template count_last<16>(T(kSumBelow), count, expand);
  if (waiting[1].length) waiting[1].template count_last<sums>(T(0), count, sum);
}

}  // namespace PF_ISA
}  // namespace pf
