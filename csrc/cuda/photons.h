// From summed intensities to the result on a GPU: dose, photon counts, amplitudes; ../dose.h and ../poisson.h for the
// threads of a block. A thread has two pixels that share their random bits.
#pragma once
#include "../detect.h"
#include "../dose.h"
#include "../poisson.h"
#include "block_fft.h"

namespace pf {
inline namespace PF_ISA {

constexpr uint32_t not_a_count = 0xffffffffu;  // for a rate that cannot be counted; no real count is as large

struct Detector {
  Result result;
  void* out;     // (patterns, pixels) of the type that the result has
  double scale;  // s
  uint64_t seed;
  const uint64_t* indices;  // (patterns,)
  const double* factors;    // (patterns,) of the dose, or null

  PF_HD float dose(int64_t pattern) const { return dose_factor(result, scale, factors ? factors[pattern] : 1); }
  PF_HD void put_rate(int64_t at, float rate) const { static_cast<float*>(out)[at] = rate; }
  PF_HD void put_count(int64_t at, uint32_t count) const {
    if (result == Result::counts)
      static_cast<uint32_t*>(out)[at] = count;
    else if (result == Result::narrow_counts)
      static_cast<uint16_t*>(out)[at] = saturated(count);
    else
      static_cast<float*>(out)[at] = count == not_a_count ? same_bits<float>(0x7fc00000u) : amplitude_of(count, scale);
  }
};

// What a detector makes of the counts of a pattern (n_pixels), for one pixel.
PF_DEVICE void respond_one(const Response& response, uint32_t count, uint64_t number, int pixel, double scale,
                           Result result, void* out, int64_t at) {
  const int state = response.pixels.data ? response.pixels.data[pixel] : 0;
  const double signal =
      state ? signal_of_bad(response, state) : signal_of_pixel(response, count, number, uint32_t(pixel));
  const bool known = state || count != not_a_count;
  if (result == Result::signal)
    store_signal<1>(static_cast<uint32_t*>(out) + at, known ? signal : 4294967295.0);
  else if (result == Result::signed_signal)
    store_signal<1>(static_cast<int32_t*>(out) + at, known ? signal : 2147483647.0);
  else if (!known)
    static_cast<float*>(out)[at] = same_bits<float>(0x7fc00000u);
  else if (result == Result::float_signal)
    store_signal<1>(static_cast<float*>(out) + at, signal);
  else
    store_signal_amplitude<1>(static_cast<float*>(out) + at, signal, Conversion(response), scale);
}

// Intensities of the pixels of a thread, summed over modes.
template <class Line>
struct Sums {
  float sum[Line::slots];
};
struct ToSums {
  static constexpr bool along = true, unrolled = true;
  bool first;
  template <class R>
  PF_HD void operator()(R& mine, int slot, int, int, Complex<float> x) const {
    const float intensity = squared_modulus(x);
    mine.sum[slot] = first ? intensity : mine.sum[slot] + intensity;
  }
};

// Counts of `pixel` and `pixel` + 16, which share their random bits (see photon_bits), as far as the pattern goes.
template <class T>
PF_DEVICE void count_two(const Detector& detector, int64_t pattern, int n_pixels, int pixel, T rate, T rate_beyond) {
  const uint64_t block[1] = {photon_block(uint32_t(pixel))};
  uint64_t bits[1], bits_beyond[1];
  photon_bits(Philox<1>(untraced(detector.seed)), block, detector.indices[pattern], bits, bits_beyond);
  const int64_t at = pattern * n_pixels + pixel;
  PF_NO_UNROLL
  for (int beyond = 0; beyond < 32 && pixel + beyond < n_pixels; beyond += 16) {
    const T lambda = beyond ? rate_beyond : rate;
    const bool can = lambda >= 0 && lambda <= T(largest_rate);
    detector.put_count(at + beyond, can ? poisson_quantile(beyond ? bits_beyond[0] : bits[0], lambda) : not_a_count);
  }
}

// The result of the same two pixels, whether it is counted or not.
PF_DEVICE void detect_two(const Detector& detector, int64_t pattern, int n_pixels, int pixel, float rate,
                          float rate_beyond) {
  if (is_counted(detector.result)) return count_two(detector, pattern, n_pixels, pixel, rate, rate_beyond);
  const int64_t at = pattern * n_pixels + pixel;
  if (pixel < n_pixels) detector.put_rate(at, rate);
  if (pixel + 16 < n_pixels) detector.put_rate(at + 16, rate_beyond);
}

// Number of such pairs of pixels, and the first pixel of a pair.
PF_HD int pairs_of(int n_pixels) { return (n_pixels + 31) / 32 * 16; }
PF_HD int pair_pixel(int pair) { return pair / 16 * 32 + pair % 16; }

// From the sums of the threads to the result: `lines` rows from position `first_row` on. Photons are counted in the
// order of pixels, so that a thread has both pixels that share their random bits; the rates therefore go through shared
// memory once more. So do rates that are not counted, except in fused kernels: there the pixels of a warp fill whole
// sectors of memory as they are.
template <class Line, class B>
PF_DEVICE void detect(B& block, const int* pixel_of_position, int first_row, const Detector& detector, int64_t pattern,
                      float* shared) {
  constexpr int n = Line::n, last = Line::passes - 1, radix = Line::radix(last), butterflies = Line::butterflies(last);
  constexpr int pitch = n + 8;  // so that rows do not share banks
  constexpr bool direct = Line::lines == n;
  block.phase([&](int thread, auto& mine) {
    const float mean = mean_factor(n, 1, false), dose = detector.dose(pattern);
    PF_UNROLL
    for (int i = 0; i < Line::items(last); ++i) {
      const int item = i * Line::threads + thread, line = item / butterflies;
      const int row = pixel_of_position[first_row + line];
      int column = pixel_of_position[item % butterflies * radix];  // of the first; the next is butterflies further on
      PF_UNROLL
      for (int q = 0; q < radix; ++q) {
        const float rate = expected_photons(mine.sum[i * radix + q], mean, dose);
        if (direct && !is_counted(detector.result))
          detector.put_rate(pattern * (n * n) + row * n + column, rate);
        else
          shared[line * pitch + column] = rate;
        column += butterflies;
        if (column >= n) column -= n;
      }
    }
  });
  if (direct && !is_counted(detector.result)) return;
  block.phase([&](int thread, auto&) {
    PF_NO_UNROLL
    for (int item = thread; item < Line::lines * n / 2; item += Line::threads) {
      const int line = item / (n / 2), column = pair_pixel(item % (n / 2));
      const float* rate = shared + line * pitch + column;
      detect_two(detector, pattern, n * n, pixel_of_position[first_row + line] * n + column, rate[0], rate[16]);
    }
  });
}

}  // namespace PF_ISA
}  // namespace pf
