// Photon counts: exact Poisson quantiles of Philox uniforms, one per pixel.
//
// count = the smallest k >= 0 with F(k; rate) >= u. Rates below 8 add up F from k = 0. Larger ones take floor(x), x the
// asymptotic expansion of the continuous quantile of M. B. Giles (2016, ACM Transactions on Mathematical Software 42,
// algorithm 955); below 640, where x can fall on the wrong side of an integer, the few pixels within the error bound
// of one are added up too. tools/fit_poisson.py makes the fitted coefficients.
//
// A pixel goes through the same IEEE-exact operations whatever lane it sits in, so its count does not depend on the
// width, on the pixels around it or on the machine.
#pragma once
#include "philox.h"
#include "portable.h"

namespace pf {
inline namespace PF_ISA {

constexpr double kSumBelow = 8, kCheckBelow = 640, kLargestRate = 2147483648.0;
constexpr double kTail = 0.5 - 0x1p-9;  // |u - 1/2| beyond is a tail
constexpr double kRound = 0x1.8p52;     // adding it rounds to an integer and leaves that in the low bits

template <class To, class From>
PF_HD To same_bits(From x) {
  static_assert(sizeof(To) == sizeof(From), "");
  To y;
  memcpy(&y, &x, sizeof y);
  return y;
}

// A comparison of lanes gives all ones where it holds; of plain numbers (W = 1) it gives a bool.
PF_HD uint64_t add_where(uint64_t k, bool holds) { return k + holds; }
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
template <class V>
PF_HD V root(V x) {
  for (unsigned i = 0; i < sizeof x / sizeof x[0]; ++i) x[i] = root(x[i]);
  return x;
}

#if defined(__SSE2__) && !defined(__CUDACC__)
PF_HD uint32_t mask_bits(lane<int64_t, 2> m) { return uint32_t(_mm_movemask_pd((__m128d)m)); }
PF_HD lane<double, 2> root(lane<double, 2> x) { return _mm_sqrt_pd(x); }
#endif
#if defined(__AVX2__) && !defined(__CUDACC__)
PF_HD uint32_t mask_bits(lane<int64_t, 4> m) { return uint32_t(_mm256_movemask_pd((__m256d)m)); }
PF_HD lane<double, 4> root(lane<double, 4> x) { return _mm256_sqrt_pd(x); }
#endif
#if defined(__AVX512DQ__) && !defined(__CUDACC__)
PF_HD uint32_t mask_bits(lane<int64_t, 8> m) { return _mm512_movepi64_mask((__m512i)m); }
PF_HD lane<double, 8> root(lane<double, 8> x) { return _mm512_sqrt_pd(x); }
#endif

// c[0] + c[1] x + ... of K lanes, odd and even powers apart: several short chains of operations in place of a long one.
template <class V, int K, int N>
PF_HD void polynomial(const double (&c)[N], const V (&x)[K], V (&sum)[K]) {
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

// Count of one pixel: what a GPU thread runs.
PF_HD uint32_t poisson_quantile(double u, double rate) {
  const double rates[1] = {rate}, us[1] = {u};
  uint64_t count[1];
  if (rate < kSumBelow || expand_quantile<1, 1>(rates, us, count)) sum_quantile<1, 1>(rates, us, count);
  return uint32_t(count[0]);
}

// The count of one pixel of one pattern.
PF_HD uint32_t poisson_count(double rate, uint32_t pixel, uint64_t seed, uint64_t pattern) {
  const uint64_t block[1] = {pixel / 32 * 16 + pixel % 16};
  double first[1], second[1];
  photon_uniforms(Philox<1>(seed), block, pattern, first, second);
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

// Lanes of D doubles that are worked on together: a few, so that none waits for the result of the last operation.
constexpr int lanes_together(int d) { return d < 4 ? 4 : 16 / d; }

// Counts of 16 pixels, all with rates below 8 (`sum`) or none. D doubles make a lane.
template <int D>
inline void count_sixteen(bool sum, const double* rate, const double* u, uint32_t* count) {
  constexpr int K = lanes_together(D);
  lane<double, D> rates[K], us[K];
  lane<uint64_t, D> counts[K];
  uint32_t doubtful = 0;
  for (int i = 0; i < 16; i += K * D) {
    PF_UNROLL
    for (int v = 0; v < K; ++v) {
      rates[v] = load<double, D>(rate + i + v * D);
      us[v] = load<double, D>(u + i + v * D);
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
    const double one_rate[1] = {rate[i]}, one_u[1] = {u[i]};
    uint64_t one_count[1];
    sum_quantile<1, 1>(one_rate, one_u, one_count);
    count[i] = uint32_t(one_count[0]);
  }
}

// Pixels of one kind (rates below 8, or not) that wait until they fill 16 lanes.
struct WaitingPixels {
  double rate[32], u[32];
  int pixel[32];
  int length = 0;

  // Adds the pixels `first + i` of those of 16 whose bit i is set.
  void add(uint32_t bits, const double* rates, const double* us, int first) {
    int n = length;
    for (; bits; bits &= bits - 1, ++n) {
      const int i = __builtin_ctz(bits);
      rate[n] = rates[i];
      u[n] = us[i];
      pixel[n] = first + i;
    }
    length = n;
  }

  // Counts the last 16 pixels, or all where they are fewer.
  template <int D>
  void count_last(bool sum, uint32_t* count) {
    const int first = length < 16 ? 0 : length - 16;
    for (int i = length; i < 16; ++i) {
      rate[i] = sum ? 0 : kSumBelow;
      u[i] = 0.5;
    }
    uint32_t counts[16];
    count_sixteen<D>(sum, rate + first, u + first, counts);
    for (int i = first; i < length; ++i) count[pixel[i]] = counts[i - first];
    length = first;
  }
};

// Counts of one pattern. rate (n_pixels), in photons, 0 to 2^31 (see first_bad_rate); W = 1, 4, 8 or 16 numbers of
// 32 bits make a lane. Sixteen pixels of one kind go straight through; from mixed ones each kind is gathered first.
template <class T, int W>
inline void poisson_counts(const T* rate, uint32_t* count, int n_pixels, uint64_t seed, uint64_t pattern) {
  constexpr int D = W == 1 ? 1 : W / 2, K = lanes_together(D);
  using V = lane<double, D>;
  const Philox<D> philox(seed);
  WaitingPixels waiting[2];  // to expand, to sum
  uint64_t step[D];
  for (int i = 0; i < D; ++i) step[i] = i;
  const auto steps = load<uint64_t, D>(step);

  for (int first = 0; first < n_pixels; first += 32) {
    const int here = n_pixels - first < 32 ? n_pixels - first : 32;
    double rates[32], us[32];
    if (here == 32) {
      for (int i = 0; i < 32; i += D) store<double, D>(rates + i, load_rates<D>(rate + first + i));
    } else {
      for (int i = 0; i < 32; ++i) rates[i] = i < here ? double(rate[first + i]) : 0;
    }
    for (int i = 0; i < 16; i += K * D) {
      lane<uint64_t, D> block[K];
      V u0[K], u1[K];
      for (int v = 0; v < K; ++v) block[v] = steps + uint64_t(first / 2 + i + v * D);
      photon_uniforms(philox, block, pattern, u0, u1);
      for (int v = 0; v < K; ++v) {
        store<double, D>(us + i + v * D, u0[v]);
        store<double, D>(us + 16 + i + v * D, u1[v]);
      }
    }
    for (int half = 0; half < here; half += 16) {
      const int inside = here - half < 16 ? here - half : 16;
      uint32_t expand = 0, zero = ~0u << inside;
      PF_UNROLL
      for (int i = 0; i < 16; i += D) expand |= mask_bits(load<double, D>(rates + half + i) >= kSumBelow) << i;
      if (expand == 0xffff) {
        count_sixteen<D>(false, rates + half, us + half, count + first + half);
        continue;
      }
      PF_UNROLL
      for (int i = 0; i < 16; i += D) {  // F(0) = exp(-rate) > 1 - rate: where u is below that, the count is 0
        const V below = (1 - 0x1p-50) - load<double, D>(rates + half + i);
        zero |= mask_bits(load<double, D>(us + half + i) < below) << i;
      }
      const uint32_t sum = 0xffff & ~(expand | zero);
      if (sum == 0xffff) {
        count_sixteen<D>(true, rates + half, us + half, count + first + half);
        continue;
      }
      memset(count + first + half, 0, inside * sizeof *count);
      for (int kind = 0; kind < 2; ++kind) {
        waiting[kind].add(kind ? sum : expand, rates + half, us + half, first + half);
        if (waiting[kind].length >= 16) waiting[kind].template count_last<D>(kind, count);
      }
    }
  }
  for (int kind = 0; kind < 2; ++kind) waiting[kind].template count_last<D>(kind, count);
}

// Index of the first rate that is negative, NaN, infinite or above 2^31; -1 if all are good.
template <class T>
inline int64_t first_bad_rate(const T* rate, int64_t n) {
  constexpr int64_t step = 256;
  for (int64_t first = 0; first < n; first += step) {
    const int64_t end = n - first < step ? n : first + step;
    int bad = 0;
    for (int64_t i = first; i < end; ++i) bad |= !((rate[i] >= 0) & (rate[i] <= T(kLargestRate)));
    if (!bad) continue;
    for (int64_t i = first; i < end; ++i) {
      if (!(rate[i] >= 0 && rate[i] <= T(kLargestRate))) return i;
    }
  }
  return -1;
}

}  // namespace PF_ISA
}  // namespace pf
