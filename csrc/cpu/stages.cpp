#include "stages.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "tables.h"
#include "threads.h"

namespace pf {
namespace stages {  // named, since Series::Prepared has members of these types

Shape shape_of(int n) {
  const int padded = (n + lane_padding - 1) / lane_padding * lane_padding;
  return {n, padded};
}

// What a thread's working memory must have room for.
struct Needs {
  const AxisPlan* axis = nullptr;  // of the transforms; none for patches
  int waves = 0;                   // whose intensities are added up
  bool weights = false, image = false, rate = false;
};

// The working memory of one thread, in one aligned piece.
class Workspace {
 public:
  Workspace(const Shape& shape, const Needs& needs) {
    const size_t n = size_t(shape.n), padded = size_t(shape.padded), panel = lane_padding;
    const size_t line = needs.axis ? padded * panel_row * sizeof(float) : 0;
    const size_t field = line * (padded / panel);
    const size_t sum = needs.waves > 1 ? line * ((padded + panel_row - 1) / panel_row) : 0;
    const size_t probe = needs.weights ? field / padded * n : 0;
    const size_t image = needs.image ? (2 * n * n + panel) * sizeof(float) : 0;
    const size_t rate = needs.rate ? n * n * sizeof(float) : 0;
    const size_t window = 2 * sizeof(float) * (needs.axis ? (n + 1) * (panel + 1) : (band + 1) * (padded + 1));
    const bool chirps = needs.axis && needs.axis->chirp;
    const size_t chirp = chirps ? size_t(needs.axis->fft.n) * panel_row * sizeof(float) : 0;
    // The first pass adds up the sizes, the second hands out the memory.
    for (const bool counting : {true, false}) {
      size_t used = 0;
      const auto take = [&](size_t bytes) -> void* {
        void* at = counting || bytes == 0 ? nullptr : memory_.get() + used;
        used += (bytes + 63) / 64 * 64;
        return at;
      };
      scratch.field = static_cast<float*>(take(field));
      scratch.line = static_cast<float*>(take(line));
      scratch.sum = static_cast<float*>(take(sum));
      scratch.probe = static_cast<float*>(take(probe));
      scratch.image = static_cast<float*>(take(image));
      scratch.rate = static_cast<float*>(take(rate));
      scratch.window = static_cast<float*>(take(window));
      scratch.chirp = static_cast<float*>(take(chirp));
      if (counting) {
        memory_.reset(static_cast<char*>(std::aligned_alloc(64, used)));
        if (!memory_) throw std::bad_alloc();
        std::memset(memory_.get(), 0, used);
        size = used;
      }
    }
    if (needs.image) scratch.image += n / 2 * n;  // rows that are repeated have room before the first
  }
  Scratch scratch{};
  size_t size = 0;  // bytes, from scratch.field on

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  std::unique_ptr<char, Free> memory_;
};

int useful_threads(int threads, int64_t n_patterns) { return int(std::min<int64_t>(threads, n_patterns)); }

// Working memory is allocated before the threads start, so that the caller gets the exception if there is too little.
std::vector<Workspace> workspaces(int threads, const Shape& shape, const Needs& needs) {
  std::vector<Workspace> result;
  result.reserve(size_t(threads));
  for (int thread = 0; thread < threads; ++thread) result.emplace_back(shape, needs);
  return result;
}

// The memory of ProbePanels.
class ProbeInPanels {
 public:
  ProbeInPanels(const Probe& probe, const Shape& shape)
      : data_(2 * size_t(probe.planes) * size_t(shape.n) * size_t(shape.padded)) {
    const int n = shape.n, panel = lane_padding;
    for (int plane = 0; plane < probe.planes; ++plane)
      for (int first = 0; first < n; first += panel) {
        const int width = std::min(panel, n - first);
        const float* from = probe.data + 2 * (size_t(plane) * size_t(n) * size_t(n) + size_t(first));
        float* to = data_.data() + 2 * (size_t(plane) * size_t(shape.padded) + size_t(first)) * size_t(n);
        for (int r = 0; r < n; ++r, from += 2 * n, to += panel_row)
          for (int c = 0; c < width; ++c) {
            to[c] = from[2 * c];
            to[panel + c] = from[2 * c + 1];
          }
      }
    panels = {data_.data(), probe.planes};
  }
  ProbePanels panels;

 private:
  std::vector<float> data_;
};

// The memory of TransferPanels.
class TransferInPanels {
 public:
  TransferInPanels(const Transfer& transfer, const Shape& shape, const AxisPlan& axis) {
    if (transfer.data) with_default_float_control([&] { fill(transfer, shape, axis); });
  }
  TransferPanels panels() const { return data_.empty() ? nullptr : data_.data(); }

