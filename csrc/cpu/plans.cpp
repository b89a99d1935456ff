#include "plans.h"

#include "../fft.h"

namespace pf {
namespace {

struct Rotation {
  double re, im;
};

// exp(-2 pi i t / n), reduced to the first octant by integers, then by Taylor series (error below 1e-16 there).
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

// The radices of the passes, or none where n has a prime factor above 5. Large ones first: fewer passes.
std::vector<int> radices(int n) {
  std::vector<int> result;
  int twos = 0;
  while (n % 2 == 0) n /= 2, ++twos;
  while (twos >= 5 || twos == 3) result.push_back(8), twos -= 3;
  while (twos >= 2) result.push_back(4), twos -= 2;
  if (twos == 1) result.push_back(2);
  while (n % 5 == 0) result.push_back(5), n /= 5;
  while (n % 3 == 0) result.push_back(3), n /= 3;
  return n == 1 ? result : std::vector<int>();
}

int power_of_two_from(int n) {
  int power = 1;
  while (power < n) power *= 2;
  return power;
}

}  // namespace

template <class T>
FftTables<T>::FftTables(int n) : plan{}, twiddle(2 * size_t(n)), at(size_t(n)) {
  const std::vector<int> passes = radices(n);
  plan.n = n;
  int span = n;
  for (const int radix : passes) {
    span /= radix;
    plan.radix[plan.n_passes] = radix;
    plan.span[plan.n_passes++] = span;
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
  plan.n = n;
  plan.mixed_radix = !radices(n).empty();
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
