// The kernels for the instruction set that this file is compiled for; it is compiled once for each.
#include "kernels.h"

#include "detect.h"
#include "pattern.h"
#include "photons.h"

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

static void patch_kernel(const Slice& object, Boundary boundary, double x, double y, const Shape& shape,
                         const Scratch& scratch, float* out) {
  const Placement at = place(x, y, shape.n, object.rows, object.columns);
  for (int r = 0; r < shape.n; r += band) patch_band<W>(object, boundary, at, shape, r, scratch.window, out);
}

static void expose_kernel(const Setup& setup, const double* path, const float* weights, const Scratch& scratch,
                          Result result, double scale, double factor, float* out) {
  const auto one_by_one = [](int last, int step, const auto& work) {
    for (int item = 0; item < last; item += step) work(item);
  };
  expose<W>(setup, path, weights, scratch, dose_factor(result, scale, factor), out, one_by_one);
}

static void amplitude_kernel(const uint32_t* counts, int64_t n_pixels, double scale, float* out) {
  for (int64_t i = 0; i < n_pixels; ++i) out[i] = amplitude_of(counts[i], scale);
}

static void narrow_kernel(const uint32_t* counts, int64_t n_pixels, uint16_t* out) {
  for (int64_t i = 0; i < n_pixels; ++i) out[i] = saturated(counts[i]);
}

extern const Kernels kernels;
const Kernels kernels = {
    PF_STRING(PF_ISA), W,          patch_kernel, expose_kernel, count_photons<float, W>, count_photons<double, W>,
    amplitude_kernel,  respond<W>, narrow_kernel};

}  // namespace PF_ISA
}  // namespace pf
