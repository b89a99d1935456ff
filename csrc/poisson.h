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
constexpr float kQuickLargest = 0x1.fffffep30f;  // larger rates do not fit an int32
constexpr int kManyToSum = 24;                   // of 32: fewer are gathered, which costs less than idle lanes
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

template <class V>
PF_HD V smaller(V a, V b) {
  return a < b ? a : b;
}

// |x|, of floats.
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
  return _mm512_maskz_sqrt_ps(0xffff, x);  // GCC 12 warns of the plain one
}
#endif

// 0, 1, 2, ....
template <class T, int W>
PF_HD lane<T, W> iota() {
  lane<T, W> x;
  for (int i = 0; i < W; ++i) x[i] = T(i);
  return x;
}

// Stores the numbers whose bits are set side by side; what follows them, up to a whole lane, is undefined.
#if defined(__AVX2__) && !defined(__CUDACC__)
constexpr bool packs_lanes(int w) { return w >= 8; }

// The numbers of the set bits of every byte.
struct SetBits {
  uint8_t of[256][8] = {};
  constexpr SetBits() {
    for (int byte = 0; byte < 256; ++byte)
      for (int i = 0, n = 0; i < 8; ++i)
        if (byte >> i & 1) of[byte][n++] = uint8_t(i);
  }
};
constexpr SetBits kSetBits;

PF_HD void store_packed(void* to, lane<uint32_t, 8> x, uint32_t chosen) {
  const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)kSetBits.of[chosen]));
  _mm256_storeu_si256((__m256i*)to, _mm256_permutevar8x32_epi32((__m256i)x, order));
}
#else
constexpr bool packs_lanes(int) { return false; }
#endif
#if defined(__AVX512F__) && !defined(__CUDACC__)
PF_HD void store_packed(void* to, lane<uint32_t, 16> x, uint32_t chosen) {
  _mm512_mask_compressstoreu_epi32(to, __mmask16(chosen), (__m512i)x);
}
#endif

// c[0] + c[1] x + ... of K lanes, odd and even powers apart: several short chains of operations in place of a long one.
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

// u - 1/2 as a float from the upper 32 random bits, relative error below 2^-25 and 2^-32.
template <int W>
PF_HD lane<float, W> quick_centred(lane<uint32_t, W> high) {
  return convert<float, int32_t, W>((lane<int32_t, W>)(high ^ 0x80000000u)) * 0x1p-32f;
}

// u as a float, error below 2^-24.
template <int W>
PF_HD lane<float, W> quick_uniform(lane<uint32_t, W> high) {
  return quick_centred<W>(high) + 0.5f;
}

// sum_quantile in floats of W * K numbers, rate < 8. What is left of u, u - F, stops at its first value below the error
// bound. Where that is above minus the bound the count is in doubt: a set bit of the result.
template <int W, int K>
PF_HD uint32_t quick_sum_quantile(const float* rate, const uint32_t* high, uint32_t* count) {
  using V = lane<float, W>;
  V rates[K], p[K], left[K];
  lane<uint32_t, W> counts[K];
  PF_UNROLL
  for (int v = 0; v < K; ++v) rates[v] = load<float, W>(rate + v * W);
  quick_exp_minus<W, K>(rates, p);
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    left[v] = quick_uniform<W>(load<uint32_t, W>(high + v * W)) - p[v];
    counts[v] = lane<uint32_t, W>{};
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
        counts[v] = add_where(counts[v], below);
        p[v] *= rates[v] * inverse;
        left[v] -= below ? p[v] : V{};
      }
    }
  }
  uint32_t doubtful = 0;
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    doubtful |= mask_bits(left[v] >= -kQuickSumError) << (v * W);
    store<uint32_t, W>(count + v * W, counts[v]);
  }
  return doubtful;
}

