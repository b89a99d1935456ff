// NumPy array -> pointer. The one place that looks at dtype, rank and contiguity: wrong input raises, nothing is
// copied.
#pragma once
#include <pybind11/numpy.h>

#include <complex>
#include <initializer_list>
#include <string>

namespace pf {
namespace py = pybind11;

// Lengths of -1 in `shape` match anything.
template <class T>
void check_array(const py::array& array, const char* name, std::initializer_list<int64_t> shape) {
  if (!py::isinstance<py::array_t<T>>(array))
    throw py::type_error(std::string(name) + ": dtype " + std::string(py::str(array.dtype())) + " given, expected " +
                         std::string(py::str(py::dtype::of<T>())));
  bool fits = array.ndim() == int64_t(shape.size());
  if (fits) {
    py::ssize_t axis = 0;
    for (const int64_t length : shape) {
      fits = fits && (length < 0 || array.shape(axis) == length);
      ++axis;
    }
  }
  if (!fits) {
    std::string expected;
    for (const int64_t length : shape)
      expected += (expected.empty() ? "" : ", ") + (length < 0 ? std::string("any") : std::to_string(length));
    throw py::value_error(std::string(name) + ": shape " + std::string(py::str(array.attr("shape"))) +
                          " given, expected (" + expected + ")");
  }
  if (!(array.flags() & py::array::c_style))
    throw py::value_error(std::string(name) + ": expected a C-contiguous array");
}

template <class T>
const T* input(const py::array& array, const char* name, std::initializer_list<int64_t> shape) {
  check_array<T>(array, name, shape);
  return static_cast<const T*>(array.data());
}

template <class T>
T* output(py::array& array, const char* name, std::initializer_list<int64_t> shape) {
  check_array<T>(array, name, shape);
  if (!array.writeable()) throw py::value_error(std::string(name) + ": expected a writeable array");
  return static_cast<T*>(array.mutable_data());
}

// NumPy's complex64 is a pair of floats.
inline const float* complex_input(const py::array& array, const char* name, std::initializer_list<int64_t> shape) {
  return reinterpret_cast<const float*>(input<std::complex<float>>(array, name, shape));
}

}  // namespace pf
