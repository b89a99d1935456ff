// The extension module: records in, interpreter lock released, kernels called. Conversions, defaults and messages for
// users are Python's.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <string_view>

#include "../cpu/dispatch.h"
#include "../cpu/stages.h"
#include "../cpu/tables.h"
#include "../cuda/launch.h"
#include "array_gate.h"
#include "result_memory.h"

namespace py = pybind11;

namespace {

constexpr int most_threads = 4096;

void check_threads(int threads) { pf::check_range("threads", threads, 1, most_threads); }

// Calls work() without the interpreter's lock. A daemon thread that comes back while the interpreter ends is ended by
// Python, before 3.14 by unwinding its stack, which terminates the process at a destructor: it stays here instead.
template <class Work>
void without_python(const Work& work) {
  PyThreadState* const state = PyEval_SaveThread();
  std::exception_ptr error;
  try {
    work();
  } catch (...) {
    error = std::current_exception();
  }
  try {
    PyEval_RestoreThread(state);
  } catch (...) {
    for (;;) pause();
  }
  if (error) std::rethrow_exception(error);
}

void patches(const py::object& object, const py::object& positions, const py::object& boundary, py::array out,
             int threads, const std::string& isa) {
  const pf::Kernels& kernels = pf::choose_kernels(isa);
  check_threads(threads);
  pf::Object from{};
  pf::Array<double, 2> at{};
  pf::read(object, "object", from);
  pf::read(positions, "positions", at);
  pf::Boundary beyond{};
  pf::read(boundary, "boundary", beyond);
  if (at.shape[1] != 2) pf::check_range("positions: columns", at.shape[1], 2, 2);
  const int64_t n = out.ndim() == 3 ? out.shape(2) : pf::any;
  float* to = reinterpret_cast<float*>(pf::output<std::complex<float>>(out, "out", {at.shape[0], n, n}));
  const int side = pf::side(n);
  without_python([&] { pf::patches(kernels, from.slice(0), at, beyond, side, threads, to); });
}

void frames(const py::object& exposure, const py::object& counting, const py::object& sink, int threads,
            const std::string& isa) {
  const pf::Kernels& kernels = pf::choose_kernels(isa);
  check_threads(threads);
  const pf::Exposure from = pf::exposure_of(exposure);
  const int64_t patterns = from.positions.shape[0];
  const int side = from.probe.n / from.bin;
  const pf::Sink to = pf::sink_of(sink, patterns, side, side);
  if (counting.is_none() && to.result != pf::Result::intensity)
    throw py::value_error("counting: None given, expected a scale, a seed and indices, unless intensities are made");
  const pf::Counting how = counting.is_none() ? pf::Counting{} : pf::counting_of(counting, patterns, patterns);
  pf::check_detector(how.detector, to);
  without_python([&] { pf::frames(kernels, from, how, to, threads); });
}

// pf::Series, the arrays that it reads, and the checks of each call.
class Series {
 public:
  Series(const py::object& exposure, const py::object& counting, const std::string& isa)
      : kernels_(pf::choose_kernels(isa)),
        exposure_(pf::exposure_of(exposure, &values_)),
        counting_(pf::counting_of(counting, exposure_.positions.shape[0], 0, &values_)),
        series_(exposure_, counting_) {}

  void operator()(const py::array& chosen, const py::array& numbers, const py::object& sink, int threads) const {
    check_threads(threads);
    const int64_t* from = pf::input<int64_t>(chosen, "chosen", {pf::any});
    const int64_t patterns = chosen.shape(0), last = exposure_.positions.shape[0] - 1;
    // A copy: another thread may write to the array while patterns are made.
    const std::vector<int64_t> rows(from, from + patterns);
    for (const int64_t row : rows) pf::check_range("chosen", row, 0, last);
    const uint64_t* number = pf::input<uint64_t>(numbers, "numbers", {patterns});
    const int side = exposure_.probe.n / exposure_.bin;
    const pf::Sink to = pf::sink_of(sink, patterns, side, side);
    pf::check_detector(counting_.detector, to);
    without_python([&] { series_.frames(kernels_, rows.data(), number, to, threads); });
  }

