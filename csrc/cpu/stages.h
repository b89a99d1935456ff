// The stages on the CPU: threads over patterns, working memory per thread. Arguments are the records of model.h,
// checked by the caller.
#pragma once
#include "kernels.h"

namespace pf {

// out: (B, n, n) complex, the patches at the positions.
void patches(const Kernels&, const Slice&, const Array<double, 2>& positions, Boundary, int n, int threads, float* out);

// The result that `sink` asks for, for every position. `counting` is only read if the result needs it.
void frames(const Kernels&, const Exposure&, const Counting& counting, const Sink&, int threads);

// Photon counts of given rates (B, rows, columns), T = float or double, 0 to 2^31. The sink has the same shape, and a
// result that is counted.
template <class T>
void photons(const Kernels&, const T* rates, const Counting&, const Sink&, int threads);

}  // namespace pf