// expand_quantile in floats of W * K numbers, as x - rate = rate s H(s) + c0(s) + c1(s) / rate with H = 1 + s h, less
// 1/2. A set bit of the result marks a count in doubt: in a tail, or with x within its error bound of an integer. The
// roundings shift x in proportion to rate s = sqrt(rate) w, what the shorter polynomials miss to s^2 and 1 / rate, the
// bits of u left out by less than 3e-5. The bound is about twice the largest error of 2e9 pixels.
template <int W, int K>
PF_HD uint32_t quick_expand_quantile(const float* rate, const uint32_t* high, uint32_t* count) {
  using V = lane<float, W>;
  using I = lane<int32_t, W>;
  using B = lane<uint32_t, W>;
  constexpr float w_top[] = {8.940361976623535f, 699.9413452148438f, 7207.89453125f, 10720.166015625f,
                             370.439697265625f};
  constexpr float w_bottom[] = {1.0f, 107.94658660888672f, 1647.5841064453125f, 5437.150390625f, 4150.12158203125f};
  constexpr float h[] = {1.0f,
                         0.1666666716337204f,
                         -0.013887430541217327f,
                         0.0036631368566304445f,
                         -0.0015464903553947806f,
                         0.0007575647905468941f};
  constexpr float c0[] = {0.3333323001861572f - 0.5f, -0.027742791920900345f, 0.009617133997380733f,
                          -0.004615676589310169f};
  constexpr float c1[] = {-0.02117517590522766f, 0.031205669045448303f};
  constexpr float tail = kQuickTail * (1 - kQuickTail);
  V q[K], square[K], root_of[K], s[K], over_rate[K], top[K], bottom[K];
  uint32_t doubtful = 0;
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    q[v] = quick_centred<W>(load<uint32_t, W>(high + v * W));
    square[v] = (0.5f - q[v]) * (0.5f + q[v]);
    root_of[v] = root(square[v]);
  }
  polynomial(w_top, root_of, square, top);
  polynomial(w_bottom, root_of, square, bottom);
  PF_UNROLL
  for (int v = 0; v < K; ++v) doubtful |= mask_bits(square[v] < tail) << (v * W);
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    const V common = 1.0f / (bottom[v] * root(load<float, W>(rate + v * W))), inverse = common * bottom[v];
    s[v] = q[v] * top[v] * common;
    over_rate[v] = inverse * inverse;
    square[v] = s[v] * s[v];
  }
  polynomial(h, s, square, top);
  polynomial(c0, s, square, bottom);
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    const V r = load<float, W>(rate + v * W), first = r * s[v];
    const V small = bottom[v] + over_rate[v] * (c1[1] * s[v] + c1[0]);
    const I whole = convert<int32_t, float, W>(smaller(r, splat<float, W>(kQuickLargest)));
    const V y = (r - convert<float, int32_t, W>(whole)) + (first * top[v] + small), nearest = y + kQuickRound;
    const V error = magnitude<W>(first) * 1.8e-6f + (square[v] * 8e-3f + over_rate[v] * 5e-3f + 4e-5f);
    doubtful |= mask_bits(magnitude<W>(y - (nearest - kQuickRound)) + error > 0.5f) << (v * W);
    store<uint32_t, W>(count + v * W, (B)whole + same_bits<B>(nearest) - kQuickRoundBits);
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
  const uint32_t high = uint32_t(bits >> 32);
  uint32_t count;
  const uint32_t doubtful = rate < float(kSumBelow) ? quick_sum_quantile<1, 1>(&rate, &high, &count)
                                                    : quick_expand_quantile<1, 1>(&rate, &high, &count);
  return doubtful ? poisson_quantile(bits, double(rate)) : count;
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
    const int i = lowest_bit(doubtful);
    const double one_rate[1] = {rate[i]}, one_u[1] = {uniform<1>(bits[i])};
    uint64_t one_count[1];
    sum_quantile<1, 1>(one_rate, one_u, one_count);
    count[i] = uint32_t(one_count[0]);
  }
}

// Counts of 32 pixels in floats, all with rates below 8 (`sum`) or none. A set bit of the result marks one in doubt.
template <int W>
PF_HD uint32_t count_quickly(bool sum, const float* rate, const uint32_t* high, uint32_t* count) {
  constexpr int K = quick_lanes_together(W);
  uint32_t doubtful = 0;
  for (int i = 0; i < 32; i += W * K)
    doubtful |= (sum ? quick_sum_quantile<W, K>(rate + i, high + i, count + i)
                     : quick_expand_quantile<W, K>(rate + i, high + i, count + i))
                << i;
  return doubtful;
}

// Pixels of a kind that wait until they are 16: up to 15, and 32 that come.
struct WaitingPixels {
  uint32_t pixel[48];
  uint64_t bits[48];
  int length;

  // Adds first + i, with its random bits if there are any, for every set bit i.
  void add(uint32_t chosen, uint32_t first, const uint64_t* random = nullptr) {
    int n = length;
    for (; chosen; chosen &= chosen - 1, ++n) {
      const int i = lowest_bit(chosen);
      pixel[n] = first + uint32_t(i);
      if (random) bits[n] = random[i];
    }
    length = n;
  }

  // Takes the last 16, and returns where they begin; where there are fewer, the first stands in for the rest.
  int take() {
    for (int i = length; i < 16; ++i) {
      pixel[i] = pixel[0];
      bits[i] = bits[0];
    }
    return length = length < 16 ? 0 : length - 16;
  }
};

// The same until they are 32, with what `count_quickly` needs; the last lane that is stored may lie beyond 63.
struct QuickWaitingPixels {
  uint32_t pixel[80], high[80];
  float rate[80];
  int length;

