#include "forward.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>

#include "plans.h"
#include "threads.h"

namespace pf {

#define PF_DECLARE(isa)         \
  namespace isa {               \
  extern const Kernels kernels; \
  }
PF_DECLARE(baseline)
#if defined(PF_HAVE_AVX2)
PF_DECLARE(avx2)
#endif
#if defined(PF_HAVE_AVX512)
PF_DECLARE(avx512)
#endif

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> result = {&baseline::kernels};
#if defined(PF_HAVE_AVX2)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) result.push_back(&avx2::kernels);
#endif
#if defined(PF_HAVE_AVX512)
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

// One thread's working memory, in one aligned piece.
class Workspace {
 public:
  Workspace(const Shape& shape, const AxisPlan* axis, bool intensity, bool counts) {
    const size_t plane = size_t(shape.padded) * size_t(shape.padded) * sizeof(float);
    const size_t pixels = size_t(shape.n) * size_t(shape.n) * sizeof(float);
    const size_t window = size_t(shape.n + 1) * size_t(shape.padded + 1) * 2 * sizeof(float);
    const size_t chirp = axis && !axis->mixed_radix ? size_t(axis->chirp.fft.n) * 2 * lane_padding * sizeof(double) : 0;
    // The first pass counts, the second hands out.
    for (const bool counting : {true, false}) {
      size_t used = 0;
      const auto take = [&](size_t bytes) -> void* {
        void* at = counting || bytes == 0 ? nullptr : memory_.get() + used;
        used += (bytes + 63) / 64 * 64;
        return at;
      };
      scratch.re = static_cast<float*>(take(axis ? plane : 0));
      scratch.im = static_cast<float*>(take(axis ? plane : 0));
      scratch.sum = static_cast<float*>(take(axis ? plane : 0));
      scratch.window = static_cast<float*>(take(window));
      scratch.chirp_re = static_cast<double*>(take(chirp));
      scratch.chirp_im = static_cast<double*>(take(chirp));
      scratch.intensity = static_cast<float*>(take(intensity ? pixels : 0));
      scratch.counts = static_cast<uint32_t*>(take(counts ? pixels : 0));
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
                                  bool intensity, bool counts) {
  if (threads > n_patterns) threads = int(n_patterns);
  std::vector<Workspace> result;
  result.reserve(size_t(threads));
  for (int thread = 0; thread < threads; ++thread) result.emplace_back(shape, axis, intensity, counts);
  return result;
}

// The probe as zero-padded planes of real and imaginary parts.
class ProbePlanes {
 public:
  ProbePlanes(const float* probe, int modes, const Shape& shape)
      : re_(size_t(modes) * size_t(shape.n) * size_t(shape.padded)), im_(re_.size()) {
    for (size_t row = 0; row < size_t(modes) * size_t(shape.n); ++row)
      for (size_t c = 0; c < size_t(shape.n); ++c) {
        re_[row * size_t(shape.padded) + c] = probe[2 * (row * size_t(shape.n) + c)];
        im_[row * size_t(shape.padded) + c] = probe[2 * (row * size_t(shape.n) + c) + 1];
      }
    planes = {re_.data(), im_.data(), modes};
  }
  Probe planes;

 private:
  std::vector<float> re_, im_;
};

// Enough pixels for a thread to be worth waking, few enough to share evenly.
int64_t block_of(int64_t n_pixels) { return n_pixels >= 4096 ? 1 : 1 + 4096 / n_pixels; }

void keep_smallest(std::atomic<int64_t>& smallest, int64_t value) {
  int64_t known = smallest.load(std::memory_order_relaxed);
  while ((known < 0 || value < known) && !smallest.compare_exchange_weak(known, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

void extract_patches(const Kernels& kernels, const Scan& scan, float* out) {
  const Shape shape = shape_of(scan.n);
  const int64_t n_pixels = int64_t(scan.n) * scan.n;
  int threads = scan.threads;
  const auto spaces = workspaces(scan.n_patterns, threads, shape, nullptr, false, false);
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
  const ProbePlanes probe_planes(probe, modes, shape);
  int threads = scan.threads;
  const auto spaces = workspaces(scan.n_patterns, threads, shape, &axis.plan, false, false);
  for_each_block(scan.n_patterns, block_of(n_pixels), threads, [&](int thread, int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b)
      kernels.intensity(scan.object, scan.positions[2 * b], scan.positions[2 * b + 1], probe_planes.planes, shape,
                        axis.plan, spaces[size_t(thread)].scratch, out + b * n_pixels);
  });
}

template <class T>
int64_t sample_photons(const Kernels& kernels, const T* rate, int64_t n_patterns, int64_t n_pixels, Photons photons,
                       int threads, uint32_t* out) {
  std::atomic<int64_t> bad{-1};
  if (threads > n_patterns) threads = int(n_patterns);
  for_each_block(n_patterns, block_of(n_pixels), threads, [&](int, int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      const T* at = rate + b * n_pixels;
      const uint64_t pattern = photons.first_index + uint64_t(b);
      int64_t pixel;
      if constexpr (sizeof(T) == sizeof(float))
        pixel = kernels.first_bad_rate(at, n_pixels);
      else
        pixel = kernels.first_bad_rate_double(at, n_pixels);
      if (pixel >= 0)
        keep_smallest(bad, b * n_pixels + pixel);
      else if constexpr (sizeof(T) == sizeof(float))
        kernels.photons(at, out + b * n_pixels, int(n_pixels), photons.seed, pattern);
      else
        kernels.photons_double(at, out + b * n_pixels, int(n_pixels), photons.seed, pattern);
    }
  });
  return bad;
}

template int64_t sample_photons(const Kernels&, const float*, int64_t, int64_t, Photons, int, uint32_t*);
template int64_t sample_photons(const Kernels&, const double*, int64_t, int64_t, Photons, int, uint32_t*);

int64_t observe(const Kernels& kernels, const Scan& scan, const float* probe, int modes, double scale, Photons photons,
                uint32_t* counts, float* amplitude) {
  const Shape shape = shape_of(scan.n);
  const int64_t n_pixels = int64_t(scan.n) * scan.n;
  const AxisTables axis(scan.n);
  const ProbePlanes probe_planes(probe, modes, shape);
  std::atomic<int64_t> bad{-1};
  int threads = scan.threads;
  const auto spaces = workspaces(scan.n_patterns, threads, shape, &axis.plan, true, amplitude != nullptr);
  for_each_block(scan.n_patterns, block_of(n_pixels), threads, [&](int thread, int64_t first, int64_t last) {
    const Scratch& scratch = spaces[size_t(thread)].scratch;
    for (int64_t b = first; b < last; ++b) {
      kernels.intensity(scan.object, scan.positions[2 * b], scan.positions[2 * b + 1], probe_planes.planes, shape,
                        axis.plan, scratch, scratch.intensity);
      kernels.expected_photons(scratch.intensity, n_pixels, float(scale * scale));
      const int64_t pixel = kernels.first_bad_rate(scratch.intensity, n_pixels);
      if (pixel >= 0) {
        keep_smallest(bad, b * n_pixels + pixel);
        continue;
      }
      uint32_t* to = amplitude ? scratch.counts : counts + b * n_pixels;
      kernels.photons(scratch.intensity, to, int(n_pixels), photons.seed, photons.first_index + uint64_t(b));
      if (amplitude) kernels.amplitude(to, n_pixels, scale, amplitude + b * n_pixels);
    }
  });
  return bad;
}

}  // namespace pf
