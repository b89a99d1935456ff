// The kernels for the instruction set that this file is compiled for; it is compiled once for each.
#include "kernels.h"

#include "../forward.h"
#include "poisson_pattern.h"

#if defined(__AVX512F__)
#define PF_LANE_WIDTH 16
#elif defined(__AVX2__)
#define PF_LANE_WIDTH 8
#else
#define PF_LANE_WIDTH 4
#endif

#define PF_STRING_OF(name) #name
#define PF_STRING(name) PF_STRING_OF(name)

namespace pf {
inline namespace PF_ISA {

constexpr int W = PF_LANE_WIDTH;

static void patch_kernel(const Object& object, double x, double y, const Shape& shape, const Scratch& scratch,
                         float* out) {
  const Placement at = place(x, y, shape.n, object.rows, object.columns);
  for (int r = 0; r < shape.n; r += band) patch_band<W>(object, at, shape, r, scratch.window, out);
}

static void intensity_kernel(const Object& object, double x, double y, const Probe& probe, const Shape& shape,
                             const AxisPlan& axis, const Scratch& scratch, float dose, float* out) {
  const Placement at = place(x, y, shape.n, object.rows, object.columns);
  intensity<W>(object, at, probe, shape, axis, scratch, dose, out);
}

extern const Kernels kernels;
const Kernels kernels = {PF_STRING(PF_ISA),         W,        patch_kernel, intensity_kernel, poisson_counts<float, W>,
                         poisson_counts<double, W>, amplitude};

}  // namespace PF_ISA
}  // namespace pf
