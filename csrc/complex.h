// Complex numbers of lanes. The products are written out, so that every compiler does the same operations.
#pragma once
#include "portable.h"

namespace pf {
inline namespace PF_ISA {

template <class V>
struct Complex {
  V re, im;
};

template <class V>
PF_HD Complex<V> operator+(Complex<V> a, Complex<V> b) {
  return {a.re + b.re, a.im + b.im};
}
template <class V>
PF_HD Complex<V> operator-(Complex<V> a, Complex<V> b) {
  return {a.re - b.re, a.im - b.im};
}
template <class V>
PF_HD V squared_modulus(Complex<V> a) {
  return a.re * a.re + a.im * a.im;
}
template <class V, class T>
PF_HD Complex<V> times(Complex<V> a, T re, T im) {
  return {a.re * re - a.im * im, a.re * im + a.im * re};
}
template <class V>
PF_HD Complex<V> times_minus_i(Complex<V> a) {
  return {a.im, -a.re};
}

}  // namespace PF_ISA
}  // namespace pf