  template <int W>
  void add(uint32_t chosen, uint32_t first, const uint32_t* highs, const float* rates) {
    int n = length;
    if constexpr (packs_lanes(W)) {
      auto pixels = iota<uint32_t, W>() + first;
      PF_UNROLL
      for (int i = 0; i < 32; i += W, pixels += W) {
        const uint32_t here = chosen >> i & (~0u >> (32 - W));
        store_packed(pixel + n, pixels, here);
        store_packed(high + n, load<uint32_t, W>(highs + i), here);
        store_packed(rate + n, same_bits<lane<uint32_t, W>>(load<float, W>(rates + i)), here);
        n += count_bits(here);
      }
    } else {
      for (; chosen; chosen &= chosen - 1, ++n) {
        const int i = lowest_bit(chosen);
        pixel[n] = first + uint32_t(i);
        high[n] = highs[i];
        rate[n] = rates[i];
      }
    }
    length = n;
  }

  int take() {
    for (int i = length; i < 32; ++i) {
      pixel[i] = pixel[0];
      high[i] = high[0];
      rate[i] = rate[0];
    }
    return length = length < 32 ? 0 : length - 32;
  }
};

// One pattern on its way from rate (n_pixels) to count (n_pixels), in doubles. Sixteen pixels in a row that are of one
// kind go straight through; others wait for more of their kind.
template <class T, int W>
struct PatternCounts {
  static constexpr int D = W / 2;
  const T* rate;
  uint32_t* count;
  uint64_t pattern;
  Philox<D> philox;
  WaitingPixels to_expand, to_sum;

  PatternCounts(const T* rates, uint32_t* counts, uint64_t seed, uint64_t the_pattern)
      : rate(rates), count(counts), pattern(the_pattern), philox(seed) {
    to_expand.length = to_sum.length = 0;
  }

  // Random bits of the first and of the second pixels of 16 blocks, block_at(i) those from i on.
  template <class F>
  void random_bits(F block_at, uint64_t* first, uint64_t* second) const {
    constexpr int K = lanes_together(D);
    for (int i = 0; i < 16; i += K * D) {
      lane<uint64_t, D> blocks[K], firsts[K], seconds[K];
      PF_UNROLL
      for (int v = 0; v < K; ++v) blocks[v] = block_at(i + v * D);
      photon_bits(philox, blocks, pattern, firsts, seconds);
      PF_UNROLL
      for (int v = 0; v < K; ++v) {
        store<uint64_t, D>(first + i + v * D, firsts[v]);
        store<uint64_t, D>(second + i + v * D, seconds[v]);
      }
    }
  }

  // Counts 16 that wait; in floats their random bits are made again.
  void settle(bool sum, WaitingPixels& waiting) const {
    const int from = waiting.take();
    const uint32_t* pixel = waiting.pixel + from;
    uint64_t* bits = waiting.bits + from;
    if constexpr (sizeof(T) == sizeof(float)) {
      uint64_t block[16], second[16];
      for (int i = 0; i < 16; ++i) block[i] = pixel[i] / 32 * 16 + pixel[i] % 16;
      random_bits([&](int i) { return load<uint64_t, D>(block + i); }, bits, second);
      for (int i = 0; i < 16; ++i) bits[i] = pixel[i] / 16 % 2 ? second[i] : bits[i];
    }
    T rates[16];
    uint32_t counts[16];
    for (int i = 0; i < 16; ++i) rates[i] = rate[pixel[i]];
    count_sixteen<D>(sum, rates, bits, counts);
    for (int i = 0; i < 16; ++i) count[pixel[i]] = counts[i];
  }

  // Counts those that wait, until fewer than `below` of a kind are left.
  void settle_waiting(int below) {
    while (to_expand.length >= below) settle(false, to_expand);
    while (to_sum.length >= below) settle(true, to_sum);
  }

  // Sixteen pixels in a row.
  void run_16(const uint64_t* bits, uint32_t first) {
    uint32_t large = 0, zero = 0;
    PF_UNROLL
    for (int i = 0; i < 16; i += D) {  // F(0) = exp(-rate) > 1 - rate: where u is below that, the count is 0
      const auto rates = load<T, D>(rate + first + i);
      large |= mask_bits(rates >= kSumBelow) << i;
      zero |= mask_bits(uniform<D>(load<uint64_t, D>(bits + i)) < (1 - 0x1p-50) - rates) << i;
    }
    const uint32_t sum = ~(large | zero) & 0xffff;
    if (large == 0xffff || sum == 0xffff) return count_sixteen<D>(!large, rate + first, bits, count + first);
    memset(count + first, 0, 16 * sizeof *count);
    to_expand.add(large, first, bits);
    to_sum.add(sum, first, bits);
    settle_waiting(16);
  }

