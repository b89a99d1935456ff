// Plain data that the driver makes once per call and the kernels of every instruction set read. No code here: a
// function in this header would be compiled for several processors under one name.
#pragma once
#include "portable.h"

namespace pf {

constexpr int max_passes = 12;    // 2^12 = 4096 is the longest transform
constexpr int band = 8;           // rows of a patch that are made side by side
constexpr int lane_padding = 16;  // floats: the widest lane, and a cache line

// A complex transform of length n as in-place passes (decimation in frequency). Pass p is n / radix butterflies whose
// inputs stand `span` apart; after the last pass frequency k stands at position at[k].
template <class T>
struct FftPlan {
  int n;
  int n_passes;
  int radix[max_passes];
  int span[max_passes];
  const T* twiddle;  // (n, 2): exp(-2 pi i t / n)
  const int* at;     // (n,)
};

// A transform of any length n as a convolution (Bluestein 1970) of length m >= 2 n - 1, in double precision.
struct ChirpPlan {
  FftPlan<double> fft;   // length m
  const double* chirp;   // (n, 2): exp(-i pi t^2 / n)
  const double* filter;  // (m, 2): transform of the conjugate chirp, divided by m
};

// One axis of the detector. Frequencies stand at `position`, detector pixels are counted from the shifted corner.
struct AxisPlan {
  int n;
  bool mixed_radix;  // n = 2^a 3^b 5^c: `fft`, in single precision; else `chirp`
  FftPlan<float> fft;
  ChirpPlan chirp;
  const int* position_of_pixel;  // (n,)
  const int* pixel_of_position;  // (n,)
};

struct Object {
  const float* data;  // (rows, columns, 2)
  int64_t rows, columns;
};

// The probe modes, zero-padded to `padded` columns, in panels (below).
struct Probe {
  const float* panels;  // (modes, padded / lane_padding, n, 2, lane_padding)
  int modes;
};

// Sizes of a pattern. Work goes by panels of lane_padding columns or rows.
struct Shape {
  int n;       // patch side
  int padded;  // n rounded up to lane_padding
};

// Complex planes are stored in panels of lane_padding columns (or rows), a row of a panel being lane_padding real
// parts, then as many imaginary parts: going down a column reads memory in one run, whatever the size.
constexpr int panel_row = 2 * lane_padding;

struct Scratch {
  float* field;      // (padded / lane_padding, padded, panel_row): exit wave, then its transform along the rows' index
  float* line;       // (padded, panel_row): the rows of one panel, transposed
  float* sum;        // (padded / panel_row rounded up, padded, panel_row): intensity so far of pairs of panels of rows,
                     // only where there are several modes
  float* window;     // a piece of the object with zeros around it, see open_window
  double* chirp_re;  // (2, chirp length, lane_padding), only where the axis needs it
  double* chirp_im;
};

}  // namespace pf