 private:
  void fill(const Transfer& transfer, const Shape& shape, const AxisPlan& axis) {
    const int n = shape.n, panel = lane_padding;
    data_.resize(2 * size_t(n) * size_t(shape.padded));
    const auto position = [&](int frequency) { return axis.position_of_pixel[(frequency + n / 2) % n]; };
    const double pixels = double(n) * n;
    for (int r = 0; r < n; ++r)
      for (int c = 0; c < n; ++c) {
        const float* from = transfer.data + 2 * (size_t(r) * size_t(n) + size_t(c));
        const int row = position(r);
        float* to =
            data_.data() + 2 * size_t(row / panel * panel) * size_t(n) + size_t(position(c) * panel_row + row % panel);
        to[0] = float(from[0] / pixels);
        to[panel] = float(from[1] / pixels);
      }
  }
  std::vector<float> data_;
};

// The memory of a Setup, and what it needs.
class SetupTables {
 public:
  explicit SetupTables(const Exposure& exposure)
      : shape_(shape_of(exposure.probe.n)),
        axis_(shape_.n),
        probe_(exposure.probe, shape_),
        between_(exposure.between, shape_, axis_.plan),
        near_(exposure.near, shape_, axis_.plan) {
    const int parts = int(exposure.positions.shape[1]);
    setup = {exposure.object, exposure.boundary, shape_,         &axis_.plan,  probe_.panels,  exposure.modes,
             parts,           between_.panels(), near_.panels(), exposure.bin, exposure.spread};
    const bool image = exposure.bin > 1 || exposure.spread;
    needs = {&axis_.plan, exposure.modes * parts, bool(exposure.weights), image, false};
  }
  Setup setup;
  Needs needs;

 private:
  Shape shape_;
  AxisTables axis_;
  ProbeInPanels probe_;
  TransferInPanels between_, near_;
};

// Patterns that a thread takes at a time: enough pixels to be worth it, few enough to share evenly.
int64_t block_of(int64_t n_pixels) { return n_pixels >= 4096 ? 1 : 1 + 4096 / n_pixels; }

// The patterns in the order in which they are made: band by band of the object, from left to right, so that most of
// what a pattern reads of the object is still in cache. Results do not depend on it.
class Visits {
 public:
  // position(k): [x, y] of pattern k.
  template <class Position>
  Visits(int64_t n_patterns, const Position& position) {
    if (n_patterns < few) return;
    std::vector<std::pair<uint64_t, int64_t>> keys(static_cast<size_t>(n_patterns));
    for (int64_t k = 0; k < n_patterns; ++k) {
      const double* at = position(k);
      keys[size_t(k)] = {pixel(at[1]) / visited_rows << 32 | pixel(at[0]), k};
    }
    std::sort(keys.begin(), keys.end());
    numbers_.reserve(keys.size());
    for (const auto& key : keys) numbers_.push_back(key.second);
  }
  int64_t operator[](int64_t turn) const { return numbers_.empty() ? turn : numbers_[size_t(turn)]; }

 private:
  static constexpr int64_t few = 16;  // patterns that are taken as they come
  static constexpr uint64_t visited_rows = 16;
  // Of a coordinate; those far outside the object are one.
  static uint64_t pixel(double x) {
    constexpr double far = 1 << 30;
    return uint64_t(x > -far ? (x < far ? x + far : 2 * far) : 0);
  }
  std::vector<int64_t> numbers_;
};

// Pattern b of an array.
template <class T>
T* at(const Sink& sink, int64_t b) {
  return static_cast<T*>(sink.data) + b * sink.rows * sink.columns;
}

// Photons of pattern b into the sink. `made` has room for its counts, unless the sink takes them as they are; it may be
// where the rates were before.
template <class T>
void count_into(const Kernels& kernels, const T* rate, const Counting& counting, const Sink& sink, int64_t b,
                uint32_t* made) {
  const int64_t n_pixels = sink.rows * sink.columns;
  const uint64_t number = counting.indices.data[b];
  if constexpr (sizeof(T) == sizeof(float))
    kernels.count(rate, made, uint32_t(n_pixels), counting.seed, number);
  else
    kernels.count_double(rate, made, uint32_t(n_pixels), counting.seed, number);
  if (counting.detector && (is_signal(sink.result) || sink.result == Result::amplitude))
    kernels.respond(made, uint32_t(n_pixels), counting.detector, counting.scale, number, sink.result,
                    at<uint32_t>(sink, b));
  else if (sink.result == Result::amplitude)
    kernels.amplitude(made, n_pixels, counting.scale, at<float>(sink, b));
  else if (sink.result == Result::narrow_counts)
    kernels.narrow(made, n_pixels, at<uint16_t>(sink, b));
  else if (made != at<uint32_t>(sink, b))
    std::memcpy(at<uint32_t>(sink, b), made, sizeof(uint32_t) * size_t(n_pixels));
}

// What a thread needs for a sink. Rates are first written to the result, if it has room for them, and from there
// counted into the field, which is no longer needed by then.
Needs needs_of(const SetupTables& tables, const Sink& sink) {
  Needs needs = tables.needs;
  needs.rate = sink.result == Result::narrow_counts;
  return needs;
}

// Fills the sink: its pattern k is pattern row(k) of the exposure, and k of the counting's indices. Each
// thread has a space.
template <class Row>
void make_frames(const Kernels& kernels, const Exposure& exposure, const Setup& setup, const Counting& counting,
                 const Row& row, const Sink& sink, const std::vector<Workspace>& spaces, int threads) {
  const auto path = [&](int64_t k) { return exposure.positions.data + 2 * row(k) * setup.sub_exposures; };
  const Visits visits(sink.patterns, path);
  const int64_t block = block_of(sink.rows * sink.columns);
  for_each_block(sink.patterns, block, threads, [&](int thread, int64_t first, int64_t last) {
    const Scratch& scratch = spaces[size_t(thread)].scratch;
    for (int64_t turn = first; turn < last; ++turn) {
      const int64_t k = visits[turn], b = row(k);
      float* rate = scratch.rate ? scratch.rate : at<float>(sink, k);
      const float* weights = exposure.weights ? exposure.weights.data + b * setup.probe.planes : nullptr;
      const double factor = counting.factors ? counting.factors.data[b] : 1;
      kernels.expose(setup, path(k), weights, scratch, sink.result, counting.scale, factor, rate);
      if (is_counted(sink.result))
        count_into(kernels, rate, counting, sink, k, reinterpret_cast<uint32_t*>(scratch.field));
    }
  });
}

}  // namespace stages
using namespace stages;

void patches(const Kernels& kernels, const Slice& object, const Array<double, 2>& positions, Boundary boundary, int n,
             int threads, float* out) {
  const Shape shape = shape_of(n);
  const int64_t n_pixels = int64_t(n) * n, n_patterns = positions.shape[0];
  threads = useful_threads(threads, n_patterns);
  const auto spaces = workspaces(threads, shape, Needs());
  for_each_block(n_patterns, block_of(n_pixels), threads, [&](int thread, int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b)
      kernels.patch(object, boundary, positions.data[2 * b], positions.data[2 * b + 1], shape,
                    spaces[size_t(thread)].scratch, out + 2 * b * n_pixels);
  });
}

