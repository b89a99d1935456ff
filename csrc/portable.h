// What every kernel header stands on: the host/device macro and the "lane".
//
// A lane is W numbers that go through the same operations in the same order: a CPU vector (a GCC or Clang vector type,
// so + - * / and comparisons are plain operators), or, with W = 1, one plain number (a GPU thread). Arithmetic is
// written once for a lane and therefore gives the same bits at every width.
//
// Everything lives in an inline namespace named after the instruction set that a file is compiled for; otherwise the
// linker could hand code built for a newer processor to an older one.
#pragma once
#if defined(__CUDACC_RTC__)  // the run-time compiler has no system headers, but knows memcpy and ptrdiff_t
using int32_t = int;
using int64_t = long long;
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

// A function for processor and GPU that always dissolves in its caller; one that may; one that shall not, being rare.
#if defined(__CUDACC__)
#define PF_HD __host__ __device__ __forceinline__
#define PF_HD_LARGE __host__ __device__ inline
#define PF_HD_RARE __host__ __device__ __noinline__
#else
#define PF_HD inline __attribute__((always_inline))
#define PF_HD_LARGE inline
#define PF_HD_RARE inline
#endif

// Short loops that must dissolve, so that the arrays they run over live in registers; and loops that must stay where
// the compiler for GPUs would make them long.
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

#ifndef PF_ISA  // what every processor of the kind has
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

// Of 32 bits, not all zero, the number of the lowest that is set, and how many are.
PF_HD int lowest_bit(uint32_t x) {
#if defined(__CUDA_ARCH__)
  return __ffs(int(x)) - 1;
#else
  return __builtin_ctz(x);
#endif
}
PF_HD int count_bits(uint32_t x) {
#if defined(__CUDA_ARCH__)
  return __popc(x);
#else
  return __builtin_popcount(x);
#endif
}

// Loads and stores need no alignment; where the address is aligned the compiler's unaligned moves cost the same.
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

// The first `count` numbers of a lane of floats, for the end of a row.
template <int W>
PF_HD void store_first(float* to, lane<float, W> x, int count) {
  if (count >= W)
    store<float, W>(to, x);
  else
    memcpy(to, &x, sizeof(float) * count);
}

template <class T, int W>
PF_HD lane<T, W> splat(T x) {
  return lane<T, W>{} + x;
}

// Number by number: lane<From, W> -> lane<To, W>.
template <class To, class From, int W>
PF_HD lane<To, W> convert(lane<From, W> x) {
  if constexpr (W == 1) return To(x);
#if !defined(__CUDACC__)  // where there is but one number
  else
    return __builtin_convertvector(x, lane<To, W>);
#endif
}

}  // namespace PF_ISA
}  // namespace pf
