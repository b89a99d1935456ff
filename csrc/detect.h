// What a detector makes of photons that were counted, pixel by pixel, in the order in which its parts act:
//
//   dead time     k photons -> about k / (1 + x) counts, or k exp(-x); x = (k - 1) tau / T
//   dark counts   + a Poisson count of constant mean
//   signal        gain * counts + readout * normal number + offset
//   ceiling       cut off, or modulo
//   step          rounded to a multiple
//   pixels        dead, hot and masked ones have signals of their own
//
// backend/reference/detector.py is the definition and says where the formulas are from. Random numbers are words of 32
// bits, one for each part and pixel, see `pixel_words`. Noise is made in single precision, signals in double precision.
// As in poisson.h, a pixel goes through the same correctly rounded operations in whatever lane it is.
#pragma once
#include "model.h"
#include "poisson.h"

namespace pf {
inline namespace PF_ISA {

// Streams: word 1 of a counter, see STREAMS in rng.py. The lower half of a word of kCountsStream is for dead time; the
// upper half is that of the word for dark counts, whose lower half is in kDarkStream and rarely needed. A word of
// kReadoutStream serves two pixels; a normal number that is far out has the lower half of its word in
// kReadoutTailStream.
constexpr uint32_t kCountsStream = 32, kDarkStream = 33, kReadoutStream = 34, kReadoutTailStream = 36;

constexpr uint32_t kNormalTail = 16;               // halves below, or as near to 2^16, are far out
constexpr float kByteSumInverse = 0x1.39897ep-7f;  // 1 over the deviation of a sum of two bytes, sqrt(10922.5)
constexpr uint32_t kMostInDeadTime = 2147483520;   // 2^31 - 128, a float

// The random words of 64 pixels, from the 16 blocks from `first_block` on. Block b, with the counter (b, stream,
// pattern), serves the pixels 64 (b / 16) + b % 16 + 16 j with its words j = 0 ... 3.
template <int D>
PF_HD void pixel_words(const Philox<D>& philox, uint64_t first_block, uint32_t stream, uint64_t pattern,
                       uint32_t* words) {
  constexpr int K = D < 4 ? 4 : 16 / D;
  for (int i = 0; i < 16; i += K * D) {
    lane<uint64_t, D> word[4][K];
    PF_UNROLL
    for (int v = 0; v < K; ++v) {  // even and odd blocks in separate lanes: two then join without a shuffle
      word[0][v] = iota<uint64_t, D>() * 2 + (first_block + uint64_t(i + v / 2 * 2 * D + v % 2));
      word[1][v] = splat<uint64_t, D>(stream);
      word[2][v] = splat<uint64_t, D>(uint32_t(pattern));
      word[3][v] = splat<uint64_t, D>(pattern >> 32);
    }
    philox(word);
    PF_UNROLL
    for (int j = 0; j < 4; ++j) {
      PF_UNROLL
      for (int v = 0; v < K; v += 2) {
        const lane<uint64_t, D> pairs = (word[j][v] & 0xffffffffu) | (word[j][v + 1] << 32);
        memcpy(words + 16 * j + i + v * D, &pairs, sizeof pairs);
      }
    }
  }
}

// The word of one pixel.
PF_HD_RARE uint32_t pixel_word(uint64_t seed, uint32_t stream, uint64_t pattern, uint32_t pixel) {
  uint64_t word[4][1] = {{pixel / 64 * 16 + pixel % 16}, {stream}, {uint32_t(pattern)}, {pattern >> 32}};
  const Philox<1> philox(seed);
  philox(word);
  return uint32_t(word[pixel / 16 % 4][0]);
}

// Of 128 pixels in a row the first 64 take the lower, the others the upper halves of 64 words: pixel p that of word
// `shared_word(p)` of the pattern.
PF_HD uint32_t shared_word(uint32_t pixel) { return pixel / 128 * 64 + pixel % 64; }
PF_HD bool takes_upper_half(uint32_t pixel) { return pixel / 64 % 2; }

// Phi^-1((word + 1/2) 2^-32) in a tail.
PF_HD_RARE float normal_in_tail(uint32_t word) {
  constexpr double tail_top[] = {PF_TAIL_TOP};
  constexpr double tail_bottom[] = {PF_TAIL_BOTTOM};
  const double q = (double(word) + 0.5) * 0x1p-32 - 0.5, rest[1] = {0.5 - larger(q, -q)};
  double log[1], top[1], bottom[1];
  log_of<1, 1>(rest, log);
  const double t[1] = {root(-log[0])};
  polynomial(tail_top, t, top);
  polynomial(tail_bottom, t, bottom);
  return float(q > 0 ? top[0] / bottom[0] : -top[0] / bottom[0]);
}

// Phi^-1((half + 1/2) 2^-16) of W * K halves of words. The error is below 2e-5. A set bit of the result marks a half
// that is far out.
template <int W, int K>
PF_HD uint32_t quick_normals(const lane<uint32_t, W> (&half)[K], float* normal) {
  using V = lane<float, W>;
  constexpr float w_top[] = {PF_QUICK_NORMAL_TOP};
  constexpr float w_bottom[] = {PF_QUICK_NORMAL_BOTTOM};
  constexpr float tail = kNormalTail * 0x1p-16f * (1 - kNormalTail * 0x1p-16f);
  V q[K], square[K], root_of[K], top[K], bottom[K];
  auto far = V{} > 0.0f;
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    q[v] = (convert<float, int32_t, W>((lane<int32_t, W>)half[v]) - 32767.5f) * 0x1p-16f;
    square[v] = (0.5f - q[v]) * (0.5f + q[v]);
    root_of[v] = root(square[v]);
    far |= square[v] < tail;
  }
  polynomial(w_top, root_of, square, top);
  polynomial(w_bottom, root_of, square, bottom);
  PF_UNROLL
  for (int v = 0; v < K; ++v) store<float, W>(normal + v * W, q[v] * top[v] / bottom[v]);
  uint32_t tails = 0;
  if (mask_bits(far))
    for (int v = 0; v < K; ++v) tails |= mask_bits(square[v] < tail) << (v * W);
  return tails;
}

// The normal number of a pixel whose half is far out.
PF_HD_RARE float far_normal(uint64_t seed, uint64_t pattern, uint32_t pixel, uint32_t half) {
  return normal_in_tail(half << 16 | (pixel_word(seed, kReadoutTailStream, pattern, pixel) & 0xffffu));
}

// What W * K pixels that are dead for a time see of their photons: counts k, the other photons k - 1 of each, their
// share x = (k - 1) tau / T of the exposure, the share that is seen, and the photons that are lost, all as floats.
template <bool paralysable, int W, int K>
struct DeadTime {
  using V = lane<float, W>;
  using I = lane<int32_t, W>;
  I most[K];
  V k[K], others[K], x[K], seen[K], lost[K];

