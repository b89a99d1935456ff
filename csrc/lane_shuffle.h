// Numbers that change places within lanes: real and imaginary parts apart, tiles transposed, chosen numbers packed.
#pragma once
#include "complex.h"

namespace pf {
inline namespace PF_ISA {

#if defined(__clang__)
#define PF_SHUFFLE(a, b, T, W, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
template <class T>
struct index_of;
template <>
struct index_of<float> {
  using type = int32_t;
};
#define PF_SHUFFLE(a, b, T, W, ...) __builtin_shuffle(a, b, lane<typename index_of<T>::type, W>{__VA_ARGS__})
#endif

// The numbers 0 ... n - 1 as template arguments.
template <int... I>
struct Sequence {};
template <int n, int... I>
struct make_sequence : make_sequence<n - 1, n - 1, I...> {};
template <int... I>
struct make_sequence<0, I...> {
  using type = Sequence<I...>;
};

// W complex numbers in the order of memory: real and imaginary parts alternate.
template <int W>
struct Pairs {
  lane<float, W> first, second;
};

// Every other number of two vectors, starting at `odd`. With eight numbers halves are exchanged first, because shuffles
// within groups of four numbers are cheap.
template <int W, int odd, int... I>
PF_HD lane<float, W> every_other(Pairs<W> x, Sequence<I...>) {
  if constexpr (W == 8) {
    const lane<float, W> low = PF_SHUFFLE(x.first, x.second, float, W, (I % 4 + I / 4 * W)...);
    const lane<float, W> high = PF_SHUFFLE(x.first, x.second, float, W, (I % 4 + 4 + I / 4 * W)...);
    return PF_SHUFFLE(low, high, float, W, (I / 4 * 4 + I % 2 * 2 + odd + (I % 4 / 2) * W)...);
  } else {
    return PF_SHUFFLE(x.first, x.second, float, W, (2 * I + odd)...);
  }
}

template <int W>
PF_HD Complex<lane<float, W>> separated(Pairs<W> x) {
  if constexpr (W == 1)
    return {x.first, x.second};
  else
    return {every_other<W, 0>(x, typename make_sequence<W>::type()),
            every_other<W, 1>(x, typename make_sequence<W>::type())};
}

template <int W, int H, int... I>
PF_HD void swap_halves(lane<float, W>& a, lane<float, W>& b, Sequence<I...>) {
  const lane<float, W> x = a, y = b;
  a = PF_SHUFFLE(x, y, float, W, ((I & H) ? W + I - H : I)...);
  b = PF_SHUFFLE(x, y, float, W, ((I & H) ? W + I : I + H)...);
}

template <int W, int H>
PF_HD void transpose_step(lane<float, W> (&rows)[W]) {
  for (int r = 0; r < W; ++r)
    if (!(r & H)) swap_halves<W, H>(rows[r], rows[r | H], typename make_sequence<W>::type());
  if constexpr (H > 1) transpose_step<W, H / 2>(rows);
}

// Transposes a W x W tile in registers.
template <int W>
PF_HD void transpose(lane<float, W> (&rows)[W]) {
  if constexpr (W > 1) transpose_step<W, W / 2>(rows);
}

// store_packed writes the numbers whose bits are set in `chosen` next to each other. What follows them, up to a whole
// lane, is undefined. packs_lanes(W) tells whether there is one for this width.
#if defined(__AVX2__) && !defined(__CUDACC__)
constexpr bool packs_lanes(int w) { return w >= 8; }

// For every byte, the positions of its set bits.
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

}  // namespace PF_ISA
}  // namespace pf
