// The kernels of one instruction set, as the driver sees them.
#pragma once
#include "../plan.h"

namespace pf {

struct Kernels {
  const char* isa;
  int lane_width;  // floats
  void (*patch)(const Object&, double x, double y, const Shape&, const Scratch&, float* out);
  void (*intensity)(const Object&, double x, double y, const Probe&, const Shape&, const AxisPlan&, const Scratch&,
                    float dose, float* out);
  void (*photons)(const float* rate, uint32_t* counts, int n_pixels, uint64_t seed, uint64_t pattern);
  void (*photons_double)(const double* rate, uint32_t* counts, int n_pixels, uint64_t seed, uint64_t pattern);
  void (*amplitude)(const uint32_t* counts, int64_t n_pixels, double scale, float* out);
};

}  // namespace pf