  PF_HD DeadTime(float tau, const uint32_t* count) {
    PF_UNROLL
    for (int v = 0; v < K; ++v) {
      most[v] = (I)smaller(load<uint32_t, W>(count + v * W), splat<uint32_t, W>(kMostInDeadTime));
      k[v] = convert<float, int32_t, W>(most[v]);
      others[v] = larger(k[v] - 1.0f, V{});
      x[v] = others[v] * tau;
    }
    if constexpr (paralysable) {
      V limited[K];
      PF_UNROLL
      for (int v = 0; v < K; ++v) limited[v] = smaller(x[v], splat<float, W>(80));
      quick_exp_minus<W, K>(limited, seen);
    } else {
      PF_UNROLL
      for (int v = 0; v < K; ++v) seen[v] = 1.0f / (1.0f + x[v]);
    }
    PF_UNROLL
    for (int v = 0; v < K; ++v) lost[v] = paralysable ? k[v] * (1.0f - seen[v]) : x[v] * (k[v] * seen[v]);
  }
};

// The lower half of a word as a fraction.
template <int W>
PF_HD lane<float, W> chance_of(lane<uint32_t, W> half) {
  return (convert<float, int32_t, W>((lane<int32_t, W>)half) + 0.5f) * 0x1p-16f;
}

// W * K counts of pixels that miss photons while they are dead. Where most photons are missed, the count is made from
// its mean, elsewhere from the mean loss: single precision is enough for either. A number that hardly varies is rounded
// up or down by chance; others are rounded to the nearest integer.
template <bool paralysable, int W, int K>
PF_HD void miss_photons(double dead_time, const uint32_t* word, uint32_t* count) {
  using V = lane<float, W>;
  using I = lane<int32_t, W>;
  using B = lane<uint32_t, W>;
  const float root_tau = float(root(dead_time));
  const DeadTime<paralysable, W, K> dead(float(dead_time), count);
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    const V x = dead.x[v], seen = dead.seen[v], mean = dead.k[v] * seen;
    V deviation;
    if constexpr (paralysable)
      deviation = root(larger(mean * (1.0f - (1.0f + x * x) * seen), V{}));
    else
      deviation = dead.others[v] * root_tau * (seen * seen);
    const B half = load<uint32_t, W>(word + v * W) & 0xffffu;
    const V near_normal = convert<float, int32_t, W>((I)((half & 0xffu) + (half >> 8)) - 255) * kByteSumInverse;
    const V z =
        (x > 1.0f ? mean : -dead.lost[v]) + (deviation < 0.5f ? chance_of<W>(half) : deviation * near_normal + 0.5f);
    const I cut = convert<int32_t, float, W>(larger(z, splat<float, W>(-float(kMostInDeadTime))));
    const I whole = convert<float, int32_t, W>(cut) > z ? cut - 1 : cut;
    const I after = (x > 1.0f ? I{} : dead.most[v]) + whole;
    store<uint32_t, W>(count + v * W, (B)smaller(larger(after, I{}), dead.most[v]));
  }
}

