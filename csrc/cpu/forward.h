// The stages on the processor: threads over patterns, scratch per thread. Arrays are C-contiguous and checked by the
// caller; complex numbers are pairs of floats; positions are [x, y].
#pragma once
#include <string>
#include <vector>

#include "kernels.h"

namespace pf {

// Instruction sets that this build has kernels for, and those of them that this processor runs; the best last.
std::vector<const Kernels*> built_kernels();
std::vector<const Kernels*> available_kernels();

// The best of them, or the one of that name; throws std::invalid_argument where it is missing.
const Kernels& choose_kernels(const std::string& isa);

struct Scan {
  Object object;
  const double* positions;  // (n_patterns, 2)
  int64_t n_patterns;
  int n;        // patch side
  int threads;  // at least 1
};

struct Photons {
  uint64_t seed;
  uint64_t first_index;  // pattern number of the first pattern
};

// (n_patterns, n, n) complex
void extract_patches(const Kernels&, const Scan&, float* out);

// (n_patterns, n, n) intensities before dose; probe is (modes, n, n) complex
void diffract(const Kernels&, const Scan&, const float* probe, int modes, float* out);

// Rates, here and in the next function, are 0 to 2^31.
template <class T>
void sample_photons(const Kernels&, const T* rate, int64_t n_patterns, int64_t n_pixels, Photons, int threads,
                    uint32_t* out);

// One of the two: counts, or sqrt(counts) / scale.
struct Observation {
  uint32_t* counts;
  float* amplitude;
};

void observe(const Kernels&, const Scan&, const float* probe, int modes, double scale, Photons, Observation out);

}  // namespace pf
