// Tables for the transforms. They are made once per call, or for all calls of a series, in double precision, with
// correctly rounded operations only, so that they are the same on every machine.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "../fft_plan.h"

namespace pf {

template <class T>
struct FftTables {
  FftPlan<T> plan;
  std::vector<T> twiddle;
  std::vector<int> at;
  explicit FftTables(int n);
};

// Everything that an AxisPlan points to; n is 1 to 2048.
class AxisTables {
 public:
  explicit AxisTables(int n);
  AxisTables(const AxisTables&) = delete;
  AxisTables& operator=(const AxisTables&) = delete;
  AxisPlan plan;

 private:
  void fill(int n);
  void fill_chirp(int n);
  std::unique_ptr<FftTables<float>> fft_;
  std::vector<float> chirp_, filter_;
  std::vector<int> position_of_pixel_, pixel_of_position_;
};

}  // namespace pf