  void run(uint32_t n_pixels) {
    for (uint32_t first = 0; first < n_pixels; first += 32) {
      uint64_t bits[32];
      random_bits([&](int i) { return iota<uint64_t, D>() + (first / 2 + uint64_t(i)); }, bits, bits + 16);
      if (first + 32 <= n_pixels) {
        run_16(bits, first);
        run_16(bits + 16, first + 16);
      } else {
        run_rest(first, n_pixels, bits);
      }
    }
    settle_waiting(1);
  }

  void run_rest(uint32_t first, uint32_t n_pixels, const uint64_t* bits) {
    for (uint32_t i = 0; first + i < n_pixels; ++i) {
      (rate[first + i] < T(kSumBelow) ? to_sum : to_expand).add(1u << i, first, bits);
      settle_waiting(16);
    }
  }
};

// The same in floats, 32 pixels at a time. Those in doubt wait for the doubles.
template <int W>
struct QuickPatternCounts : PatternCounts<float, W> {
  using Exact = PatternCounts<float, W>;
  using Exact::count, Exact::pattern, Exact::philox, Exact::rate, Exact::settle_waiting, Exact::to_expand,
      Exact::to_sum;
  QuickWaitingPixels quick_to_expand, quick_to_sum;

  QuickPatternCounts(const float* rates, uint32_t* counts, uint64_t seed, uint64_t the_pattern)
      : Exact(rates, counts, seed, the_pattern) {
    quick_to_expand.length = quick_to_sum.length = 0;
  }

  void settle_quickly(bool sum, QuickWaitingPixels& waiting) {
    const int from = waiting.take();
    const uint32_t* pixel = waiting.pixel + from;
    uint32_t counts[32];
    uint32_t doubtful = count_quickly<W>(sum, waiting.rate + from, waiting.high + from, counts);
    for (int i = 0; i < 32; ++i) count[pixel[i]] = counts[i];
    for (; doubtful; doubtful &= doubtful - 1) (sum ? to_sum : to_expand).add(1, pixel[lowest_bit(doubtful)]);
  }

  PF_HD void run_32(const uint32_t* high, uint32_t first) {
    const float* rates = rate + first;
    uint32_t large = 0, zero = 0;
    PF_UNROLL
    for (int i = 0; i < 32; i += W) large |= mask_bits(load<float, W>(rates + i) >= float(kSumBelow)) << i;
    if (large == ~0u) return to_expand.add(count_quickly<W>(false, rates, high, count + first), first);
    PF_UNROLL
    for (int i = 0; i < 32; i += W) {  // as in doubles
      zero |= mask_bits(quick_uniform<W>(load<uint32_t, W>(high + i)) + load<float, W>(rates + i) < 1 - 0x1p-20f) << i;
      store<uint32_t, W>(count + first + i, lane<uint32_t, W>{});
    }
    const uint32_t sum = ~(large | zero);
    if (!large && count_bits(sum) >= kManyToSum)
      return to_sum.add(count_quickly<W>(true, rates, high, count + first), first);
    if (large) quick_to_expand.template add<W>(large, first, high, rates);
    if (sum) quick_to_sum.template add<W>(sum, first, high, rates);
    if (quick_to_expand.length >= 32) settle_quickly(false, quick_to_expand);
    if (quick_to_sum.length >= 32) settle_quickly(true, quick_to_sum);
  }

  void run(uint32_t n_pixels) {
    uint32_t first = 0, high[128];  // a few times 32, so that the loops over them overlap
    while (first + 32 <= n_pixels) {
      uint32_t n = 0;
      for (; n < 128 && first + n + 32 <= n_pixels; n += 32)
        upper_photon_bits<W>(philox, (first + n) / 2, pattern, high + n);
      for (uint32_t i = 0; i < n; i += 32, first += 32) {
        run_32(high + i, first);
        settle_waiting(16);
      }
    }
    if (quick_to_expand.length) settle_quickly(false, quick_to_expand);
    if (quick_to_sum.length) settle_quickly(true, quick_to_sum);
    settle_waiting(16);
    Exact::run_rest(first, n_pixels, nullptr);
    settle_waiting(1);
  }
};

// Counts of one pattern. rate (n_pixels), in photons, 0 to 2^31; W = 4, 8 or 16 numbers of 32 bits make a lane.
template <class T, int W>
inline void poisson_counts(const T* rate, uint32_t* count, int n_pixels, uint64_t seed, uint64_t pattern) {
  if constexpr (sizeof(T) == sizeof(float))
    QuickPatternCounts<W>(rate, count, seed, pattern).run(uint32_t(n_pixels));
  else
    PatternCounts<T, W>(rate, count, seed, pattern).run(uint32_t(n_pixels));
}

}  // namespace PF_ISA
}  // namespace pf
