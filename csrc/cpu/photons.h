// Photon counts of a pattern on the lanes of a CPU. poisson.h counts pixels in two ways, depending on the rate; here
// the pixels are sorted by the way they are counted, so that whole lanes go the same way. No count depends on the order
// of the pixels. cuda/photons.h needs none of this: a GPU thread counts its pixel alone.
#pragma once
#include "../lane_shuffle.h"
#include "../poisson.h"

namespace pf {
inline namespace PF_ISA {

constexpr uint32_t kChunk = 1024;   // pixels that are sorted together; all that belongs to them fits the L1 cache
constexpr uint32_t kFew = 20;       // of so many pixels a single one is counted in double precision, rather than sorted
constexpr uint32_t kInDoubt = ~0u;  // in place of a count; no count of a rate up to 2^31 is as large

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

// Counts of 32 pixels in single precision, with rates that are all below 4 (`sum`) or all not. A set bit of the result
// marks a count in doubt.
template <bool sum, int W>
PF_HD uint32_t count_quickly(const float* rate, const uint32_t* high, uint32_t* count) {
  constexpr int K = quick_lanes_together(W);
  uint32_t doubtful = 0;
  for (int i = 0; i < 32; i += W * K)
    doubtful |= (sum ? quick_sum_quantile<W, K>(rate + i, high + i, count + i)
                     : quick_expand_quantile<W, K>(rate + i, high + i, count + i))
                << i;
  return doubtful;
}

// The lower halves of the numbers of two lanes, two of a in turn with two of b.
template <int W, int... I>
PF_HD lane<uint32_t, W> lower_halves(lane<uint64_t, W / 2> a, lane<uint64_t, W / 2> b, Sequence<I...>) {
  const auto x = same_bits<lane<float, W>>(a), y = same_bits<lane<float, W>>(b);
  return same_bits<lane<uint32_t, W>>(PF_SHUFFLE(x, y, float, W, (I / 4 * 4 + I % 2 * 2 + I % 4 / 2 * W)...));
}
template <int W>
PF_HD lane<uint32_t, W> lower_halves(lane<uint64_t, W / 2> a, lane<uint64_t, W / 2> b) {
  return lower_halves<W>(a, b, typename make_sequence<W>::type());
}

// The upper halves of the random bits of 32 pixels in a row, from the 16 blocks from `first_block` on; W = 4, 8 or 16.
template <int W>
inline void upper_photon_bits(const Philox<W / 2>& philox, uint64_t first_block, uint64_t pattern, uint32_t* high) {
  constexpr int D = W / 2, K = D < 4 ? 4 : 16 / D;
  using V = lane<uint64_t, D>;
  V block;
  for (int i = 0; i < D; ++i) block[i] = uint64_t(i / 2 * 4 + i % 2);
  for (int i = 0; i < 16; i += K * D) {
    V word[4][K];
    PF_UNROLL
    for (int v = 0; v < K; ++v) {  // pairs of blocks in turn in two lanes: these then join in one shuffle
      word[0][v] = block + (first_block + uint64_t(i + v / 2 * W + v % 2 * 2));
      word[1][v] = V{};
      word[2][v] = splat<uint64_t, D>(uint32_t(pattern));
      word[3][v] = splat<uint64_t, D>(pattern >> 32);
    }
    philox(word);
    PF_UNROLL
    for (int v = 0; v < K; v += 2) {
      store<uint32_t, W>(high + i + v / 2 * W, lower_halves<W>(word[1][v], word[1][v + 1]));
      store<uint32_t, W>(high + i + v / 2 * W + 16, lower_halves<W>(word[3][v], word[3][v + 1]));
    }
  }
}

// Pixels of one kind, collected until there are 16: up to 15 are left over, and 32 are added at a time.
struct WaitingPixels {
  uint32_t pixel[48];
  uint64_t bits[48];
  int length;

  // Adds pixel first + i for every set bit i of `chosen`, with its random bits if they are given.
  void add(uint32_t chosen, uint32_t first, const uint64_t* random) {
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

// Some of each 32 pixels of a chunk: few are chosen, and no jump depends on whether there are any.
struct ChosenPixels {
  uint32_t first[kChunk / 32], bits[kChunk / 32 + 1];  // bit k: pixel first + k; a 0 at the end
  int length = 0;

  void add(uint32_t chosen, uint32_t at) {
    first[length] = at;
    bits[length] = chosen;
    length += chosen != 0;
  }

  // Calls use(pixel) for each, without a jump where the next 32 pixels begin.
  template <class Use>
  void each(const Use& use) {
    bits[length] = 0;
    uint32_t left = bits[0];
    for (int i = 0; i < length;) {
      use(first[i] + uint32_t(lowest_bit(left)));
      left &= left - 1;
      i += left == 0;
      left |= bits[i] & (left == 0 ? ~0u : 0u);
    }
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

// The same in single precision, chunk by chunk. If all pixels of a chunk are of one kind, they are counted where they
// are. Otherwise they are sorted in two, counted, and put back: in front those to expand, behind those to sum; or,
// where there are none to expand, in front those to sum, behind those with count 0. So no jump depends on a single
// pixel. Counts in doubt are made again in double precision; they are rare, and are listed without a jump, too.
template <int W>
struct QuickPatternCounts : PatternCounts<float, W> {
  using Exact = PatternCounts<float, W>;
  using Exact::count, Exact::pattern, Exact::philox, Exact::rate, Exact::settle_waiting, Exact::to_expand,
      Exact::to_sum;
  uint32_t high[kChunk], large[kChunk / 32], small[kChunk / 32];  // bits of 32 pixels: those to expand, those to sum
  uint32_t sorted_high[kChunk], sorted_count[kChunk];
  float sorted_rate[kChunk];

  using Exact::Exact;

  // Counts the chosen pixels in double precision, when there are enough of them.
  void count_exactly(ChosenPixels& chosen) {
    chosen.each([&](uint32_t pixel) {
      WaitingPixels& alike = rate[pixel] < float(kSumBelow) ? to_sum : to_expand;
      alike.pixel[alike.length++] = pixel;
      if (alike.length == 16) this->settle(&alike == &to_sum, alike);
    });
  }

  // A chunk of one kind, but for a few pixels to sum among many to expand.
  template <bool sum>
  void run_alike(uint32_t first, uint32_t n) {
    ChosenPixels again;
    for (uint32_t i = 0; i < n; i += 32) {
      const uint32_t doubtful = count_quickly<sum, W>(rate + first + i, high + i, count + first + i);
      again.add(sum ? doubtful : doubtful | ~large[i / 32], first + i);
    }
    count_exactly(again);
  }

  // Sorts n pixels and returns how many there are in front: those whose bits are set in `chosen`.
  uint32_t sort(const uint32_t* chosen, uint32_t first, uint32_t n) {
    uint32_t *front_high = sorted_high, *back_high = sorted_high + n;
    float *front_rate = sorted_rate, *back_rate = sorted_rate + n;
    for (uint32_t i = 0; i < n; i += 32) {
      PF_UNROLL
      for (uint32_t j = 0; j < 32; j += W) {
        const uint32_t here = chosen[i / 32] >> j & (~0u >> (32 - W));
        store_split<uint32_t, W>(front_high, back_high, load<uint32_t, W>(high + i + j), here);
        store_split<float, W>(front_rate, back_rate, load<float, W>(rate + first + i + j), here);
      }
    }
    return uint32_t(front_high - sorted_high);
  }

  template <bool sum>
  void count_sorted_pixels(uint32_t first, uint32_t last) {
    ChosenPixels doubtful;
    for (uint32_t i = first; i < last; i += 32)
      doubtful.add(count_quickly<sum, W>(sorted_rate + i, sorted_high + i, sorted_count + i), i);
    doubtful.each([&](uint32_t place) { sorted_count[place] = kInDoubt; });
  }

  // Counts sorted pixels: n_front in front, and behind them up to n. 32 pixels with both kinds among them are counted
  // twice, the second time without those in front.
  void count_sorted(bool sum_front, uint32_t n_front, uint32_t n) {
    if (sum_front) {
      count_sorted_pixels<true>(0, n_front);
      memset(sorted_count + n_front, 0, (n - n_front) * sizeof *sorted_count);
      return;
    }
    const uint32_t shared = n_front % 32, begin = n_front - shared;
    uint32_t counts[32];
    count_sorted_pixels<false>(0, n_front);
    memcpy(counts, sorted_count + begin, shared * sizeof *counts);
    memset(sorted_rate + begin, 0, shared * sizeof *sorted_rate);
    count_sorted_pixels<true>(begin, n);
    memcpy(sorted_count + begin, counts, shared * sizeof *counts);
  }

  // A chunk of both kinds; with `sum_front` there are a few to expand at most, which are counted exactly.
  void run_mixed(bool sum_front, uint32_t first, uint32_t n) {
    const uint32_t* chosen = sum_front ? small : large;
    count_sorted(sum_front, sort(chosen, first, n), n);
    const uint32_t *front = sorted_count, *back = sorted_count + n;
    ChosenPixels again;
    for (uint32_t i = 0; i < n; i += 32) {
      uint32_t doubtful = sum_front ? large[i / 32] : 0;
      PF_UNROLL
      for (uint32_t j = 0; j < 32; j += W) {
        const auto counts = load_joined<uint32_t, W>(front, back, chosen[i / 32] >> j & (~0u >> (32 - W)));
        store<uint32_t, W>(count + first + i + j, counts);
        doubtful |= mask_bits(counts == kInDoubt) << j;
      }
      again.add(doubtful, first + i);
    }
    count_exactly(again);
  }

  void run_chunk(uint32_t first, uint32_t n) {
    uint32_t n_large = 0, n_small = 0;
    for (uint32_t i = 0; i < n; i += 32) {
      upper_photon_bits<W>(philox, (first + i) / 2, pattern, high + i);
      uint32_t bits = 0;
      PF_UNROLL
      for (uint32_t j = 0; j < 32; j += W)
        bits |= mask_bits(load<float, W>(rate + first + i + j) >= kQuickSumBelow) << j;
      large[i / 32] = bits;
      n_large += uint32_t(count_bits(bits));
    }
    if (n - n_large <= n / kFew) return run_alike<false>(first, n);
    if (n_large > n / kFew) return run_mixed(false, first, n);
    for (uint32_t i = 0; i < n; i += 32) {
      uint32_t zero = 0;
      PF_UNROLL
      for (uint32_t j = 0; j < 32; j += W) {  // as in double precision
        const auto u = quick_uniform<W>(load<uint32_t, W>(high + i + j));
        zero |= mask_bits(u + load<float, W>(rate + first + i + j) < 1 - 0x1p-20f) << j;
      }
      small[i / 32] = ~(zero | large[i / 32]);
      n_small += uint32_t(count_bits(small[i / 32]));
    }
    if (!n_large && n_small >= n / 4 * 3) return run_alike<true>(first, n);
    if (n_small > n / kFew) return run_mixed(true, first, n);
    memset(count + first, 0, n * sizeof *count);
    ChosenPixels some;
    for (uint32_t i = 0; i < n; i += 32) some.add(small[i / 32] | large[i / 32], first + i);
    count_exactly(some);
  }

  void run(uint32_t n_pixels) {
    const uint32_t whole = n_pixels / 32 * 32;
    for (uint32_t first = 0; first < whole; first += kChunk)
      run_chunk(first, whole - first < kChunk ? whole - first : kChunk);
    Exact::run_rest(whole, n_pixels, nullptr);
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
