// Photon counts of a pattern on the lanes of a CPU. poisson.h counts pixels in two ways, depending on the rate; here
// the pixels are sorted by the way they are counted, so that whole lanes go the same way. cuda/photons.h needs none of
// this: a GPU thread counts its pixel alone.
#pragma once
#include "../lane_shuffle.h"
#include "../poisson.h"

namespace pf {
inline namespace PF_ISA {

constexpr int kManyToSum = 24;  // of 32 pixels; fewer than that are collected first, which is faster than idle lanes

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

// Lanes of D doubles, or of W floats, that are worked on together: several, because each operation has to wait for the
// result of the one before.
constexpr int lanes_together(int d) { return d < 4 ? 4 : 16 / d; }
constexpr int quick_lanes_together(int w) { return w < 8 ? 4 : 32 / w; }

// Counts of 16 pixels, with rates that are all below 8 (`sum`) or all not. A lane is D doubles.
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

// Counts of 32 pixels in single precision, with rates that are all below 8 (`sum`) or all not. A set bit of the result
// marks a count in doubt.
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

// Pixels of one kind, collected until there are 16: up to 15 are left over, and 32 are added at a time.
struct WaitingPixels {
  uint32_t pixel[48];
  uint64_t bits[48];
  int length;

  // Adds pixel first + i for every set bit i of `chosen`, with its random bits if they are given.
  void add(uint32_t chosen, uint32_t first, const uint64_t* random = nullptr) {
    int n = length;
    for (; chosen; chosen &= chosen - 1, ++n) {
      const int i = lowest_bit(chosen);
      pixel[n] = first + uint32_t(i);
      if (random) bits[n] = random[i];
    }
    length = n;
  }

  // Removes the last 16 and returns where they begin. If there are fewer, the first is repeated.
  int take() {
    for (int i = length; i < 16; ++i) {
      pixel[i] = pixel[0];
      bits[i] = bits[0];
    }
    return length = length < 16 ? 0 : length - 16;
  }
};

// The same for 32 pixels, with what `count_quickly` needs. Whole lanes are stored, so they may go beyond element 63.
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

// One pattern, from rate (n_pixels) to count (n_pixels), in double precision. Sixteen neighbouring pixels of one kind
// are counted at once; others are collected until there are sixteen of their kind.
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

  // Random bits of the first and second pixels of 16 blocks; block_at(i) is a lane of blocks from block i on.
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

  // Counts 16 collected pixels. With rates in single precision their random bits were not kept, and are made again.
  void settle(bool sum, WaitingPixels& waiting) const {
    const int from = waiting.take();
    const uint32_t* pixel = waiting.pixel + from;
    uint64_t* bits = waiting.bits + from;
    if constexpr (sizeof(T) == sizeof(float)) {
      uint64_t block[16], second[16];
      for (int i = 0; i < 16; ++i) block[i] = photon_block(pixel[i]);
      random_bits([&](int i) { return load<uint64_t, D>(block + i); }, bits, second);
      for (int i = 0; i < 16; ++i) bits[i] = is_second(pixel[i]) ? second[i] : bits[i];
    }
    T rates[16];
    uint32_t counts[16];
    for (int i = 0; i < 16; ++i) rates[i] = rate[pixel[i]];
    count_sixteen<D>(sum, rates, bits, counts);
    for (int i = 0; i < 16; ++i) count[pixel[i]] = counts[i];
  }

  // Counts collected pixels until fewer than `below` of each kind are left.
  void settle_waiting(int below) {
    while (to_expand.length >= below) settle(false, to_expand);
    while (to_sum.length >= below) settle(true, to_sum);
  }

  // Sixteen neighbouring pixels.
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

// The same in single precision, 32 pixels at a time. Counts in doubt are made again in double precision.
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
    for (int i = 0; i < 32; i += W) {  // as in double precision
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
    uint32_t first = 0, high[128];  // several times 32, so that the CPU can overlap the loops over them
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

// Counts of one pattern. rate: (n_pixels) expected photons, 0 to 2^31; n_pixels: at most most_pixels. A lane is W = 4,
// 8 or 16 numbers of 32 bits.
template <class T, int W>
inline void count_photons(const T* rate, uint32_t* count, uint32_t n_pixels, uint64_t seed, uint64_t pattern) {
  if constexpr (sizeof(T) == sizeof(float))
    QuickPatternCounts<W>(rate, count, seed, pattern).run(n_pixels);
  else
    PatternCounts<T, W>(rate, count, seed, pattern).run(n_pixels);
}

}  // namespace PF_ISA
}  // namespace pf
