// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw ("Parallel random numbers: as easy as
// 1, 2, 3", SC 2011), and the uniform numbers that are drawn from it.
//
// Each 32-bit word is in a 64-bit lane of its own. One widening multiplication then gives the high and the low word,
// and two words become 64 random bits without a shuffle. The upper halves of the lanes may hold anything meanwhile.
#pragma once
#include "portable.h"

namespace pf {
inline namespace PF_ISA {

// Product of the lower halves. GCC does not recognise a widening multiplication in the general form.
template <class V>
PF_HD V multiply_low_halves(V a, V b) {
  return (a & 0xffffffffu) * (b & 0xffffffffu);
}
#if defined(__SSE2__) && !defined(__CUDACC__)
PF_HD lane<uint64_t, 2> multiply_low_halves(lane<uint64_t, 2> a, lane<uint64_t, 2> b) {
  return (lane<uint64_t, 2>)_mm_mul_epu32((__m128i)a, (__m128i)b);
}
#endif
#if defined(__AVX2__) && !defined(__CUDACC__)
PF_HD lane<uint64_t, 4> multiply_low_halves(lane<uint64_t, 4> a, lane<uint64_t, 4> b) {
  return (lane<uint64_t, 4>)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}
#endif
#if defined(__AVX512F__) && !defined(__CUDACC__)
PF_HD lane<uint64_t, 8> multiply_low_halves(lane<uint64_t, 8> a, lane<uint64_t, 8> b) {
  return (lane<uint64_t, 8>)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b);  // GCC 12 warns of the plain one
}
#endif

// The generator for one seed. It holds the keys of the ten rounds.
template <int W>
struct Philox {
  using V = lane<uint64_t, W>;
  V key0[10], key1[10];

  PF_HD explicit Philox(uint64_t seed) {
    for (uint32_t round = 0; round < 10; ++round) {
      key0[round] = splat<uint64_t, W>(uint32_t(seed) + round * 0x9E3779B9u);
      key1[round] = splat<uint64_t, W>(uint32_t(seed >> 32) + round * 0xBB67AE85u);
    }
  }

  // Turns K lanes of counters (in the lower halves) into four random words each, in place. Several lanes are worked on
  // together, because each has to wait for its multiplications.
  template <int K>
  PF_HD void operator()(V (&word)[4][K]) const {
    const V multiplier0 = splat<uint64_t, W>(0xD2511F53), multiplier1 = splat<uint64_t, W>(0xCD9E8D57);
    PF_UNROLL
    for (int round = 0; round < 10; ++round) {
      PF_UNROLL
      for (int v = 0; v < K; ++v) {
        const V product0 = multiply_low_halves(multiplier0, word[0][v]);
        const V product1 = multiply_low_halves(multiplier1, word[2][v]);
        word[0][v] = (product1 >> 32) ^ (word[1][v] ^ key0[round]);
        word[2][v] = (product0 >> 32) ^ (word[3][v] ^ key1[round]);
        word[1][v] = product1;
        word[3][v] = product0;
      }
    }
  }
};

// (x + 1/2) 2^-52, where x is the upper 52 of 64 random bits. Exact, in (0, 1).
template <int W>
PF_HD lane<double, W> uniform(lane<uint64_t, W> bits) {
  const lane<uint64_t, W> one_to_two = (bits >> 12) | 0x3ff0000000000000u;
  lane<double, W> x;
  memcpy(&x, &one_to_two, sizeof x);
  return x - (1 - 0x1p-53);
}

// The random bits of pixels. Block b, with the counter (b, 0, pattern), serves pixel 32 (b / 16) + b % 16 (`first`) and
// the pixel 16 further on (`second`). So 16 blocks in a row serve 32 pixels in a row. b has 32 bits, see most_pixels.
template <int W, int K>
PF_HD void photon_bits(const Philox<W>& philox, const lane<uint64_t, W> (&block)[K], uint64_t pattern,
                       lane<uint64_t, W> (&first)[K], lane<uint64_t, W> (&second)[K]) {
  lane<uint64_t, W> word[4][K];
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    word[0][v] = block[v];
    word[1][v] = lane<uint64_t, W>{};
    word[2][v] = splat<uint64_t, W>(uint32_t(pattern));
    word[3][v] = splat<uint64_t, W>(pattern >> 32);
  }
  philox(word);
  PF_UNROLL
  for (int v = 0; v < K; ++v) {
    first[v] = (word[0][v] & 0xffffffffu) | (word[1][v] << 32);
    second[v] = (word[2][v] & 0xffffffffu) | (word[3][v] << 32);
  }
}

// The block that serves a pixel, and whether it is the block's second one.
PF_HD uint64_t photon_block(uint32_t pixel) { return pixel / 32 * 16 + pixel % 16; }
PF_HD bool is_second(uint32_t pixel) { return pixel / 16 % 2; }

}  // namespace PF_ISA
}  // namespace pf
