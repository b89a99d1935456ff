// How long the parts of one pattern take, with the data in cache: the phases of csrc/cpu/pattern.h, and photons by
// their mean, with equal rates and with exponential ones.
//
//   g++ -O3 -std=c++17 -ffp-contract=off -fno-math-errno -fno-trapping-math -Wno-psabi -mavx2 -DPF_ISA=avx2 -Icsrc
//       bench/phases.cpp csrc/cpu/tables.cpp -o phases && ./phases
#include <algorithm>
#include <chrono>
#include <cstdio>
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
  const ProbePanels probe = {numbers(plane), 1};
  const Object object = {numbers(18 * size_t(n) * size_t(n)), 3 * n, 3 * n};
  const Placement at = place(1.5 * n + 0.3, 1.5 * n + 0.6, n, object.rows, object.columns);
  float* out = numbers(size_t(n) * size_t(n));

  const auto for_panels = [&](auto work) {
    return microseconds([&] {
      for (int first = 0; first < n; first += lane_padding) work(first);
    });
  };
  const double all = microseconds([&] { expose<W>(object, at, probe, shape, axis.plan, scratch, 1, out); });
  const double columns =
      for_panels([&](int c) { transform_columns<W>(object, at, probe, 0, shape, axis.plan, c, scratch); });
  const double rows = for_panels([&](int r) { transform_rows<W>(probe, 0, shape, axis.plan, r, scratch, 1, out); });
  const double transposes = for_panels([&](int r) { transpose_panel<W>(scratch.field, shape, r, scratch.line); });
  const double writes = for_panels([&](int r) { write_rows<W>(scratch.line, shape, axis.plan, r, 1, out); });
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

}  // namespace

int main() {
  std::printf("us: N  pattern    columns  patch, probe    transform     rows    transpose    write\n");
  for (const int n : {64, 128, 256, 512}) phases(n);
  std::printf("ns a pixel: mean, equal rates, exponential rates\n");
  for (const float mean : {0.01f, 0.1f, 1.0f, 3.0f, 10.0f, 30.0f, 100.0f, 1e3f, 1e4f, 1e6f}) photons(mean);
}
