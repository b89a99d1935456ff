// The stages on the CPU: threads over patterns, working memory per thread. Arguments are the records of model.h,
// checked by the caller.
#pragma once
#include <memory>

#include "kernels.h"

namespace pf {

// out: (B, n, n) complex, the patches at the positions.
void patches(const Kernels&, const Slice&, const Array<double, 2>& positions, Boundary, int n, int threads, float* out);

// The result that `sink` asks for, for every position. `counting` is only read if the result needs it.
void frames(const Kernels&, const Exposure&, const Counting& counting, const Sink&, int threads);

// The patterns of one scan, any of which may be asked for in any call, from any thread. What they share is prepared
// once: tables of the transforms, probe and transfer functions in panels, working memory. That takes longer than one
// small pattern. The arrays of the exposure and of the counting must stay where they are.
class Series {
 public:
  // `counting`: the factors of all patterns; its indices are not read.
  Series(const Exposure&, const Counting& counting);
  ~Series();

  // Patterns chosen[0], chosen[1], ... of the scan to the sink. `numbers` are those of their photons; they are only
  // read if the result needs them.
  void frames(const Kernels&, const int64_t* chosen, const uint64_t* numbers, const Sink&, int threads) const;

 private:
  class Prepared;
  const std::unique_ptr<const Prepared> prepared_;
};

// Photon counts of given rates (B, rows, columns), T = float or double, 0 to 2^31. The sink has the same shape, and a
// result that is counted.
template <class T>
void photons(const Kernels&, const T* rates, const Counting&, const Sink&, int threads);

}  // namespace pf