// Pixels of at most so many photons miss at most one, by chance. Their variance is less than k (k - 1) tau / T, so
// that `miss_photons` makes the same of them; the mean loss is less, too.
PF_HD uint32_t most_that_miss_one(double dead_time) {
  return uint32_t(smaller(0.49 / root(dead_time), double(kMostInDeadTime)));
}

template <bool paralysable, int W, int K>
PF_HD void miss_one_photon(double dead_time, const uint32_t* word, uint32_t* count) {
  using V = lane<float, W>;
  const float tau = float(dead_time);
  V chance[K];
  PF_UNROLL
  for (int v = 0; v < K; ++v) chance[v] = chance_of<W>(load<uint32_t, W>(word + v * W) & 0xffffu);
  if constexpr (!paralysable) {
    auto perhaps = V{} > 0.0f;  // as if all photons were seen, without a division
    PF_UNROLL
    for (int v = 0; v < K; ++v) {
      const V k = convert<float, int32_t, W>(load<int32_t, W>((const int32_t*)count + v * W));
      perhaps |= chance[v] < (k - 1.0f) * tau * k;
    }
    if (!mask_bits(perhaps)) return;
  }
  const DeadTime<paralysable, W, K> dead(tau, count);
  PF_UNROLL
  for (int v = 0; v < K; ++v)
    store<uint32_t, W>(count + v * W, add_where((lane<uint32_t, W>)dead.most[v] - 1u, chance[v] >= dead.lost[v]));
}

// Adds dark counts to W * K counts, as far as the upper halves of the words tell: one for each threshold below. A set
// bit of the result marks a word that has the upper half of a threshold.
template <int W, int K>
PF_HD uint32_t add_dark_counts(const Optional<uint32_t, 1>& dark, const uint32_t* word, uint32_t* count) {
  using I = lane<int32_t, W>;
  using B = lane<uint32_t, W>;
  I half[K];
  B sum[K], same[K];
  I most = I{};
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    half[v] = (I)(load<uint32_t, W>(word + v * W) >> 16);
    sum[v] = load<uint32_t, W>(count + v * W);
    same[v] = B{};
    most = larger(most, half[v]);
  }
  for (int64_t i = 0; i < dark.shape[0]; ++i) {
    const int32_t threshold = int32_t(dark.data[i] >> 16);
    if (!mask_bits(most >= threshold)) break;
    PF_UNROLL
    for (int v = 0; v < K; ++v) {
      sum[v] = add_where(sum[v], half[v] > threshold);
      same[v] = add_where(same[v], half[v] == threshold);
    }
  }
  uint32_t doubtful = 0;
  B any = B{};
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    any |= same[v];
    store<uint32_t, W>(count + v * W, sum[v]);
  }
  if (mask_bits(any != 0u))
    for (int v = 0; v < K; ++v) doubtful |= mask_bits(same[v] != 0u) << (v * W);
  return doubtful;
}

// The dark counts that `add_dark_counts` left out: thresholds with the upper half of the word, and at most `low` below.
PF_HD_RARE uint32_t dark_counts_left(const Optional<uint32_t, 1>& dark, uint32_t word, uint32_t low) {
  uint32_t count = 0;
  for (int64_t i = 0; i < dark.shape[0]; ++i)
    count += dark.data[i] >> 16 == word >> 16 && (dark.data[i] & 0xffffu) <= (low & 0xffffu);
  return count;
}

// The nearest integer, and the largest one that is not above; |x| < 2^51.
template <class V>
PF_HD V nearest(V x) {
  return (x + kRound) - kRound;
}
template <class V>
PF_HD V floor_of(V x) {
  const V whole = nearest(x);
  return whole > x ? whole - 1.0 : whole;
}

