// What every kernel header includes: macros for functions that run on the CPU and on the GPU, and the "lane".
//
// A lane is W numbers that go through the same operations in the same order. On a CPU it is a vector (a GCC or Clang
// vector type, so + - * / and comparisons are plain operators). With W = 1 it is one plain number, which is what a GPU
// thread uses. Arithmetic is written once, for a lane, and therefore gives the same bits at every width.
//
// Everything is in an inline namespace named after the instruction set that a file is compiled for. Without it the
// linker could call code that was built for a newer CPU on an older one.
#pragma once
#if defined(__CUDACC_RTC__)  // the run-time compiler has no system headers, but knows memcpy and ptrdiff_t
using int32_t = int;
using int64_t = long long;
using uint8_t = unsigned char;
using uint16_t = unsigned short;
using uint32_t = unsigned;
using uint64_t = unsigned long long;
#else
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#endif
#if defined(__SSE2__) && !defined(__CUDACC__)
#include <immintrin.h>
#endif

// Functions for CPU and GPU: always inlined; inlined if the compiler finds it useful; rarely called, hence not inlined
// on a GPU.
#if defined(__CUDACC__)
#define PF_HD __host__ __device__ __forceinline__
#define PF_HD_LARGE __host__ __device__ inline
#define PF_HD_RARE __host__ __device__ __noinline__
#else
#define PF_HD inline __attribute__((always_inline))
#define PF_HD_LARGE inline
#define PF_HD_RARE inline
#endif

// PF_UNROLL: a short loop that must be unrolled, so that the arrays it runs over are kept in registers. PF_NO_UNROLL: a
// loop that the CUDA compiler must not unroll, because the code would become too long.
#if defined(__CUDACC__)
#define PF_UNROLL _Pragma("unroll")
#define PF_NO_UNROLL _Pragma("unroll 1")
#else
#define PF_UNROLL _Pragma("GCC unroll 16")
#define PF_NO_UNROLL
#endif

#if defined(__CUDA_ARCH__)
#define PF_PREFETCH(address)
#else
#define PF_PREFETCH(address) __builtin_prefetch(address)
#endif

#ifndef PF_ISA  // the instruction set that every CPU of this kind has
#if defined(__aarch64__)
#define PF_ISA neon
#else
#define PF_ISA baseline
#endif
#endif

namespace pf {
inline namespace PF_ISA {

template <class T, int W>
struct lane_of {
  typedef T type __attribute__((vector_size(sizeof(T) * W)));
};
template <class T>
struct lane_of<T, 1> {
  using type = T;
};
template <class T, int W>
using lane = typename lane_of<T, W>::type;

// Index of the lowest set bit of x, which is not 0.
PF_HD int lowest_bit(uint32_t x) {
#if defined(__CUDA_ARCH__)
  return __ffs(int(x)) - 1;
#else
  return __builtin_ctz(x);
#endif
}

// Number of set bits of x.
PF_HD int count_bits(uint32_t x) {
#if defined(__CUDA_ARCH__)
  return __popc(x);
#else
  return __builtin_popcount(x);
#endif
}

// Loads and stores need no alignment. At an aligned address the unaligned instructions are as fast as the aligned ones.
template <class T, int W>
PF_HD lane<T, W> load(const T* from) {
  lane<T, W> x;
  memcpy(&x, from, sizeof x);
  return x;
}

template <class T, int W>
PF_HD void store(T* to, lane<T, W> x) {
  memcpy(to, &x, sizeof x);
}

// Stores the first `count` numbers of a lane, at the end of a row.
template <int W>
PF_HD void store_first(float* to, lane<float, W> x, int count) {
  if (count >= W)
    store<float, W>(to, x);
  else
    memcpy(to, &x, sizeof(float) * size_t(count));
}

// A lane of W equal numbers.
template <class T, int W>
PF_HD lane<T, W> splat(T x) {
  return lane<T, W>{} + x;
}

// Converts number by number: lane<From, W> -> lane<To, W>.
template <class To, class From, int W>
PF_HD lane<To, W> convert(lane<From, W> x) {
  if constexpr (W == 1) return To(x);
#if !defined(__CUDACC__)  // on a GPU, W is always 1
  else
    return __builtin_convertvector(x, lane<To, W>);
#endif
}
#if defined(__AVX2__) && !defined(__CUDACC__)  // GCC takes several instructions for these
template <>
inline __attribute__((always_inline)) lane<double, 4> convert<double, float, 4>(lane<float, 4> x) {
  return _mm256_cvtps_pd(x);
}
template <>
inline __attribute__((always_inline)) lane<uint64_t, 4> convert<uint64_t, uint32_t, 4>(lane<uint32_t, 4> x) {
  return (lane<uint64_t, 4>)_mm256_cvtepu32_epi64((__m128i)x);
}
template <>
inline __attribute__((always_inline)) lane<uint32_t, 4> convert<uint32_t, uint64_t, 4>(lane<uint64_t, 4> x) {
  const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
  return (lane<uint32_t, 4>)_mm256_castsi256_si128(_mm256_permutevar8x32_epi32((__m256i)x, order));
}
#endif

}  // namespace PF_ISA
}  // namespace pf
