#include "tables.h"

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

int power_of_two_from(int n) {
  int power = 1;
  while (power < n) power *= 2;
  return power;
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
  plan.mixed_radix = radices_of(n).count > 0;
  if (plan.mixed_radix) {
    fft_ = std::make_unique<FftTables<float>>(n);
    plan.fft = fft_->plan;
  } else {
    const int m = power_of_two_from(2 * n - 1);
    chirp_fft_ = std::make_unique<FftTables<double>>(m);
    chirp_.resize(2 * size_t(n));
    filter_.resize(2 * size_t(m));
    std::vector<double> re(static_cast<size_t>(m)), im(static_cast<size_t>(m));
    for (int t = 0; t < n; ++t) {
      const Rotation w = rotation(int64_t(t) * t % (2 * n), 2 * n);
      chirp_[2 * size_t(t)] = w.re;
      chirp_[2 * size_t(t) + 1] = w.im;
      re[size_t(t)] = re[size_t((m - t) % m)] = w.re / m;
      im[size_t(t)] = im[size_t((m - t) % m)] = -w.im / m;
    }
    fft_line<double, 1, 1>(chirp_fft_->plan, re.data(), im.data(), 1, Keep<double, 1>{re.data(), im.data()});
    for (int k = 0; k < m; ++k) {
      const size_t at = size_t(chirp_fft_->at[size_t(k)]);
      filter_[2 * size_t(k)] = re[at];
      filter_[2 * size_t(k) + 1] = im[at];
    }
    plan.chirp = {chirp_fft_->plan, chirp_.data(), filter_.data()};
  }
  for (int k = 0; k < n; ++k) {
    const int position = plan.mixed_radix ? plan.fft.at[k] : k, pixel = (k + n / 2) % n;
    position_of_pixel_[size_t(pixel)] = position;
    pixel_of_position_[size_t(position)] = pixel;
  }
  plan.position_of_pixel = position_of_pixel_.data();
  plan.pixel_of_position = pixel_of_position_.data();
}

}  // namespace pf
