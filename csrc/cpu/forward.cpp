#include "forward.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>

#include "../portable.h"
#include "plans.h"
#include "threads.h"

namespace pf {

inline namespace PF_ISA {
extern const Kernels kernels;
}
#if defined(PF_HAVE_X86_SIMD)
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
#endif

std::vector<const Kernels*> built_kernels() {
#if defined(PF_HAVE_X86_SIMD)
  return {&kernels, &avx2::kernels, &avx512::kernels};
#else
  return {&kernels};
#endif
}

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> result = {&kernels};
#if defined(PF_HAVE_X86_SIMD)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) result.push_back(&avx2::kernels);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl"))
    result.push_back(&avx512::kernels);
#endif
  return result;
}

const Kernels& choose_kernels(const std::string& isa) {
  const auto available = available_kernels();
  if (isa.empty()) return *available.back();
  std::string names;
  for (const Kernels* kernels : available) {
    if (isa == kernels->isa) return *kernels;
    names += std::string(names.empty() ? "" : ", ") + kernels->isa;
  }
  throw std::invalid_argument("PTYCHO_FAST_ISA: '" + isa +
                              "' given, expected one that this build and processor have: " + names);
}

namespace {

Shape shape_of(int n) {
  const int padded = (n + lane_padding - 1) / lane_padding * lane_padding;
  return {n, padded};
}

// One thread's working memory, in one aligned piece. Without an axis there is no transform, without modes no sum.
class Workspace {
 public:
  Workspace(const Shape& shape, const AxisPlan* axis, int modes) {
    const size_t padded = size_t(shape.padded), taps = size_t(shape.n) + 1, panel = lane_padding;
    const size_t line = axis ? padded * panel_row * sizeof(float) : 0;
    const size_t field = line * (padded / panel), sum = modes > 1 ? line * ((padded + panel_row - 1) / panel_row) : 0;
    const size_t window = 2 * sizeof(float) * (axis ? taps * (panel + 1) : (band + 1) * (padded + 1));
    const size_t chirp = axis && !axis->mixed_radix ? size_t(axis->chirp.fft.n) * 2 * panel * sizeof(double) : 0;
    // The first pass counts, the second hands out.
    for (const bool counting : {true, false}) {
      size_t used = 0;
      const auto take = [&](size_t bytes) -> void* {
        void* at = counting || bytes == 0 ? nullptr : memory_.get() + used;
        used += (bytes + 63) / 64 * 64;
        return at;
      };
      scratch.field = static_cast<float*>(take(field));
      scratch.line = static_cast<float*>(take(line));
      scratch.sum = static_cast<float*>(take(sum));
      scratch.window = static_cast<float*>(take(window));
      scratch.chirp_re = static_cast<double*>(take(chirp));
      scratch.chirp_im = static_cast<double*>(take(chirp));
      if (counting) {
        memory_.reset(static_cast<char*>(std::aligned_alloc(64, used)));
        if (!memory_) throw std::bad_alloc();
        std::memset(memory_.get(), 0, used);
      }
    }
  }
  Scratch scratch{};

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  std::unique_ptr<char, Free> memory_;
};

// Workspaces are made before the threads start, so that running out of memory is an exception of the caller's.
std::vector<Workspace> workspaces(int64_t n_patterns, int& threads, const Shape& shape, const AxisPlan* axis,
                                  int modes) {
  if (threads > n_patterns) threads = int(n_patterns);
  std::vector<Workspace> result;
  result.reserve(size_t(threads));
  for (int thread = 0; thread < threads; ++thread) result.emplace_back(shape, axis, modes);
  return result;
}

// The probe in zero-padded panels, see Probe.
class ProbePanels {
 public:
  ProbePanels(const float* probe, int modes, const Shape& shape)
      : panels_(2 * size_t(modes) * size_t(shape.n) * size_t(shape.padded)) {
    const int n = shape.n, panel = lane_padding;
    for (int mode = 0; mode < modes; ++mode)
      for (int r = 0; r < n; ++r)
        for (int c = 0; c < n; ++c) {
          const float* from = probe + 2 * ((size_t(mode) * size_t(n) + size_t(r)) * size_t(n) + size_t(c));
          const size_t column = size_t(mode) * size_t(shape.padded) + size_t(c / panel * panel);
          float* to = panels_.data() + 2 * column * size_t(n) + size_t(r * panel_row + c % panel);
          to[0] = from[0];
          to[panel] = from[1];
        }
    panels = {panels_.data(), modes};
  }
  Probe panels;

