// Photon counts of a whole pattern on the lanes of a processor: pixels are put together by the way they are counted.
#pragma once
#include "../poisson.h"

namespace pf {
inline namespace PF_ISA {

constexpr int kManyToSum = 24;  // of 32: fewer are gathered, which costs less than idle lanes

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