// The numbers that make signals of counts; copied, because stores might change the record as far as compilers know.
struct Conversion {
  double gain, readout, offset, ceiling, step, inverse_step, period;
  PF_HD explicit Conversion(const Response& response)
      : gain(response.gain),
        readout(response.readout),
        offset(response.offset),
        ceiling(response.ceiling > 0 ? response.ceiling : 0x1p1000),
        step(response.step > 0 ? response.step : 1),
        inverse_step(1 / step),
        period(response.ceiling + step) {}
};

// Signals of D counts.
template <bool wraps, bool rounds, int D>
PF_HD lane<double, D> signal_of(const Conversion& to, lane<uint32_t, D> count, lane<float, D> normal) {
  using V = lane<double, D>;
  using B = lane<uint64_t, D>;
  const B bits = convert<uint64_t, uint32_t, D>(count) | 0x4330000000000000u;
  V x = (same_bits<V>(bits) - 0x1p52) * to.gain + to.readout * convert<double, float, D>(normal);
  x = x + to.offset;
  if constexpr (wraps)
    x = x - to.period * floor_of((x + to.step / 2) / to.period);
  else
    x = smaller(x, splat<double, D>(to.ceiling));
  if constexpr (rounds) x = nearest(x * to.inverse_step) * to.step;
  return x;
}

// Signal of a pixel that is not good; `state` is 1, 2 or 3.
PF_HD double signal_of_bad(const Response& response, int state) {
  return state == 1 ? 0 : state == 2 ? response.hot : response.masked;
}

// Signals in the types of results. An integer is rounded and stays in the range of its type.
template <int D>
PF_HD void store_signal(uint32_t* to, lane<double, D> x) {
  x = larger(smaller(x, splat<double, D>(4294967295.0)), splat<double, D>(0));
  store<uint32_t, D>(to, convert<uint32_t, uint64_t, D>(same_bits<lane<uint64_t, D>>(x + kRound)));
}
template <int D>
PF_HD void store_signal(int32_t* to, lane<double, D> x) {
  x = larger(smaller(x, splat<double, D>(2147483647.0)), splat<double, D>(-2147483648.0));
  store<uint32_t, D>((uint32_t*)to, convert<uint32_t, uint64_t, D>(same_bits<lane<uint64_t, D>>(x + kRound)));
}
template <int D>
PF_HD void store_signal(float* to, lane<double, D> x) {
  store<float, D>(to, convert<float, double, D>(x));
}

// sqrt(photons) / s of the photons that a signal speaks of; negative ones count as none.
template <int D>
PF_HD void store_signal_amplitude(float* to, lane<double, D> x, const Conversion& from, double scale) {
  const lane<double, D> photons = larger((x - from.offset) / from.gain, splat<double, D>(0));
  store<float, D>(to, convert<float, double, D>(root(photons) / scale));
}

// Signal of one good pixel. This is what a GPU thread runs.
PF_HD_LARGE double signal_of_pixel(const Response& response, uint32_t count, uint64_t pattern, uint32_t pixel) {
  const bool has_dark = response.dark.data != nullptr;
  uint32_t word[1] = {0};
  if (response.dead_time > 0 || has_dark) word[0] = pixel_word(response.seed, kCountsStream, pattern, pixel);
  if (response.dead_time > 0) {
    if (response.paralysable)
      miss_photons<true, 1, 1>(response.dead_time, word, &count);
    else
      miss_photons<false, 1, 1>(response.dead_time, word, &count);
  }
  count += uint32_t(response.dark_least);
  if (has_dark && add_dark_counts<1, 1>(response.dark, word, &count))
    count += dark_counts_left(response.dark, word[0], pixel_word(response.seed, kDarkStream, pattern, pixel));
  float normal[1] = {0};
  if (response.readout > 0) {
    const uint32_t shared = pixel_word(response.seed, kReadoutStream, pattern, shared_word(pixel));
    const uint32_t half[1] = {takes_upper_half(pixel) ? shared >> 16 : shared & 0xffffu};
    if (quick_normals<1, 1>(half, normal)) normal[0] = far_normal(response.seed, pattern, pixel, half[0]);
  }
  const Conversion to(response);
  if (response.wrap)
    return response.step > 0 ? signal_of<true, true, 1>(to, count, normal[0])
                             : signal_of<true, false, 1>(to, count, normal[0]);
  return response.step > 0 ? signal_of<false, true, 1>(to, count, normal[0])
                           : signal_of<false, false, 1>(to, count, normal[0]);
}

}  // namespace PF_ISA
}  // namespace pf
