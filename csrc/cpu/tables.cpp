#include "tables.h"

#include <climits>

#include "../fft.h"
#include "float_control.h"

namespace pf {
namespace {

struct Rotation {
  double re, im;
};

// exp(-2 pi i t / n): the angle is reduced to the first octant in integers; there a Taylor series has an error below
// 1e-16.
Rotation rotation(int64_t t, int64_t n) {
  t %= n;
  const int64_t octant = 8 * t / n;
  int64_t numerator = 8 * t - octant * n;  // angle = 2 pi * (octant + numerator / n) / 8
  if (octant % 2) numerator = n - numerator;
  const double angle = 0.78539816339744830962 * (double(numerator) / double(n)), square = angle * angle;
  double cosine = 1, sine = 1;
  for (int k = 20; k > 0; k -= 2) {
    cosine = 1 - square * cosine / double(k * (k - 1));
    sine = 1 - square * sine / double(k * (k + 1));
  }
  sine *= angle;
  const bool swapped = octant % 4 == 1 || octant % 4 == 2;
  const double c = swapped ? sine : cosine, s = swapped ? cosine : sine;
  const bool left = octant >= 2 && octant < 6, below = octant >= 4;
  return {left ? -c : c, below ? s : -s};
}

// What a pass costs for each element, by its radix, as measured with lanes of eight numbers.
constexpr int price[] = {0, 0, 11, 13, 14, 21, 0, 28, 21, 0, 0, 44, 0, 51};

// The cheapest length of the convolution for a line of length n.
int chirp_length(int n) {
  const int shortest = 2 * n - 1;
  int best = 0;
  for (int m = shortest, least = INT_MAX; m < 2 * shortest; ++m) {
    const Radices passes = radices_of(m);
    int cost = 0;
    for (int p = 0; p < passes.count; ++p) cost += m * price[passes.radix[p]];
    if (cost > 0 && cost < least) best = m, least = cost;
  }
  return best;
}

}  // namespace

template <class T>
FftTables<T>::FftTables(int n) : plan{}, twiddle(2 * size_t(n)), at(size_t(n)) {
  const Radices passes = radices_of(n);
  plan.n = n;
  plan.n_passes = passes.count;
  int span = n;
  for (int p = 0; p < passes.count; ++p) {
    span /= passes.radix[p];
    plan.radix[p] = passes.radix[p];
    plan.span[p] = span;
  }
  for (int k = 0; k < n; ++k) {
    int rest = k, position = 0;
    for (int p = 0; p < plan.n_passes; ++p) {
      position += rest % plan.radix[p] * plan.span[p];
      rest /= plan.radix[p];
    }
    at[size_t(k)] = position;
    const Rotation w = rotation(k, n);
    twiddle[2 * size_t(k)] = T(w.re);
    twiddle[2 * size_t(k) + 1] = T(w.im);
  }
  plan.twiddle = twiddle.data();
  plan.at = at.data();
}

template struct FftTables<float>;
template struct FftTables<double>;

AxisTables::AxisTables(int n) : plan{}, position_of_pixel_(size_t(n)), pixel_of_position_(size_t(n)) {
  with_default_float_control([&] { fill(n); });
}

void AxisTables::fill(int n) {
  plan.n = n;
  const bool mixed_radix = radices_of(n).count > 0;
  fft_ = std::make_unique<FftTables<float>>(mixed_radix ? n : chirp_length(n));
  plan.fft = fft_->plan;
  if (!mixed_radix) fill_chirp(n);
  for (int k = 0; k < n; ++k) {
    const int position = mixed_radix ? plan.fft.at[k] : k, pixel = (k + n / 2) % n;
    position_of_pixel_[size_t(pixel)] = position;
    pixel_of_position_[size_t(position)] = pixel;
  }
  plan.position_of_pixel = position_of_pixel_.data();
  plan.pixel_of_position = pixel_of_position_.data();
}

void AxisTables::fill_chirp(int n) {
  const int m = plan.fft.n;
  const FftTables<double> tables(m);
  chirp_.resize(2 * size_t(n));
  filter_.resize(2 * size_t(m));
  std::vector<double> re(static_cast<size_t>(m)), im(static_cast<size_t>(m));
  for (int t = 0; t < n; ++t) {
    const Rotation w = rotation(int64_t(t) * t % (2 * n), 2 * n);
    chirp_[2 * size_t(t)] = float(w.re);
    chirp_[2 * size_t(t) + 1] = float(w.im);
    re[size_t(t)] = re[size_t((m - t) % m)] = w.re / m;
    im[size_t(t)] = im[size_t((m - t) % m)] = -w.im / m;
  }
  fft_line<double, 1, 1>(tables.plan, re.data(), im.data(), 1, Keep<double, 1>{re.data(), im.data()});
  for (size_t at = 0; at < size_t(m); ++at) {
    filter_[2 * at] = float(re[at]);
    filter_[2 * at + 1] = float(im[at]);
  }
  plan.chirp = chirp_.data();
  plan.filter = filter_.data();
}

}  // namespace pf