void frames(const Kernels& kernels, const Exposure& exposure, const Counting& counting, const Sink& sink, int threads) {
  const SetupTables tables(exposure);
  threads = useful_threads(threads, sink.patterns);
  const auto spaces = workspaces(threads, tables.setup.shape, needs_of(tables, sink));
  make_frames(kernels, exposure, tables.setup, counting, [](int64_t k) { return k; }, sink, spaces, threads);
}

class Series::Prepared {
 public:
  Prepared(const Exposure& exposure, const Counting& counting)
      : exposure_(exposure), counting_(counting), tables_(exposure) {}
  ~Prepared() { delete kept_.load(); }

  void frames(const Kernels& kernels, const int64_t* chosen, const uint64_t* numbers, const Sink& sink,
              int threads) const {
    if (sink.patterns == 0) return;
    Counting counting = counting_;
    counting.indices = {numbers, {sink.patterns}};
    threads = useful_threads(threads, sink.patterns);
    const Needs needs = needs_of(tables_, sink);
    auto spaces = needs.rate ? nullptr : std::unique_ptr<Spaces>(kept_.exchange(nullptr));
    if (!spaces || spaces->size() < size_t(threads))
      spaces = std::make_unique<Spaces>(workspaces(threads, tables_.setup.shape, needs));
    make_frames(
        kernels, exposure_, tables_.setup, counting, [&](int64_t k) { return chosen[k]; }, sink, *spaces, threads);
    if (!needs.rate && spaces->size() * spaces->front().size <= most_kept)
      spaces.reset(kept_.exchange(spaces.release()));
  }

 private:
  using Spaces = std::vector<Workspace>;
  static constexpr size_t most_kept = size_t(1) << 22;  // bytes; more is small work beside the patterns that need it
  const Exposure exposure_;
  const Counting counting_;
  const SetupTables tables_;
  mutable std::atomic<Spaces*> kept_{nullptr};  // of the call that ended last; one call at a time takes it
};

Series::Series(const Exposure& exposure, const Counting& counting)
    : prepared_(std::make_unique<Prepared>(exposure, counting)) {}

Series::~Series() = default;

void Series::frames(const Kernels& kernels, const int64_t* chosen, const uint64_t* numbers, const Sink& sink,
                    int threads) const {
  prepared_->frames(kernels, chosen, numbers, sink, threads);
}

template <class T>
void photons(const Kernels& kernels, const T* rates, const Counting& counting, const Sink& sink, int threads) {
  const int64_t n_pixels = sink.rows * sink.columns;
  threads = useful_threads(threads, sink.patterns);
  const bool direct = sink.result == Result::counts;
  std::vector<std::vector<uint32_t>> made(size_t(direct ? 0 : threads));
  for (auto& one : made) one.resize(size_t(n_pixels));
  for_each_block(sink.patterns, block_of(n_pixels), threads, [&](int thread, int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b)
      count_into(kernels, rates + b * n_pixels, counting, sink, b,
                 direct ? at<uint32_t>(sink, b) : made[size_t(thread)].data());
  });
}

template void photons(const Kernels&, const float*, const Counting&, const Sink&, int);
template void photons(const Kernels&, const double*, const Counting&, const Sink&, int);

}  // namespace pf