 private:
  std::vector<float> panels_;
};

// Enough pixels for a thread to be worth waking, few enough to share evenly.
int64_t block_of(int64_t n_pixels) { return n_pixels >= 4096 ? 1 : 1 + 4096 / n_pixels; }

}  // namespace

void extract_patches(const Kernels& kernels, const Scan& scan, float* out) {
  const Shape shape = shape_of(scan.n);
  const int64_t n_pixels = int64_t(scan.n) * scan.n;
  int threads = scan.threads;
  const auto spaces = workspaces(scan.n_patterns, threads, shape, nullptr, 0);
  for_each_block(scan.n_patterns, block_of(n_pixels), threads, [&](int thread, int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b)
      kernels.patch(scan.object, scan.positions[2 * b], scan.positions[2 * b + 1], shape,
                    spaces[size_t(thread)].scratch, out + 2 * b * n_pixels);
  });
}

void diffract(const Kernels& kernels, const Scan& scan, const float* probe, int modes, float* out) {
  const Shape shape = shape_of(scan.n);
  const int64_t n_pixels = int64_t(scan.n) * scan.n;
  const AxisTables axis(scan.n);
  const ProbePanels probe_panels(probe, modes, shape);
  int threads = scan.threads;
  const auto spaces = workspaces(scan.n_patterns, threads, shape, &axis.plan, modes);
  for_each_block(scan.n_patterns, block_of(n_pixels), threads, [&](int thread, int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b)
      kernels.intensity(scan.object, scan.positions[2 * b], scan.positions[2 * b + 1], probe_panels.panels, shape,
                        axis.plan, spaces[size_t(thread)].scratch, 1, out + b * n_pixels);
  });
}

template <class T>
void sample_photons(const Kernels& kernels, const T* rate, int64_t n_patterns, int64_t n_pixels, Photons photons,
                    int threads, uint32_t* out) {
  if (threads > n_patterns) threads = int(n_patterns);
  for_each_block(n_patterns, block_of(n_pixels), threads, [&](int, int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      const T* at = rate + b * n_pixels;
      const uint64_t pattern = photons.first_index + uint64_t(b);
      if constexpr (sizeof(T) == sizeof(float))
        kernels.photons(at, out + b * n_pixels, int(n_pixels), photons.seed, pattern);
      else
        kernels.photons_double(at, out + b * n_pixels, int(n_pixels), photons.seed, pattern);
    }
  });
}

template void sample_photons(const Kernels&, const float*, int64_t, int64_t, Photons, int, uint32_t*);
template void sample_photons(const Kernels&, const double*, int64_t, int64_t, Photons, int, uint32_t*);

void observe(const Kernels& kernels, const Scan& scan, const float* probe, int modes, double scale, Photons photons,
             Observation out) {
  const Shape shape = shape_of(scan.n);
  const int64_t n_pixels = int64_t(scan.n) * scan.n;
  const AxisTables axis(scan.n);
  const ProbePanels probe_panels(probe, modes, shape);
  int threads = scan.threads;
  const auto spaces = workspaces(scan.n_patterns, threads, shape, &axis.plan, modes);
  for_each_block(scan.n_patterns, block_of(n_pixels), threads, [&](int thread, int64_t first, int64_t last) {
    const Scratch& scratch = spaces[size_t(thread)].scratch;
    // The rates stand in the result's place until the counts, made in the plane that is free by then, are there.
    uint32_t* made = reinterpret_cast<uint32_t*>(scratch.field);
    for (int64_t b = first; b < last; ++b) {
      float* rate = out.amplitude ? out.amplitude + b * n_pixels : reinterpret_cast<float*>(out.counts + b * n_pixels);
      kernels.intensity(scan.object, scan.positions[2 * b], scan.positions[2 * b + 1], probe_panels.panels, shape,
                        axis.plan, scratch, float(scale * scale), rate);
      kernels.photons(rate, made, int(n_pixels), photons.seed, photons.first_index + uint64_t(b));
      if (out.amplitude)
        kernels.amplitude(made, n_pixels, scale, out.amplitude + b * n_pixels);
      else
        std::memcpy(out.counts + b * n_pixels, made, sizeof(uint32_t) * size_t(n_pixels));
    }
  });
}

}  // namespace pf
