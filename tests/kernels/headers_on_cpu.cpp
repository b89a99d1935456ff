// The headers of csrc/, one by one, for tests/test_headers.py, which compares them with direct formulas. It is compiled
// for several instruction sets; W is the width of a lane of floats, D that of a lane of doubles.
#include <algorithm>
#include <cmath>
#include <random>

#include "../../csrc/cpu/pattern.h"
#include "../../csrc/cpu/photons.h"
#include "../../csrc/cpu/stages.cpp"
#include "../../csrc/cpu/tables.cpp"
#include "../../csrc/cuda/patch.h"

namespace {

using namespace pf;

#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif
constexpr int D = W / 2;

// Applies a function of lanes to n numbers, a multiple of the width.
template <int width, class F>
void by_lanes(int n, const double* x, double* y, const F& f) {
  for (int i = 0; i < n; i += width) {
    const lane<double, width> in[1] = {load<double, width>(x + i)};
    lane<double, width> out[1];
    f(in, out);
    store<double, width>(y + i, out[0]);
  }
}

}  // namespace

extern "C" {

int lane_width() { return W; }

// --- lane_math.h ---

void exp_minus_of(int n, bool wide, const double* x, double* y) {
  if (wide)
    by_lanes<D>(n, x, y, [](const auto& in, auto& out) { exp_minus<D, 1>(in, out); });
  else
    by_lanes<1>(n, x, y, [](const auto& in, auto& out) { exp_minus<1, 1>(in, out); });
}

void log_of_each(int n, bool wide, const double* x, double* y) {
  if (wide)
    by_lanes<D>(n, x, y, [](const auto& in, auto& out) { log_of<D, 1>(in, out); });
  else
    by_lanes<1>(n, x, y, [](const auto& in, auto& out) { log_of<1, 1>(in, out); });
}

// --- lane_shuffle.h ---

// W x W numbers.
void transpose_tile(float* tile) {
  lane<float, W> rows[W];
  for (int r = 0; r < W; ++r) rows[r] = load<float, W>(tile + r * W);
  transpose<W>(rows);
  for (int r = 0; r < W; ++r) store<float, W>(tile + r * W, rows[r]);
}

// 2 W numbers: every other one from the first on, then from the second on.
void separate(float* x) {
  const auto parts = separated<W>(Pairs<W>{load<float, W>(x), load<float, W>(x + W)});
  store<float, W>(x, parts.re);
  store<float, W>(x + W, parts.im);
}

// n numbers, a multiple of W, sorted by the bits of `chosen` (one word for each lane), and put back. The number in
// front.
int sort_by_bits(int n, const uint32_t* x, const uint32_t* chosen, uint32_t* sorted, uint32_t* back) {
  uint32_t *to_front = sorted, *to_back = sorted + n;
  for (int i = 0; i < n; i += W) store_split<uint32_t, W>(to_front, to_back, load<uint32_t, W>(x + i), chosen[i / W]);
  const uint32_t *front = sorted, *behind = sorted + n;
  for (int i = 0; i < n; i += W) store<uint32_t, W>(back + i, load_joined<uint32_t, W>(front, behind, chosen[i / W]));
  return to_front == to_back && front == behind && front == to_front ? int(front - sorted) : -1;
}

// --- philox.h ---

void philox_words(const uint32_t* counter, uint64_t seed, bool wide, uint32_t* words) {
  if (wide) {
    lane<uint64_t, D> word[4][1];
    for (int i = 0; i < 4; ++i) word[i][0] = splat<uint64_t, D>(counter[i]);
    Philox<D>{seed}(word);
    for (int i = 0; i < 4; ++i) words[i] = uint32_t(word[i][0][D - 1]);
  } else {
    uint64_t word[4][1];
    for (int i = 0; i < 4; ++i) word[i][0] = counter[i];
    Philox<1>{seed}(word);
    for (int i = 0; i < 4; ++i) words[i] = uint32_t(word[i][0]);
  }
}

// The random bits of n pixels, and the upper halves as the kernels for rates in single precision make them; n is a
// multiple of 32.
void bits_of_pixels(uint32_t n, uint64_t seed, uint64_t pattern, uint64_t* bits, uint32_t* high) {
  for (uint32_t pixel = 0; pixel < n; ++pixel) {
    const uint64_t block[1] = {photon_block(pixel)};
    uint64_t first[1], second[1];
    photon_bits(Philox<1>(seed), block, pattern, first, second);
    bits[pixel] = is_second(pixel) ? second[0] : first[0];
  }
  for (uint32_t pixel = 0; pixel < n; pixel += 32)
    upper_photon_bits<W>(Philox<D>(seed), pixel / 2, pattern, high + pixel);
}

double uniform_of(uint64_t bits) { return uniform<1>(bits); }

// --- poisson.h ---

void quantiles_double(int n, const uint64_t* bits, const double* rates, uint32_t* counts) {
  for (int i = 0; i < n; ++i) counts[i] = poisson_quantile(bits[i], rates[i]);
}
void quantiles_float(int n, const uint64_t* bits, const float* rates, uint32_t* counts) {
  for (int i = 0; i < n; ++i) counts[i] = poisson_quantile(bits[i], rates[i]);
}
// The loop that sums, for any input.
uint64_t summed_quantile(double rate, double u) {
  const double rates[1] = {rate}, us[1] = {u};
  uint64_t count[1];
  sum_quantile<1, 1>(rates, us, count);
  return count[0];
}
uint32_t quickly_summed_quantile(float rate, uint32_t high) {
  uint32_t count;
  quick_sum_quantile<1, 1>(&rate, &high, &count);
  return count;
}

// --- fft.h ---

int passes_of(int n, int* radices) {
  const Radices found = radices_of(n);
  std::copy(found.radix, found.radix + found.count, radices);
  return found.count;
}

// W lines, (n, W); frequencies in natural order. Mixed radix or chirp, as the length asks for. In
// `back`, (2, n, W), the lines transformed and back, which is n times what they were.
void transform_lines(int n, float* re, float* im, float* back) {
  const AxisTables axis(n);
  const std::vector<float> from_re(re, re + n * W), from_im(im, im + n * W);
  std::vector<float> to_re(from_re), to_im(from_im);
  std::vector<float> work_re(size_t(axis.plan.fft.n * W)), work_im(work_re);
  const Keep<float, W> there{to_re.data(), to_im.data()}, keep{back, back + n * W};
  if (axis.plan.chirp)
    chirp_line<W>(axis.plan, there.re, there.im, 0, W, work_re.data(), work_im.data(), W, there);
  else
    fft_line<float, W, 1>(axis.plan.fft, there.re, there.im, W, there);
  for (int k = 0; k < n; ++k) {
    const int at = axis.plan.chirp ? k : axis.plan.fft.at[k];
    std::copy_n(&to_re[size_t(at * W)], W, re + k * W);
    std::copy_n(&to_im[size_t(at * W)], W, im + k * W);
  }
  if (axis.plan.chirp)
    chirp_line<W>(axis.plan, there.im, there.re, 0, W, work_re.data(), work_im.data(), W,
                  Exchanged<Keep<float, W>>{keep});
  else
    fft_line_back<float, W, 1>(axis.plan.fft, there.re, there.im, W, keep);
}

// One line in double precision, as the tables of the chirps need it.
void transform_double(int n, double* re, double* im) {
  const FftTables<double> tables(n);
  std::vector<double> to_re(re, re + n), to_im(im, im + n);
  fft_line<double, 1, 1>(tables.plan, to_re.data(), to_im.data(), 1, Keep<double, 1>{to_re.data(), to_im.data()});
  for (int k = 0; k < n; ++k) {
    re[k] = to_re[size_t(tables.at[size_t(k)])];
    im[k] = to_im[size_t(tables.at[size_t(k)])];
  }
}

// --- patch.h, with the taps of the CPU and of the GPU ---

void patch_by_lanes(const float* object, int64_t rows, int64_t columns, double x, double y, int n, float* out) {
  const Shape shape = shape_of(n);
  const Workspace space(shape, Needs());
  const Placement at = place(x, y, n, rows, columns);
  for (int r = 0; r < n; r += band)
    patch_band<W>({object, rows, columns}, Boundary::zero, at, shape, r, space.scratch.window, out);
}

void patch_by_pixels(const float* object, int64_t rows, int64_t columns, double x, double y, int n, float* out) {
  const double position[2] = {x, y};
  const Scan scan = {{object, rows, columns}, position};
  const Placement at = scan.placement(0, n);
  for (int r = 0; r < n; ++r)
    for (int c = 0; c < n; ++c) {
      const auto value = scan.has_inner(at, n) ? scan.inner(at)(r, c) : scan.any(at)(r, c);
      out[2 * (r * n + c)] = value.re;
      out[2 * (r * n + c) + 1] = value.im;
    }
}

// --- cpu/pattern.h: the phases, their items in one of three orders; all memory that is not yet written is NaN ---

// The numbers are (slices, rows, columns, planes, n, boundary, modes, sub-exposures, bin, length of spread).
void pattern_in_order(const int64_t* numbers, const float* object, const float* probe, const double* path,
                      const float* weights, const float* between, const float* near, const float* spread, double scale,
                      int order, float* out) {
  Exposure exposure{};
  exposure.object = {object, numbers[0], numbers[1], numbers[2]};
  exposure.probe = {probe, int(numbers[3]), int(numbers[4])};
  exposure.boundary = Boundary(numbers[5]);
  exposure.modes = int(numbers[6]);
  exposure.positions = {path, {1, numbers[7], 2}};
  exposure.weights = {{weights, {1, numbers[3]}}};
  exposure.between = {between, int(numbers[4])};
  exposure.near = {near, int(numbers[4])};
  exposure.bin = int(numbers[8]);
  exposure.spread = {{spread, {numbers[9]}}};
  const SetupTables tables(exposure);
  const Workspace space(tables.setup.shape, tables.needs);
  std::fill_n(space.scratch.field, space.size / sizeof(float), NAN);
  std::mt19937 random(7);
  const auto each = [&](int last, int step, const auto& work) {
    std::vector<int> items;
    for (int item = 0; item < last; item += step) items.push_back(item);
    if (order == 1) std::reverse(items.begin(), items.end());
    if (order == 2) std::shuffle(items.begin(), items.end(), random);
    for (const int item : items) work(item);
  };
  expose<W>(tables.setup, path, weights, space.scratch, dose_factor(Result::expected, scale, 1), out, each);
}

}  // extern "C"
