// Numbers that change places within lanes: real and imaginary parts apart, tiles transposed, chosen numbers packed.
#pragma once
#include "complex.h"
#include "lane_math.h"

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

#if defined(__AVX2__) && !defined(__CUDACC__)
// For every byte, the order that store_split gives to eight numbers, and the way back.
struct Orders {
  uint8_t split[256][8] = {}, joined[256][8] = {};
  constexpr Orders() {
    for (int byte = 0; byte < 256; ++byte)
      for (int i = 0, front = 0, back = 8; i < 8; ++i) {
        const int to = byte >> i & 1 ? front++ : --back;
        split[byte][to] = uint8_t(i);
        joined[byte][i] = uint8_t(to);
      }
  }
};
constexpr Orders kOrders;

PF_HD __m256i in_order(__m256i x, const uint8_t* order) {
  return _mm256_permutevar8x32_epi32(x, _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)order)));
}
#endif

// Sorts the numbers of a lane in two: those whose bits are set in `chosen` go to what begins at `front`, the others to
// what ends at `back`. Both move on, towards each other. There must be W free places between them: all may be written.
template <class T, int W>
PF_HD void store_split(T*& front, T*& back, lane<T, W> x, uint32_t chosen) {
#if defined(__AVX512F__) && !defined(__CUDACC__)
  if constexpr (W == 16) {
    const __mmask16 first = __mmask16(chosen), last = __mmask16(~chosen);
    const int n = count_bits(chosen);
    _mm512_storeu_si512(front, _mm512_maskz_compress_epi32(first, same_bits<__m512i>(x)));
    front += n;
    back -= 16 - n;
    _mm512_mask_storeu_epi32(back, __mmask16(0xffff >> n), _mm512_maskz_compress_epi32(last, same_bits<__m512i>(x)));
    return;
  }
#endif
#if defined(__AVX2__) && !defined(__CUDACC__)
  if constexpr (W == 8) {
    const __m256i sorted = in_order(same_bits<__m256i>(x), kOrders.split[chosen]);
    const int n = count_bits(chosen);
    _mm256_storeu_si256((__m256i*)front, sorted);
    _mm256_storeu_si256((__m256i*)(back - 8), sorted);
    front += n;
    back -= 8 - n;
    return;
  }
#endif
  for (int i = 0; i < W; ++i) *(chosen >> i & 1 ? front++ : --back) = x[i];
}

// The way back, lane by lane in the same order.
template <class T, int W>
PF_HD lane<T, W> load_joined(const T*& front, const T*& back, uint32_t chosen) {
#if defined(__AVX512F__) && !defined(__CUDACC__)
  if constexpr (W == 16) {
    const __mmask16 first = __mmask16(chosen), last = __mmask16(~chosen);
    const int n = count_bits(chosen);
    const __m512i x = _mm512_maskz_expand_epi32(first, _mm512_loadu_si512(front));
    front += n;
    back -= 16 - n;
    return same_bits<lane<T, W>>(
        _mm512_mask_expand_epi32(x, last, _mm512_maskz_loadu_epi32(__mmask16(0xffff >> n), back)));
  }
#endif
#if defined(__AVX2__) && !defined(__CUDACC__)
  if constexpr (W == 8) {
    alignas(32) static constexpr int32_t in_front[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const int n = count_bits(chosen);
    const __m256i sorted =
        _mm256_blendv_epi8(_mm256_loadu_si256((const __m256i*)(back - 8)), _mm256_loadu_si256((const __m256i*)front),
                           _mm256_loadu_si256((const __m256i*)(in_front + 8 - n)));
    front += n;
    back -= 8 - n;
    return same_bits<lane<T, W>>(in_order(sorted, kOrders.joined[chosen]));
  }
#endif
  lane<T, W> x;
  for (int i = 0; i < W; ++i) x[i] = *(chosen >> i & 1 ? front++ : --back);
  return x;
}

}  // namespace PF_ISA
}  // namespace pf