 private:
  pf::Values values_;
  const pf::Kernels& kernels_;
  const pf::Exposure exposure_;
  const pf::Counting counting_;
  const pf::Series series_;
};

// Not a class of Python's: one that is made by __new__ alone would have nothing in it.
py::cpp_function series(const py::object& exposure, const py::object& counting, const std::string& isa) {
  return py::cpp_function(
      [series = std::make_shared<const Series>(exposure, counting, isa)](
          const py::array& chosen, const py::array& numbers, const py::object& sink, int threads) {
        (*series)(chosen, numbers, sink, threads);
      },
      py::name("series"),
      "Make the patterns `chosen` (n,) int64 of the scan, with the photons of the `numbers` (n,) uint64.",
      py::arg("chosen"), py::arg("numbers"), py::arg("sink"), py::arg("threads"));
}

template <class T>
void photons_of(const pf::Kernels& kernels, const py::array& rates, const py::object& counting, const py::object& sink,
                int threads) {
  const T* rate = pf::input<T>(rates, "rates", {pf::any, pf::any, pf::any});
  const int64_t patterns = rates.shape(0), rows = rates.shape(1), columns = rates.shape(2);
  if (rows == 0 || columns == 0 || rows > pf::most_pixels / columns)
    throw py::value_error("rates: patterns of " + std::to_string(rows) + " x " + std::to_string(columns) +
                          " pixels given, expected 1 to 2**32 - 2**16 pixels");
  const pf::Sink to = pf::sink_of(sink, patterns, rows, columns);
  if (!pf::is_counted(to.result))
    throw py::value_error(std::string("kind: '") + pf::result_names[int(to.result)] +
                          "' given, expected counts, amplitude or signal");
  const pf::Counting how = pf::counting_of(counting, patterns, patterns);
  pf::check_detector(how.detector, to);
  without_python([&] { pf::photons<T>(kernels, rate, how, to, threads); });
}

void photons(const py::array& rates, const py::object& counting, const py::object& sink, int threads,
             const std::string& isa) {
  const pf::Kernels& kernels = pf::choose_kernels(isa);
  check_threads(threads);
  if (py::isinstance<py::array_t<double>>(rates))
    photons_of<double>(kernels, rates, counting, sink, threads);
  else
    photons_of<float>(kernels, rates, counting, sink, threads);
}

std::vector<std::string> names_of(const std::vector<const pf::Kernels*>& all) {
  std::vector<std::string> names;
  for (const pf::Kernels* kernels : all) names.push_back(kernels->isa);
  return names;
}

py::dict build_facts() {
  py::dict facts;
  facts["version"] = PF_VERSION;
  facts["compiler"] = PF_COMPILER;
  facts["flags"] = PF_FLAGS;
  facts["build_type"] = PF_BUILD_TYPE;
  facts["interface"] = PF_INTERFACE;
  facts["instruction_sets"] = names_of(pf::built_kernels());
  return facts;
}

// An array for a result, whose memory comes back to ResultMemory when the last array that shows it ends.
py::array memory(const std::vector<py::ssize_t>& shape, const py::dtype& dtype) {
  if (std::string_view("biufc").find(dtype.kind()) == std::string_view::npos)
    throw py::type_error("dtype: " + pf::text_of(dtype) + " given, expected one of numbers");
  size_t bytes = size_t(dtype.itemsize());
  for (const py::ssize_t length : shape)
    if (length < 0 || __builtin_mul_overflow(bytes, size_t(length), &bytes) || bytes > PTRDIFF_MAX / 2)
      throw py::value_error("shape: a length of " + std::to_string(length) +
                            " given, expected at least 0, and no more than fit into memory");
  using Block = pf::ResultMemory::Block;
  auto block = std::make_unique<Block>(pf::ResultMemory::instance().take(bytes));
  const py::capsule owner(block.get(), [](void* given) {
    const std::unique_ptr<Block> ended(static_cast<Block*>(given));
    pf::ResultMemory::instance().give_back(*ended);
  });
  const void* data = block.release()->data;
  return py::array(dtype, shape, data, owner);
}

template <class T>
py::array_t<T> table(const T* from, std::vector<py::ssize_t> shape) {
  return py::array_t<T>(std::move(shape), from);
}

void put_fft(py::dict& tables, const pf::FftPlan<float>& plan) {
  py::array_t<int32_t> passes(std::vector<py::ssize_t>{plan.n_passes, 2});
  for (int p = 0; p < plan.n_passes; ++p) {
    passes.mutable_at(p, 0) = plan.radix[p];
    passes.mutable_at(p, 1) = plan.span[p];
  }
  tables["passes"] = passes;
  tables["twiddle"] = table(plan.twiddle, {plan.n, 2});
  tables["at"] = table(plan.at, {plan.n});
}

py::dict axis_tables(int n) {
  const pf::AxisTables axis(pf::side(n));
  py::dict tables;
  put_fft(tables, axis.plan.fft);
  if (axis.plan.chirp) {
    tables["chirp"] = table(axis.plan.chirp, {n, 2});
    tables["filter"] = table(axis.plan.filter, {axis.plan.fft.n, 2});
  }
  tables["position_of_pixel"] = table(axis.plan.position_of_pixel, {n});
  tables["pixel_of_position"] = table(axis.plan.pixel_of_position, {n});
  return tables;
}

// How backend/cuda.py has to launch the kernels of cuda/kernels.cu.
py::dict launch_shapes() {
  py::dict shapes, fused, split, results;
  for (const pf::LaunchShape& shape : pf::fused_shapes) fused[py::int_(shape.side)] = shape.threads;
  for (const pf::LaunchShape& shape : pf::split_shapes) split[py::int_(shape.side)] = shape.threads;
  for (int result = 0; result < int(std::size(pf::result_names)); ++result) results[pf::result_names[result]] = result;
  shapes["fused"] = fused;
  shapes["split"] = split;
  shapes["panel"] = pf::panel_lines;
  shapes["item_threads"] = pf::item_threads;
  shapes["results"] = results;
  return shapes;
}

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  m.doc() = "Compiled stages of ptycho_fast. Arrays must have the exact dtype, be C-contiguous and aligned.";

