// Bin and spread on a CPU (../image.h), a row at a time. Planes are (rows, columns) without gaps; a whole lane may be
// read beyond the end of a row, so planes have room for one lane behind them.
#pragma once
#include "../image.h"
#include "../lane_shuffle.h"
#include "layout.h"

namespace pf {
inline namespace PF_ISA {

// Repeats the last `beyond` rows of a plane before the first one, and the first ones behind the last: it is periodic.
inline void repeat_rows(float* image, int rows, int columns, int beyond) {
  const ptrdiff_t all = ptrdiff_t(rows) * columns, repeated = ptrdiff_t(beyond) * columns;
  memcpy(image - repeated, image + all - repeated, sizeof(float) * size_t(repeated));
  memcpy(image + all, image, sizeof(float) * size_t(repeated));
}

// A row; at(c) is a lane of it from column c on.
template <int W, class At>
inline void write_row(int columns, float* out, const At& at) {
  constexpr int together = 4;
  int c = 0;
  for (; c + together * W <= columns; c += together * W) {
    lane<float, W> made[together];
    PF_UNROLL
    for (int i = 0; i < together; ++i) made[i] = at(c + i * W);
    PF_UNROLL
    for (int i = 0; i < together; ++i) store<float, W>(out + c + i * W, made[i]);
  }
  for (; c < columns; c += W) store_first<W>(out + c, at(c), columns - c);
}

// (n, n), with repeated rows, -> (N, n).
template <int W>
inline void bin_rows(const float* image, int n, int q, int row, float* out) {
  const float* from = image + ptrdiff_t(first_binned(n, q) + row * q) * n;
  write_row<W>(n, out + ptrdiff_t(row) * n,
               [&](int c) { return binned(q, [&](int t) { return load<float, W>(from + ptrdiff_t(t) * n + c); }); });
}

// (N, n) -> (N, N), times a factor.
template <class Bin>
inline void bin_columns(const float* image, int n, Bin q, int row, float* line, float factor, float* out) {
  const int first = wrapped(first_binned(n, q), n), side = n / q;
  const float* from = image + ptrdiff_t(row) * n;
  memcpy(line, from + first, sizeof(float) * size_t(n - first));
  memcpy(line + n - first, from, sizeof(float) * size_t(first));
  line[n] = line[0];
  for (int c = 0; c < side; ++c)
    out[ptrdiff_t(row) * side + c] = binned(q, [&](int t) { return line[c * q + t]; }) * factor;
}
inline void bin_columns(const float* image, int n, int q, int row, float* line, float factor, float* out) {
  switch (q) {
    case 2: return bin_columns(image, n, Known<2>(), row, line, factor, out);
    case 3: return bin_columns(image, n, Known<3>(), row, line, factor, out);
    case 4: return bin_columns(image, n, Known<4>(), row, line, factor, out);
  }
  bin_columns<int>(image, n, q, row, line, factor, out);
}

// Half of a symmetric kernel of a length that the compiler knows: it unrolls the sum, and no store can change it.
template <int length>
struct Half {
  float at[length];
  explicit Half(const float* half) { memcpy(at, half, sizeof at); }
  float operator[](int t) const { return at[t]; }
};

// work(half, length) for a kernel; the usual lengths are known to the compiler.
template <class Work>
inline void with_half(const float* half, int length, const Work& work) {
  switch (length) {
    case 4: return work(Half<4>(half), Known<4>());
    case 5: return work(Half<5>(half), Known<5>());
    case 6: return work(Half<6>(half), Known<6>());
    case 7: return work(Half<7>(half), Known<7>());
    case 8: return work(Half<8>(half), Known<8>());
  }
  work(half, length);
}

// Rows that are blurred together: along the row index first, all of them, so that what was stored then is in the cache
// when it is read with other offsets.
constexpr int rows_together = 8;

// Floats from one line of `spread_rows` to the next.
inline int spread_stride(int n, int beyond) {
  return (n + 2 * beyond + 2 * lane_padding - 1) / lane_padding * lane_padding;
}

// Some rows of the blurred plane, from `first` on, times a factor, from (n, n) with repeated rows. `lines` holds them
// while they are blurred along the row index only.
template <int W>
inline void spread_rows(const float* image, int n, const float* half, int length, int first, float* lines, float factor,
                        float* out) {
  const int beyond = length - 1, stride = spread_stride(n, beyond),
            last = n - first < rows_together ? n : first + rows_together;
  with_half(half, length, [&](const auto& known, auto terms) {
#ifndef NOV
    for (int row = first; row < last; ++row) {
      const float* from = image + ptrdiff_t(row) * n;
      float *line = lines + (row - first) * stride, *middle = line + beyond;
      write_row<W>(n, middle, [=](int c) {
        return blurred(known, terms, [=](int t) { return load<float, W>(from + ptrdiff_t(t) * n + c); });
      });
      memcpy(line, line + n, sizeof(float) * size_t(beyond));
      memcpy(middle + n, middle, sizeof(float) * size_t(beyond));
    }
#endif
#ifndef NOH
    for (int row = first; row < last; ++row) {
      const float* middle = lines + (row - first) * stride + beyond;
      write_row<W>(n, out + ptrdiff_t(row) * n, [=](int c) {
        return blurred(known, terms, [=](int t) { return load<float, W>(middle + c + t); }) * factor;
      });
    }
#endif
  });
}

}  // namespace PF_ISA
}  // namespace pf
