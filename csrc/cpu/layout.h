// How a pattern is laid out in memory while a CPU works on it: plain data, no functions (see fft_plan.h).
//
// Complex planes are stored in panels of lane_padding columns (or rows). A row of a panel is lane_padding real parts,
// followed by as many imaginary parts. So going down a column reads memory without gaps, whatever the size.
#pragma once
#include "../fft_plan.h"
#include "../model.h"

namespace pf {

constexpr int band = 8;                      // rows of a patch that are made together
constexpr int lane_padding = 16;             // floats: the widest lane, and a cache line
constexpr int panel_row = 2 * lane_padding;  // floats

// Sizes of a pattern.
struct Shape {
  int n;       // patch side
  int padded;  // n rounded up to a multiple of lane_padding
};

// The planes of the probe in panels of columns, zero-padded to `padded` columns.
struct ProbePanels {
  const float* data;  // (planes, padded / lane_padding, n, 2, lane_padding)
  int planes;
};

// A transfer function in panels of rows, in the order of the transforms, divided by n^2. Null: there is none.
using TransferPanels = const float*;  // (padded / lane_padding, n, 2, lane_padding)

// What does not change from pattern to pattern.
struct Setup {
  Object object;
  Boundary boundary;
  Shape shape;
  const AxisPlan* axis;
  ProbePanels probe;
  int modes, sub_exposures;
  TransferPanels between, near;
  int bin;
  Optional<float, 1> spread;
};

// Working memory of one thread.
struct Scratch {
  float* field;   // (padded / lane_padding, padded, panel_row): exit wave, then its transform along the row index
  float* line;    // (padded, panel_row): the rows of one panel, transposed
  float* sum;     // (padded / panel_row rounded up, padded, panel_row): intensity so far, for pairs of panels of rows
                  // (in the near field of columns); only with several modes or sub-exposures
  float* probe;   // (padded / lane_padding, n, panel_row): a weighted mode, only with weights
  float* image;   // (n, n) and a lane: intensities before bin and spread; as many rows again for what is periodic
  float* rate;    // (N, N): expected photons, only if they are not first written to the result
  float* window;  // a piece of the object with zeros around it, see open_window
  float* chirp;   // (axis.fft.n, 2, W): a line of a convolution, only if the axis needs it
};

}  // namespace pf