  m.def("build_facts", &build_facts, "Version, compiler, flags, instruction sets and interface of this build.");

  m.def(
      "instruction_sets", [] { return names_of(pf::available_kernels()); },
      "Instruction sets that this build has kernels for and that this processor can run, the best last.");

  m.def(
      "memory", &memory,
      "Uninitialised array of numbers, 64-byte aligned. Memory of 128 KiB and more is kept for the next call when the "
      "last array that shows it ends: at most 128 MiB, and none that 16 calls passed over.",
      py::arg("shape"), py::arg("dtype"));

  m.def("memory_kept", [] { return pf::ResultMemory::instance().bytes_kept(); }, "Bytes that `memory` keeps.");

  m.def("release_memory", [] { pf::ResultMemory::instance().release(); }, "Free what `memory` keeps.");

  m.def("axis_tables", &axis_tables, py::arg("n"),
        "Tables of an axis of n pixels, see AxisPlan; with a chirp, `passes`, `twiddle` and `at` are its transform's.");

  m.def("launch_shapes", &launch_shapes,
        "Threads of a block by side for the `fused` and the `split` CUDA kernels, columns of a `panel`, `item_threads` "
        "of the other kernels, and the numbers of the `results`.");

  m.def("patches", &patches, "Write the (B, N, N) complex64 patches of the object at the positions to `out`.",
        py::arg("object"), py::arg("positions"), py::arg("boundary"), py::arg("out"), py::arg("threads"),
        py::arg("isa") = "");

  m.def("frames", &frames,
        "Make the result that sink.kind names: exposure, counting (or None for intensities) and sink have the fields "
        "that csrc/model.h lists; sink has array and kind. Rates must be 0 to 2^31.",
        py::arg("exposure"), py::arg("counting"), py::arg("sink"), py::arg("threads"), py::arg("isa") = "");

  m.def(
      "series", &series,
      "A function that makes any patterns of one scan; what they share is read and prepared once. The exposure and the "
      "counting are those of all patterns; the counting has no indices.",
      py::arg("exposure"), py::arg("counting"), py::arg("isa") = "");

  m.def("photons", &photons,
        "Count photons of the (B, rows, columns) float32 or float64 rates, 0 to 2^31: counts, or amplitudes.",
        py::arg("rates"), py::arg("counting"), py::arg("sink"), py::arg("threads"), py::arg("isa") = "");
}
