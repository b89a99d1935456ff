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
#include "lane_math.h"
#include "philox.h"

namespace pf {
inline namespace PF_ISA {

constexpr double kSumBelow = 8, kCheckBelow = 640;
constexpr double kTail = 0.5 - 0x1p-9;           // |u - 1/2| beyond is a tail
constexpr float kQuickTail = 0x1p-9f;            // smaller u or 1 - u are left to the doubles
constexpr float kQuickLargest = 0x1.fffffep30f;  // larger rates do not fit an int32
constexpr float kQuickSumError = 0x1p-17f;       // more than ten times the error of u - F in floats

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

}  // namespace PF_ISA
}  // namespace pf
