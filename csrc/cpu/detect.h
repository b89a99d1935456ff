// What a detector makes of a pattern, on the lanes of a CPU: 64 pixels at a time, part by part.
#pragma once
#include "../detect.h"
#include "photons.h"

namespace pf {
inline namespace PF_ISA {

// Stores signals in the type of a result.
template <class T>
struct AsSignal {
  using type = T;
  static constexpr bool whole = !(T(0.5) > 0);
  template <int D>
  PF_HD void store(T* to, lane<double, D> x) const {
    store_signal<D>(to, x);
  }
};
struct AsAmplitude {
  using type = float;
  static constexpr bool whole = false;
  Conversion conversion;
  double scale;
  template <int D>
  PF_HD void store(float* to, lane<double, D> x) const {
    store_signal_amplitude<D>(to, x, conversion, scale);
  }
};

// From the photons of a pattern to its signals or amplitudes. A lane is W numbers of 32 bits.
template <int W>
struct PatternResponse {
  static constexpr int D = W / 2, K = quick_lanes_together(W), pixels = 64;
  const Response& response;
  const Conversion conversion;
  uint64_t pattern;
  uint32_t few;  // photons, of which one at most is missed
  Philox<D> philox;
  uint32_t words[pixels], shared[pixels];  // for counts, and those of which two pixels take a half each
  float normal[pixels] = {};

  PatternResponse(const Response& a_response, uint64_t a_pattern)
      : response(a_response),
        conversion(a_response),
        pattern(a_pattern),
        few(most_that_miss_one(a_response.dead_time)),
        philox(a_response.seed) {}

  void draw(uint32_t first, uint32_t stream, uint32_t* to) const {
    pixel_words<D>(philox, first / 4, stream, pattern, to);
  }

  template <bool upper>
  void draw_normals(uint32_t first) {
    for (int i = 0; i < pixels; i += W * K) {
      lane<uint32_t, W> half[K];
      PF_UNROLL
      for (int v = 0; v < K; ++v) {
        const auto word = load<uint32_t, W>(shared + i + v * W);
        half[v] = upper ? word >> 16 : word & 0xffffu;
      }
      uint32_t far = quick_normals<W, K>(half, normal + i);
      for (; far; far &= far - 1) {
        const int at = i + lowest_bit(far);
        normal[at] =
            far_normal(response.seed, pattern, first + uint32_t(at), upper ? shared[at] >> 16 : shared[at] & 0xffffu);
      }
    }
  }

  template <bool paralysable>
  void miss(uint32_t* count) const {
    for (int i = 0; i < pixels; i += W * K) {
      auto most = load<uint32_t, W>(count + i);
      PF_UNROLL
      for (int v = 1; v < K; ++v) most = larger(most, load<uint32_t, W>(count + i + v * W));
      if (!mask_bits(most > 1u)) continue;  // a single photon is never missed
      if (mask_bits(most > few))
        miss_photons<paralysable, W, K>(response.dead_time, words + i, count + i);
      else
        miss_one_photon<paralysable, W, K>(response.dead_time, words + i, count + i);
    }
  }

  void add_dark(uint32_t first, uint32_t* count) const {
    for (int i = 0; i < pixels; i += W * K) {
      uint32_t doubtful = add_dark_counts<W, K>(response.dark, words + i, count + i);
      for (; doubtful; doubtful &= doubtful - 1) {
        const int at = i + lowest_bit(doubtful);
        const uint32_t low = pixel_word(response.seed, kDarkStream, pattern, first + uint32_t(at));
        count[at] += dark_counts_left(response.dark, words[at], low);
      }
    }
  }

  template <bool wraps, bool rounds, class As>
  void put(const uint32_t* count, As as, typename As::type* to) const {
    const Conversion numbers = conversion;
    for (int i = 0; i < pixels; i += D)
      as.template store<D>(
          to + i, signal_of<wraps, rounds, D>(numbers, load<uint32_t, D>(count + i), load<float, D>(normal + i)));
  }

  // From the photons of 64 pixels from `first` on; `count` is overwritten.
  template <class As>
  void run(uint32_t first, uint32_t* count, const As& as, typename As::type* to) {
    if (response.dead_time > 0 || response.dark) draw(first, kCountsStream, words);
    if (response.dead_time > 0) response.paralysable ? miss<true>(count) : miss<false>(count);
    if (response.dark_least > 0)
      for (int i = 0; i < pixels; ++i) count[i] += uint32_t(response.dark_least);
    if (response.dark) add_dark(first, count);
    if (response.readout > 0) {
      const bool upper = takes_upper_half(first);
      if (!upper) draw(shared_word(first), kReadoutStream, shared);
      upper ? draw_normals<true>(first) : draw_normals<false>(first);
    }
    const bool rounds = response.step > 0 && !(As::whole && response.step == 1);  // those are rounded when stored
    if (response.wrap)
      rounds ? put<true, true>(count, as, to) : put<true, false>(count, as, to);
    else
      rounds ? put<false, true>(count, as, to) : put<false, false>(count, as, to);
  }

  // What is stored for the states of pixels.
  template <class As>
  struct Bad {
    typename As::type of[4];
    Bad(const Response& response, const As& as) {
      for (int state = 0; state < 4; ++state) as.template store<1>(of + state, signal_of_bad(response, state));
    }
  };

  template <class T>
  void mark_bad(uint32_t first, int here, const T* of, T* to) const {
    const uint8_t* states = response.pixels.data + first;
    for (int i = 0; i < here;) {
      uint64_t eight = 1;
      if (i + 8 <= here) memcpy(&eight, states + i, sizeof eight);
      const int end = eight == 0 ? i : smaller(i + 8, here);
      for (int j = i; j < end; ++j)
        if (states[j]) to[j] = of[states[j]];
      i += 8;
    }
  }

  template <class As>
  void run_all(uint32_t* counts, uint32_t n_pixels, const As& as, void* out) {
    auto* to = static_cast<typename As::type*>(out);
    const Bad<As> bad(response, as);
    for (uint32_t first = 0; first < n_pixels; first += pixels) {
      const int here = int(smaller(n_pixels - first, uint32_t(pixels)));
      if (here == pixels) {
        run(first, counts + first, as, to + first);
      } else {
        uint32_t count[pixels] = {};
        typename As::type made[pixels];
        memcpy(count, counts + first, sizeof(uint32_t) * size_t(here));
        run(first, count, as, made);
        memcpy(to + first, made, sizeof made[0] * size_t(here));
      }
      if (response.pixels) mark_bad(first, here, bad.of, to + first);
    }
  }
};

// Photons of a pattern (n_pixels), which are overwritten, to the result (n_pixels).
template <int W>
inline void respond(uint32_t* counts, uint32_t n_pixels, const Response& response, double scale, uint64_t pattern,
                    Result result, void* out) {
  PatternResponse<W> one(response, pattern);
  if (result == Result::amplitude)
    one.run_all(counts, n_pixels, AsAmplitude{one.conversion, scale}, out);
  else if (result == Result::float_signal)
    one.run_all(counts, n_pixels, AsSignal<float>(), out);
  else if (result == Result::signed_signal)
    one.run_all(counts, n_pixels, AsSignal<int32_t>(), out);
  else
    one.run_all(counts, n_pixels, AsSignal<uint32_t>(), out);
}

}  // namespace PF_ISA
}  // namespace pf
