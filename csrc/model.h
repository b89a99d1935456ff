// The records that describe a call, as Python passes them on. They are plain data, passed by value.
//
// A new parameter is a new field here: a member, and a line in `fields`. The binding reads a record from a Python
// object by asking it for each of its fields by name.
//
// Letters: B patterns, M probe modes, N patch side, H x W object. All arrays are C-contiguous; complex numbers are
// pairs of floats (real, imaginary).
#pragma once
#include "portable.h"

namespace pf {

// What the kernels are built and tested for.
constexpr int smallest_n = 8, largest_n = 2048, most_modes = 16;

// Pixels of a pattern whose rates are given: their numbers have 32 bits, and loops go a little beyond the last.
constexpr int64_t most_pixels = (int64_t(1) << 32) - (1 << 16);

// An input array of any kind.
template <class T, int rank>
struct Array {
  const T* data;
  int64_t shape[rank];
};

struct Object {
  const float* data;  // (H, W) complex
  int64_t rows, columns;
};

struct Probe {
  const float* data;  // (M, N, N) complex
  int modes, n;
};

// What the detector sees, before photons are counted.
struct Exposure {
  Object object;
  Probe probe;
  Array<double, 2> positions;  // (B, 2), [x, y] in object pixels: where patch index N/2 lands

  template <class Field>
  void fields(Field field) {
    field("object", object);
    field("probe", probe);
    field("positions", positions);
  }
};

// How photons are counted.
struct Counting {
  double scale;                // s: expected photons are s^2 times the intensity
  uint64_t seed;               // of the noise
  Array<uint64_t, 1> indices;  // (B,), the number of each pattern in the whole data set

  template <class Field>
  void fields(Field field) {
    field("scale", scale);
    field("seed", seed);
    field("indices", indices);
  }
};

// What is written. CUDA kernels get the number of the result, see result_names.
enum class Result : int {
  intensity,      // float32: before the dose
  expected,       // float32: expected photons
  counts,         // uint32
  narrow_counts,  // uint16: counts above 65535 become 65535
  amplitude,      // float32: sqrt(counts) / s
};
#if !defined(__CUDACC__)
constexpr const char* result_names[] = {"intensity", "expected", "counts", "narrow_counts", "amplitude"};
#endif

PF_HD constexpr bool is_counted(Result result) { return result != Result::intensity && result != Result::expected; }

// Where it is written: (B, rows, columns) of the type that the result has.
struct Sink {
  void* data;
  Result result;
  int64_t patterns, rows, columns;
};

}  // namespace pf
