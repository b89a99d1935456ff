// The kernels of one instruction set, as the driver sees them. Each works on one pattern.
#pragma once
#include "../fft_plan.h"
#include "../model.h"
#include "layout.h"

namespace pf {

struct Kernels {
  const char* isa;
  int lane_width;  // floats
  void (*patch)(const Slice&, Boundary, double x, double y, const Shape&, const Scratch&, float* out);
  // path: (S, 2), [x, y] of the sub-exposures; weights: of the planes of the probe, or null.
  void (*expose)(const Setup&, const double* path, const float* weights, const Scratch&, Result result, double scale,
                 double factor, float* out);
  void (*count)(const float* rate, uint32_t* counts, uint32_t n_pixels, uint64_t seed, uint64_t pattern);
  void (*count_double)(const double* rate, uint32_t* counts, uint32_t n_pixels, uint64_t seed, uint64_t pattern);
  void (*amplitude)(const uint32_t* counts, int64_t n_pixels, double scale, float* out);
  void (*respond)(uint32_t* counts, uint32_t n_pixels, const Response&, double scale, uint64_t pattern, Result result,
                  void* out);
  void (*narrow)(const uint32_t* counts, int64_t n_pixels, uint16_t* out);
};

}  // namespace pf
