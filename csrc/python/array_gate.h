// Python objects -> the records of model.h. This is the only place that looks at the type, shape, order and alignment
// of an array: a wrong one raises, nothing is copied. Messages are `argument: what was given, what was expected`.
#pragma once
#include <pybind11/numpy.h>

#include <cmath>
#include <complex>
#include <initializer_list>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "../model.h"

namespace pf {
namespace py = pybind11;

// Lengths of `any` in an expected shape match every length.
constexpr int64_t any = -1;

inline std::string text_of(const py::handle& value) { return std::string(py::str(value)); }

inline void check_range(const char* name, int64_t value, int64_t smallest, int64_t largest) {
  if (value < smallest || value > largest)
    throw py::value_error(std::string(name) + ": " + std::to_string(value) + " given, expected " +
                          std::to_string(smallest) + " to " + std::to_string(largest));
}

inline py::array as_array(const py::handle& value, const char* name) {
  if (!py::isinstance<py::array>(value))
    throw py::type_error(std::string(name) + ": " + text_of(py::type::of(value).attr("__name__")) +
                         " given, expected a NumPy array");
  return py::reinterpret_borrow<py::array>(value);
}

template <class T>
void check_array(const py::array& array, const char* name, std::initializer_list<int64_t> shape) {
  if (!py::isinstance<py::array_t<T>>(array))
    throw py::type_error(std::string(name) + ": dtype " + text_of(array.dtype()) + " given, expected " +
                         text_of(py::dtype::of<T>()));
  bool fits = array.ndim() == int64_t(shape.size());
  if (fits) {
    py::ssize_t axis = 0;
    for (const int64_t length : shape) {
      fits = fits && (length == any || array.shape(axis) == length);
      ++axis;
    }
  }
  if (!fits) {
    std::string expected;
    for (const int64_t length : shape)
      expected += (expected.empty() ? "" : ", ") + (length == any ? std::string("any") : std::to_string(length));
    throw py::value_error(std::string(name) + ": shape " + text_of(array.attr("shape")) + " given, expected (" +
                          expected + (shape.size() == 1 ? ",)" : ")"));
  }
  if (!(array.flags() & py::array::c_style))
    throw py::value_error(std::string(name) + ": another memory order given, expected a C-contiguous array");
  // NumPy aligns complex numbers like their parts.
  constexpr size_t alignment = std::is_same_v<T, std::complex<float>> ? alignof(float) : alignof(T);
  if (reinterpret_cast<uintptr_t>(array.data()) % alignment != 0)
    throw py::value_error(std::string(name) + ": data at an unaligned address given, expected a multiple of " +
                          std::to_string(alignment) + " bytes");
}

template <class T>
const T* input(const py::array& array, const char* name, std::initializer_list<int64_t> shape) {
  check_array<T>(array, name, shape);
  return static_cast<const T*>(array.data());
}

template <class T>
T* output(py::array& array, const char* name, std::initializer_list<int64_t> shape) {
  check_array<T>(array, name, shape);
  if (!array.writeable())
    throw py::value_error(std::string(name) + ": read-only array given, expected a writeable one");
  return static_cast<T*>(array.mutable_data());
}

// NumPy's complex64 is a pair of floats.
inline const float* complex_input(const py::array& array, const char* name, std::initializer_list<int64_t> shape) {
  return reinterpret_cast<const float*>(input<std::complex<float>>(array, name, shape));
}

inline int side(int64_t n) {
  check_range("N", n, smallest_n, largest_n);
  return int(n);
}

// --- fields of a record, by their C++ type ---

inline void read(const py::handle& value, const char* name, Object& object) {
  const py::array array = as_array(value, name);
  object.data = complex_input(array, name, {any, any, any});
  object.slices = array.shape(0);
  object.rows = array.shape(1);
  object.columns = array.shape(2);
  if (array.size() == 0)
    throw py::value_error(std::string(name) + ": shape " + text_of(array.attr("shape")) +
                          " given, expected at least one pixel");
}

inline void read(const py::handle& value, const char* name, Probe& probe) {
  const py::array array = as_array(value, name);
  const int64_t n = array.ndim() == 3 ? array.shape(2) : any;
  probe.data = complex_input(array, name, {any, n, n});
  probe.n = side(n);
  check_range("probe: modes", array.shape(0), 1, most_modes);
  probe.planes = int(array.shape(0));
}

inline void read(const py::handle& value, const char* name, Transfer& transfer) {
  transfer = {};
  if (value.is_none()) return;
  const py::array array = as_array(value, name);
  const int64_t n = array.ndim() == 2 ? array.shape(1) : any;
  transfer.data = complex_input(array, name, {n, n});
  transfer.n = side(n);
}

template <class T, int rank>
void read(const py::handle& value, const char* name, Array<T, rank>& field) {
  const py::array array = as_array(value, name);
  if constexpr (rank == 1)
    field.data = input<T>(array, name, {any});
  else if constexpr (rank == 2)
    field.data = input<T>(array, name, {any, any});
  else
    field.data = input<T>(array, name, {any, any, any});
  for (int axis = 0; axis < rank; ++axis) field.shape[axis] = array.shape(axis);
}

template <class T, int rank>
void read(const py::handle& value, const char* name, Optional<T, rank>& field) {
  field = {};
  if (!value.is_none()) read(value, name, static_cast<Array<T, rank>&>(field));
}

inline void read(const py::handle& value, const char* name, Boundary& boundary) {
  for (const Boundary one : {Boundary::zero, Boundary::vacuum, Boundary::edge})
    if (text_of(value) == boundary_names[int(one)]) {
      boundary = one;
      return;
    }
  throw py::value_error(std::string(name) + ": " + text_of(py::repr(value)) + " given, expected zero, vacuum or edge");
}

// None is 0.
inline void read(const py::handle& value, const char* name, int& field) {
  try {
    field = value.is_none() ? 0 : py::cast<int>(value);
  } catch (const py::cast_error&) {
    throw py::type_error(std::string(name) + ": " + text_of(py::repr(value)) + " given, expected an integer");
  }
}

inline void read(const py::handle& value, const char* name, double& field) {
  try {
    field = py::cast<double>(value);
  } catch (const py::cast_error&) {
    throw py::type_error(std::string(name) + ": " + text_of(py::repr(value)) + " given, expected a number");
  }
  if (!std::isfinite(field))
    throw py::value_error(std::string(name) + ": " + text_of(py::repr(value)) + " given, expected a finite number");
}

inline void read(const py::handle& value, const char* name, bool& field) {
  try {
    field = py::cast<bool>(value);
  } catch (const py::cast_error&) {
    throw py::type_error(std::string(name) + ": " + text_of(py::repr(value)) + " given, expected true or false");
  }
}

inline void read(const py::handle& value, const char* name, uint64_t& field) {
  try {
    field = py::cast<uint64_t>(value);
  } catch (const py::cast_error&) {
    throw py::value_error(std::string(name) + ": " + text_of(py::repr(value)) +
                          " given, expected an integer from 0 to 2**64 - 1");
  }
}

// The values of fields, for records that outlive the call: they hold the arrays.
using Values = std::vector<py::object>;

// A record from the attributes of a Python object.
template <class Record>
Record record(const py::handle& given, Values* values = nullptr);

inline void read(const py::handle& value, Response& response, Values* values) {
  response = value.is_none() ? Response{} : record<Response>(value, values);
  if (!value.is_none() && !(response.gain > 0))
    throw py::value_error("gain: " + text_of(py::repr(value.attr("gain"))) + " given, expected a number > 0");
}

template <class Record>
Record record(const py::handle& given, Values* values) {
  Record result{};
  result.fields([&](const char* name, auto& field) {
    py::object value = given.attr(name);
    if constexpr (std::is_same_v<decltype(field), Response&>)
      read(value, field, values);
    else
      read(value, name, field);
    if (values) values->push_back(std::move(value));
  });
  return result;
}

inline void check_length(const char* name, int64_t length, int64_t expected) {
  if (length != expected)
    throw py::value_error(std::string(name) + ": shape (" + std::to_string(length) + ",) given, expected (" +
                          std::to_string(expected) + ",)");
}

inline Exposure exposure_of(const py::handle& given, Values* values = nullptr) {
  Exposure exposure = record<Exposure>(given, values);
  const int n = exposure.probe.n, planes = exposure.probe.planes;
  const auto& positions = exposure.positions;
  const auto& weights = exposure.weights;
  if (positions.shape[2] != 2)
    throw py::value_error("positions: " + std::to_string(positions.shape[2]) + " columns given, expected 2: [x, y]");
  check_range("positions: sub-exposures", positions.shape[1], 1, most_sub_exposures);
  if (exposure.modes == 0) exposure.modes = planes;
  check_range("modes", exposure.modes, 1, planes);
  if (weights) {
    check_length("weights", weights.shape[0], positions.shape[0]);
    check_range("weights: columns", weights.shape[1], planes, planes);
  } else if (exposure.modes < planes) {
    throw py::value_error("weights: None given, expected those of the eigenprobes");
  }
  if (exposure.object.slices > 1 && !exposure.between.data)
    throw py::value_error("between: None given, expected a transfer function from slice to slice");
  if (exposure.between.data) check_range("between: side", exposure.between.n, n, n);
  if (exposure.near.data) check_range("near: side", exposure.near.n, n, n);
  check_range("bin", exposure.bin, 1, n);
  if (n % exposure.bin)
    throw py::value_error("bin: " + std::to_string(exposure.bin) + " given, expected a divisor of " +
                          std::to_string(n));
  if (exposure.spread) check_range("spread: length", exposure.spread.shape[0], 1, (n / exposure.bin + 1) / 2);
  return exposure;
}

// `scale` must be positive where the result depends on it. Factors are those of so many patterns; there must be as many
// indices, or none where each call has its own.
inline Counting counting_of(const py::handle& given, int64_t patterns, int64_t indices, Values* values = nullptr) {
  const Counting counting = record<Counting>(given, values);
  if (!(counting.scale > 0))
    throw py::value_error("scale: " + text_of(py::repr(given.attr("scale"))) + " given, expected a number > 0");
  check_length("indices", counting.indices.shape[0], indices);
  if (counting.factors) check_length("factors", counting.factors.shape[0], patterns);
  return counting;
}

// The sink's array must be (patterns, rows, columns) of the type that its kind has.
inline Sink sink_of(const py::handle& given, int64_t patterns, int64_t rows, int64_t columns) {
  const std::string kind = py::cast<std::string>(given.attr("kind"));
  py::array array = as_array(given.attr("array"), "array");
  const auto to = [&](Result result, auto type) {
    return Sink{output<decltype(type)>(array, "array", {patterns, rows, columns}), result, patterns, rows, columns};
  };
  if (kind == "counts")
    return py::isinstance<py::array_t<uint16_t>>(array) ? to(Result::narrow_counts, uint16_t())
                                                        : to(Result::counts, uint32_t());
  if (kind == "signal") {
    if (py::isinstance<py::array_t<float>>(array)) return to(Result::float_signal, float());
    return py::isinstance<py::array_t<int32_t>>(array) ? to(Result::signed_signal, int32_t())
                                                       : to(Result::signal, uint32_t());
  }
  for (const Result result : {Result::intensity, Result::expected, Result::amplitude})
    if (kind == result_names[int(result)]) return to(result, float());
  throw py::value_error("kind: " + text_of(py::repr(py::str(kind))) +
                        " given, expected intensity, expected, counts, amplitude or signal");
}

// A detector must have the pixels of the sink, and there must be one for its signals.
inline void check_detector(const Response& detector, const Sink& sink) {
  if (is_signal(sink.result) && !detector) throw py::value_error("detector: None given, expected one for its signals");
  if (!detector.pixels) return;
  check_range("pixels: rows", detector.pixels.shape[0], sink.rows, sink.rows);
  check_range("pixels: columns", detector.pixels.shape[1], sink.columns, sink.columns);
}

}  // namespace pf
