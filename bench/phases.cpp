// How long the parts of one pattern take, with the data in cache: the phases of csrc/cpu/pattern.h; photons by their
// mean, with equal rates and with exponential ones; and the parts of a photon count in csrc/cpu/photons.h.
//
//   g++ -O3 -std=c++17 -ffp-contract=off -fno-math-errno -fno-trapping-math -Wno-psabi -mavx2 -DPF_ISA=avx2 -Icsrc
//       bench/phases.cpp csrc/cpu/tables.cpp -o phases && ./phases [N ...]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "cpu/pattern.h"
#include "cpu/photons.h"
#include "cpu/tables.h"

namespace {

#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

// Best of many rounds, microseconds.
template <class F>
double microseconds(F work) {
  using clock = std::chrono::steady_clock;
  double best = 1e9;
  for (int round = 0; round < 200; ++round) {
    const auto start = clock::now();
    for (int i = 0; i < 10; ++i) work();
    best = std::min(best, std::chrono::duration<double, std::micro>(clock::now() - start).count() / 10);
  }
  return best;
}

// Aligned memory with numbers between 0 and 1.
float* numbers(size_t n) {
  static std::minstd_rand generator(1);
  auto* memory = static_cast<float*>(std::aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64));
  for (size_t i = 0; i < n; ++i) memory[i] = std::uniform_real_distribution<float>(0, 1)(generator);
  return memory;
}

void phases(int n) {
  using namespace pf;
  const AxisTables axis(n);
  const Shape shape = {n, (n + lane_padding - 1) / lane_padding * lane_padding};
  const size_t plane = 2 * size_t(shape.padded) * size_t(shape.padded), line = size_t(shape.padded) * panel_row;
  Scratch scratch{};
  scratch.field = numbers(plane);
  scratch.line = numbers(line);
  scratch.window = numbers(2 * size_t(n + 1) * (lane_padding + 1));
  scratch.chirp = numbers(2 * size_t(axis.plan.fft.n) * W);
  const float* wave = numbers(plane);
  Setup setup{};
  setup.object = {numbers(18 * size_t(n) * size_t(n)), 1, 3 * n, 3 * n};
  setup.shape = shape;
  setup.axis = &axis.plan;
  setup.probe = {wave, 1};
  setup.modes = setup.sub_exposures = setup.bin = 1;
  const double path[] = {1.5 * n + 0.3, 1.5 * n + 0.6};
  const Slice object = setup.object.slice(0);
  const Placement at = place(path[0], path[1], n, object.rows, object.columns);
  float* out = numbers(size_t(n) * size_t(n));
  const float mean = mean_factor(n, 1, false);

  const auto items = [](int last, int step, const auto& work) {
    for (int item = 0; item < last; item += step) work(item);
  };
  const auto for_panels = [&](auto work) { return microseconds([&] { items(n, lane_padding, work); }); };
  const double all = microseconds([&] { expose<W>(setup, path, nullptr, scratch, 1, out, items); });
  const double columns = for_panels([&](int c) {
    transform_columns<W>(object, setup.boundary, at, wave + 2 * ptrdiff_t(c) * n, shape, axis.plan, c, scratch);
  });
  const double rows =
      for_panels([&](int r) { transform_rows<W>(0, 1, shape, axis.plan, r, scratch, mean, 1, out); });
  const double transposes = for_panels([&](int r) { transpose_panel<W>(scratch.field, shape, r, scratch.line); });
  const double writes = for_panels([&](int r) { write_rows<W>(scratch.line, shape, axis.plan, r, mean, 1, out); });
  std::fill(scratch.line, scratch.line + line, 0.0f);  // they are transformed many times; other numbers would grow
  const double transforms = for_panels([&](int) {
    transform_panel<W>(axis.plan, scratch.line, scratch, Keep<float, W>{scratch.line, scratch.line + lane_padding});
  });
  std::printf("%4d %8.2f %10.2f %14.2f %12.2f %8.2f %12.2f %8.2f\n", n, all, columns, columns - transforms, transforms,
              rows, transposes, writes);
}

void photons(float mean) {
  constexpr int n = 1 << 14;
  static uint32_t counts[n];
  std::mt19937 random(1);
  std::exponential_distribution<float> exponential(1 / mean);
  std::vector<float> equal(n, mean), mixed(n);
  for (float& rate : mixed) rate = exponential(random);
  uint64_t pattern = 0;
  const auto time = [&](const std::vector<float>& rates) {
    return microseconds([&] { pf::count_photons<float, W>(rates.data(), counts, n, 1, pattern++); }) * 1e3 / n;
  };
  std::printf("%8g %8.2f %8.2f\n", double(mean), time(equal), time(mixed));
}

// Each on a chunk of pixels, as count_photons has them.
void parts_of_photons() {
  using namespace pf;
  constexpr int n = kChunk;
  static uint32_t high[n], counts[n];
  const Philox<W / 2> philox(1);
  const auto time = [](auto work) {
    return microseconds([&] {
             for (int i = 0; i < n; i += 32) work(i);
           }) *
           1e3 / n;
  };
  const double generator = time([&](int i) { upper_photon_bits<W>(philox, uint64_t(i) / 2, 1, high + i); });
  std::vector<float> bright(n, 100.0f), dim(n, 1.0f);
  const double expansion = time([&](int i) { count_quickly<false, W>(&bright[size_t(i)], high + i, counts + i); });
  const double sum = time([&](int i) { count_quickly<true, W>(&dim[size_t(i)], high + i, counts + i); });
  std::printf("generator %.2f, expansion (mean 100) %.2f, sum (mean 1) %.2f\n", generator, expansion, sum);
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<int> sides;
  for (int i = 1; i < count; ++i) sides.push_back(std::atoi(arguments[i]));
  if (sides.empty()) sides = {64, 128, 256, 512};
  std::printf("us: N  pattern    columns  patch, probe    transform     rows    transpose    write\n");
  for (const int n : sides) phases(n);
  if (count > 1) return 0;
  std::printf("ns a pixel: mean, equal rates, exponential rates\n");
  for (const float mean : {0.01f, 0.1f, 1.0f, 3.0f, 10.0f, 30.0f, 100.0f, 1e3f, 1e4f, 1e6f}) photons(mean);
  std::printf("ns a pixel, by part: ");
  parts_of_photons();
}
