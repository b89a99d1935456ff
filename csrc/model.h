// The records that describe a call, as Python passes them on. They are plain data, passed by value.
//
// A new parameter is a new field here: a member, and a line in `fields`. The binding reads a record from a Python
// object by asking it for each of its fields by name.
//
// Letters: B patterns, S sub-exposures, M probe modes, K eigenprobes, L slices, n patch side, N pattern side, H x W
// object. All arrays are C-contiguous; complex numbers are pairs of floats (real, imaginary).
#pragma once
#include "portable.h"

namespace pf {

// What the kernels are built and tested for.
constexpr int smallest_n = 8, largest_n = 2048, most_modes = 16, most_sub_exposures = 1 << 20;

// Pixels of a pattern whose rates are given: their numbers have 32 bits, and loops go a little beyond the last.
constexpr int64_t most_pixels = (int64_t(1) << 32) - (1 << 16);

// An input array of any kind.
template <class T, int rank>
struct Array {
  const T* data;
  int64_t shape[rank];
};

// An array that may be missing: data is null then.
template <class T, int rank>
struct Optional : Array<T, rank> {
  explicit operator bool() const { return this->data != nullptr; }
};

// One slice of an object, (H, W) complex; often it is all of the object.
struct Slice {
  const float* data;
  int64_t rows, columns;
};

struct Object {
  const float* data;  // (L, H, W) complex
  int64_t slices, rows, columns;
  PF_HD Slice slice(int64_t number) const { return {data + 2 * number * rows * columns, rows, columns}; }
};

struct Probe {
  const float* data;  // (M + K, n, n) complex
  int planes, n;
};

// From the waves in one plane to those in another: (n, n) complex, zero frequency at (0, 0). Data may be null.
struct Transfer {
  const float* data;
  int n;
};

// What lies outside the object: 0, 1, or its nearest pixel.
enum class Boundary : int { zero, vacuum, edge };
#if !defined(__CUDACC__)
constexpr const char* boundary_names[] = {"zero", "vacuum", "edge"};
#endif

// What the detector sees, before photons are counted: the mean over sub-exposures of the sum over modes.
struct Exposure {
  Object object;
  Probe probe;
  Array<double, 3> positions;  // (B, S, 2), [x, y] in object pixels: where patch index n/2 lands
  Boundary boundary;
  int modes;                   // M; 0: all planes of the probe
  Optional<float, 2> weights;  // (B, M + K): of the planes; those of eigenprobes are added to mode 0
  Transfer between, near;      // from slice to slice; from the last one to a detector in the near field
  int bin;                     // q = n / N: pixels of the transform that make a pixel of the detector, along each axis
  Optional<float, 1> spread;   // (R + 1,): half of a symmetric kernel that blurs the pattern along both axes

  template <class Field>
  void fields(Field field) {
    field("object", object);
    field("probe", probe);
    field("positions", positions);
    field("boundary", boundary);
    field("modes", modes);
    field("weights", weights);
    field("between", between);
    field("near", near);
    field("bin", bin);
    field("spread", spread);
  }
};

// What a detector makes of the photons; see detect.h. A gain of 0: there is none.
struct Response {
  uint64_t seed;     // of its noise
  double dead_time;  // over the exposure time; 0: off
  bool paralysable;
  int dark_least;                // dark counts of every pixel
  Optional<uint32_t, 1> dark;    // (K,), ascending: one dark count more for each that the pixel's word reaches
  double gain, readout, offset;  // signal of a count, of the noise (standard deviation), of no count
  double ceiling;                // largest signal; 0: none
  bool wrap;                     // whether a larger one begins again at 0
  double step;                   // signals are multiples of it; 0: not rounded
  Optional<uint8_t, 2> pixels;   // (rows, columns): 0 good, 1 dead, 2 hot, 3 masked
  double hot, masked;            // signals of such pixels
  explicit operator bool() const { return gain > 0; }

  template <class Field>
  void fields(Field field) {
    field("seed", seed);
    field("dead_time", dead_time);
    field("paralysable", paralysable);
    field("dark_least", dark_least);
    field("dark", dark);
    field("gain", gain);
    field("readout", readout);
    field("offset", offset);
    field("ceiling", ceiling);
    field("wrap", wrap);
    field("step", step);
    field("pixels", pixels);
    field("hot", hot);
    field("masked", masked);
  }
};

// How photons are counted.
struct Counting {
  double scale;                 // s: expected photons are s^2 times the intensity
  uint64_t seed;                // of the noise
  Array<uint64_t, 1> indices;   // (B,), the number of each pattern in the whole data set
  Optional<double, 1> factors;  // (B,): dose of each pattern, in units of the common one
  Response detector;            // of signals, and of amplitudes

  template <class Field>
  void fields(Field field) {
    field("scale", scale);
    field("seed", seed);
    field("indices", indices);
    field("factors", factors);
    field("detector", detector);
  }
};

// What is written. CUDA kernels get the number of the result, see result_names.
enum class Result : int {
  intensity,      // float32: before the dose
  expected,       // float32: expected photons
  counts,         // uint32
  narrow_counts,  // uint16: counts above 65535 become 65535
  amplitude,      // float32: sqrt(counts) / s
  signal,         // uint32: of a detector
  signed_signal,  // int32
  float_signal,   // float32
};
#if !defined(__CUDACC__)
constexpr const char* result_names[] = {"intensity", "expected", "counts",        "narrow_counts",
                                        "amplitude", "signal",   "signed_signal", "float_signal"};
#endif

PF_HD constexpr bool is_signal(Result result) { return result >= Result::signal; }
PF_HD constexpr bool is_counted(Result result) { return result != Result::intensity && result != Result::expected; }

// Where it is written: (B, rows, columns) of the type that the result has.
struct Sink {
  void* data;
  Result result;
  int64_t patterns, rows, columns;
};

}  // namespace pf
