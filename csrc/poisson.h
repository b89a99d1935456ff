// Photon counts: exact Poisson quantiles of Philox uniforms, one uniform per pixel.
//
//   count = the smallest k >= 0 with F(k; rate) >= u       F: distribution function of the Poisson distribution
//
// Rates below 8: F is summed from k = 0 on. Larger rates: count = floor(x), where x is the asymptotic expansion of the
// continuous quantile by M. B. Giles (2016, ACM Transactions on Mathematical Software 42, algorithm 955). Below a rate
// of 640 the error of x can put it on the wrong side of an integer. The few pixels whose x is that close to an integer
// are summed too. tools/fit_poisson.py makes the fitted coefficients (poisson_coefficients.h).
//
// Rates in single precision are first counted in single precision ("quick" below), twice as many numbers at once, with
// an error bound; here the expansion is used from 4 on. Where the count is in doubt, double precision decides. So the
// quick way changes no count, and single and double precision rates of the same value give the same count.
//
// A pixel goes through the same correctly rounded operations in whatever lane it is. So its count does not depend on
// the lane width, on the other pixels or on the machine. All loops end for every input, also for rates that are not
// allowed (negative, NaN); such a count has no meaning.
#pragma once
#include "lane_math.h"
#include "philox.h"

namespace pf {
inline namespace PF_ISA {

constexpr double kSumBelow = 8, kCheckBelow = 640;
constexpr int kMostSummed = 1024;                // no count of a rate below 640 is larger than 900
constexpr double kTail = 0.5 - 0x1p-9;           // u is in a tail where |u - 1/2| is larger
constexpr float kQuickTail = 0x1p-9f;            // smaller u or 1 - u are left to double precision
constexpr float kQuickLargest = 0x1.fffffep30f;  // larger rates do not fit an int32
constexpr float kQuickSumBelow = 4;
constexpr int kQuickMostSummed = 64;        // no count of a rate below 4 is larger than 32
constexpr float kQuickSumError = 0x1p-17f;  // more than ten times the error of u - F in single precision

// For K lanes: w = Phi^-1(u), the normal quantile; `deviation`, the square root of the rate; `inverse`, 1 / deviation.
// One division serves all three. The quantile is a fitted ratio of polynomials. In the middle it is u - 1/2 times a
// ratio in y = sqrt(u (1 - u)), with an error of Phi(w) below 1e-13. In the tails (u or 1 - u below 2^-9) it is a ratio
// in sqrt(-log(min(u, 1 - u))), with an error of w below 1e-13.
template <int D, int K>
PF_HD void normal_quantile(const lane<double, D> (&u)[K], const lane<double, D> (&rate)[K], lane<double, D> (&w)[K],
                           lane<double, D> (&deviation)[K], lane<double, D> (&inverse)[K]) {
  using V = lane<double, D>;
  constexpr double middle_top[] = {PF_MIDDLE_TOP};
  constexpr double middle_bottom[] = {PF_MIDDLE_BOTTOM};
  constexpr double tail_top[] = {PF_TAIL_TOP};
  constexpr double tail_bottom[] = {PF_TAIL_BOTTOM};
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

// Counts of K lanes (K * D numbers) by summation, rate < 640: p = p rate / k, F = F + p while F < u. Rounding changes F
// by less than (rate + 32) 2^-51. u is limited to 1 minus that, so that F always reaches it.
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
    if (!mask_bits(below) || k > kMostSummed) return;
    for (int step = 0; step < 4; ++step, k += 1) {  // steps beyond the count change nothing
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

// floor(x), x = rate + sqrt(rate) w + w^2 h(s) + c0(s) + c1(s) / rate + c2(s) / rate^2, with w = Phi^-1(u) and
// s = w / sqrt(rate), for rate >= 8. From 640 on floor(x) is the count, except where F differs from u by less than
// 2e-12. Below 640 a set bit of the result marks a number whose s is outside the fitted range, or whose x is closer to
// an integer than its error bound.
template <int D, int K>
PF_HD uint32_t expand_quantile(const lane<double, D> (&rate)[K], const lane<double, D> (&u)[K],
                               lane<uint64_t, D> (&count)[K]) {
  using V = lane<double, D>;
  using B = lane<uint64_t, D>;
  constexpr double h[] = {PF_H};
  constexpr double c0[] = {PF_C0};
  constexpr double c1[] = {PF_C1};
  constexpr double c2[] = {PF_C2};
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
    // The integer part and the fraction of the rate are used separately. Otherwise large rates would round x - rate.
    const V whole = rate[v] + kRound, y = (rate[v] - (whole - kRound)) - 0.5 + offset, nearest = y + kRound;
    const V gap = y - (nearest - kRound), miss = larger(gap, -gap), reach = s[v] - 0.125;
    const V error = 1.5e-3 * (s[v] * s[v]) + 1e-3 * over_rate;  // at least 1.7 times that of x
    const auto doubt = (rate[v] < kCheckBelow) & ((miss + error > 0.5) | (larger(reach, -reach) > 1.125));
    doubtful |= mask_bits(doubt) << (v * D);
    count[v] = same_bits<B>(whole) + same_bits<B>(nearest);
  }
  return doubtful;
}

// exp_minus in single precision, 0 <= x <= 8: relative error below 4e-7.
template <int W, int K>
PF_HD void quick_exp_minus(const lane<float, W> (&x)[K], lane<float, W> (&result)[K]) {
  using V = lane<float, W>;
  using B = lane<uint32_t, W>;
  constexpr float c[] = {PF_QUICK_EXP};
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

// u - 1/2 in single precision from the upper 32 random bits; relative error below 2^-25, absolute error of u below
// 2^-32.
template <int W>
PF_HD lane<float, W> quick_centred(lane<uint32_t, W> high) {
  return convert<float, int32_t, W>((lane<int32_t, W>)(high ^ 0x80000000u)) * 0x1p-32f;
}

// u in single precision, error below 2^-24.
template <int W>
PF_HD lane<float, W> quick_uniform(lane<uint32_t, W> high) {
  return quick_centred<W>(high) + 0.5f;
}

// 1 / k. On a CPU a division takes longer than all else in a step of the sum below.
#if !defined(__CUDACC__)
struct Inverses {
  float of[kQuickMostSummed + 4] = {};
  constexpr Inverses() {
    for (int k = 1; k < kQuickMostSummed + 4; ++k) of[k] = 1 / float(k);
  }
};
constexpr Inverses kInverses;
#endif
template <int W>
PF_HD float quick_inverse(int k) {
#if !defined(__CUDACC__)
  if constexpr (W > 1) return kInverses.of[k];
#endif
  return 1 / float(k);
}

// sum_quantile in single precision, of W * K numbers with rate < 4. `left` is u - F; it is no longer changed once it is
// below the error bound. Where it is then above minus the error bound, the count is in doubt: a set bit of the result.
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
  for (int k = 1;;) {
    auto more = left[0] > kQuickSumError;
    PF_UNROLL
    for (int v = 1; v < K; ++v) more |= left[v] > kQuickSumError;
    if (!mask_bits(more) || k > kQuickMostSummed) break;
    for (int step = 0; step < 4; ++step, ++k) {  // steps beyond the count change nothing
      const float inverse = quick_inverse<W>(k);
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

// expand_quantile in single precision, of W * K numbers: x - rate - 1/2 = rate s H(s) + c0(s) - 1/2 + c1(s) / rate with
// H = 1 + s h. A set bit of the result marks a count in doubt: u in a tail, or x closer to an integer than its error
// bound. The error of x has three parts: rounding, in proportion to rate s = sqrt(rate) w; the shorter polynomials, in
// proportion to s^2 and 1 / rate; the bits of u that are not used, below 3e-5. The bound is 1.7 times the largest error
// that was found in 1e8 pixels at rates from 4 to 8, and twice the largest in 2e9 from 8 on. In 6e9 pixels from 4 to 8
// no count without doubt was wrong.
template <int W, int K>
PF_HD uint32_t quick_expand_quantile(const float* rate, const uint32_t* high, uint32_t* count) {
  using V = lane<float, W>;
  using I = lane<int32_t, W>;
  using B = lane<uint32_t, W>;
  constexpr float w_top[] = {PF_QUICK_MIDDLE_TOP};
  constexpr float w_bottom[] = {PF_QUICK_MIDDLE_BOTTOM};
  constexpr float h[] = {1.0f, PF_QUICK_H};
  constexpr float c0[] = {PF_QUICK_C0_MINUS_HALF};
  constexpr float c1[] = {PF_QUICK_C1};
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
    const V error = magnitude<W>(first) * 1.8e-6f + (square[v] * 1e-2f + over_rate[v] * 5e-3f + 4e-5f);
    doubtful |= mask_bits(magnitude<W>(y - (nearest - kQuickRound)) + error > 0.5f) << (v * W);
    store<uint32_t, W>(count + v * W, (B)whole + same_bits<B>(nearest) - kQuickRoundBits);
  }
  return doubtful;
}

// Count of one pixel from its 64 random bits. This is what a GPU thread runs; there double precision is rarely needed
// and takes many registers, so it is a function call.
PF_HD_RARE uint32_t poisson_quantile(uint64_t bits, double rate) {
  const double rates[1] = {rate}, us[1] = {uniform<1>(bits)};
  uint64_t count[1];
  if (rate < kSumBelow || expand_quantile<1, 1>(rates, us, count)) sum_quantile<1, 1>(rates, us, count);
  return uint32_t(count[0]);
}
PF_HD uint32_t poisson_quantile(uint64_t bits, float rate) {
  const uint32_t high = uint32_t(bits >> 32);
  uint32_t count;
  const uint32_t doubtful = rate < kQuickSumBelow ? quick_sum_quantile<1, 1>(&rate, &high, &count)
                                                  : quick_expand_quantile<1, 1>(&rate, &high, &count);
  return doubtful ? poisson_quantile(bits, double(rate)) : count;
}

}  // namespace PF_ISA
}  // namespace pf
