// The extension module: views in, GIL out, kernel, done. Policy (conversions, defaults, messages for users) is
// Python's.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "array_gate.h"
#include "cpu/forward.h"
#include "cpu/plans.h"

namespace py = pybind11;

namespace {

pf::Scan scan_view(const py::array& obj, const py::array& positions, int n, int threads) {
  const float* object = pf::complex_input(obj, "obj", {-1, -1});
  return {{object, obj.shape(0), obj.shape(1)},
          pf::input<double>(positions, "positions", {-1, 2}),
          positions.shape(0),
          n,
          threads};
}

template <class T>
void photons_of(const pf::Kernels& kernels, const py::array& expected, pf::Photons photons, py::array& out,
                int threads) {
  const T* rate = pf::input<T>(expected, "expected", {-1, -1, -1});
  const int64_t b = expected.shape(0), rows = expected.shape(1), columns = expected.shape(2);
  uint32_t* counts = pf::output<uint32_t>(out, "out", {b, rows, columns});
  py::gil_scoped_release release;
  pf::sample_photons<T>(kernels, rate, b, rows * columns, photons, threads, counts);
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
  facts["instruction_sets"] = names_of(pf::built_kernels());
  return facts;
}

template <class T>
py::array_t<T> table(const T* from, std::vector<py::ssize_t> shape) {
  return py::array_t<T>(std::move(shape), from);
}

template <class T>
void put_fft(py::dict& tables, const pf::FftPlan<T>& plan) {
  py::array_t<int32_t> passes({plan.n_passes, 2});
  for (int p = 0; p < plan.n_passes; ++p) {
    passes.mutable_at(p, 0) = plan.radix[p];
    passes.mutable_at(p, 1) = plan.span[p];
  }
  tables["passes"] = passes;
  tables["twiddle"] = table(plan.twiddle, {plan.n, 2});
  tables["at"] = table(plan.at, {plan.n});
}

py::dict axis_tables(int n) {
  if (n < 1) throw py::value_error("n: " + std::to_string(n) + " given, expected at least 1");
  const pf::AxisTables axis(n);
  py::dict tables;
  if (axis.plan.mixed_radix) {
    put_fft(tables, axis.plan.fft);
  } else {
    put_fft(tables, axis.plan.chirp.fft);
    tables["chirp"] = table(axis.plan.chirp.chirp, {n, 2});
    tables["filter"] = table(axis.plan.chirp.filter, {axis.plan.chirp.fft.n, 2});
  }
  tables["position_of_pixel"] = table(axis.plan.position_of_pixel, {n});
  tables["pixel_of_position"] = table(axis.plan.pixel_of_position, {n});
  return tables;
}

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  m.doc() = "Compiled stages of ptycho_fast. Arrays must have the exact dtype and be C-contiguous.";

  m.def("build_facts", &build_facts, "Version, compiler, flags and instruction sets of this build.");

  m.def(
      "instruction_sets", [] { return names_of(pf::available_kernels()); },
      "Instruction sets that this build has kernels for and this processor runs, the best last.");

  m.def("axis_tables", &axis_tables, py::arg("n"),
        "Tables of an axis of n pixels, see AxisPlan; with a chirp, `passes`, `twiddle` and `at` are its transform's.");

  m.def(
      "extract_patches",
      [](py::array obj, py::array positions, py::array out, int threads, const std::string& isa) {
        const pf::Kernels& kernels = pf::choose_kernels(isa);
        const int n = out.ndim() == 3 ? int(out.shape(1)) : 0;
        const pf::Scan scan = scan_view(obj, positions, n, threads);
        float* to = reinterpret_cast<float*>(pf::output<std::complex<float>>(out, "out", {scan.n_patterns, n, n}));
        py::gil_scoped_release release;
        pf::extract_patches(kernels, scan, to);
      },
      "Write the (B, N, N) complex64 patches to `out`.", py::arg("obj"), py::arg("positions"), py::arg("out"),
      py::arg("threads"), py::arg("isa") = "");

  m.def(
      "diffract",
      [](py::array obj, py::array probe, py::array positions, py::array out, int threads, const std::string& isa) {
        const pf::Kernels& kernels = pf::choose_kernels(isa);
        const int n = out.ndim() == 3 ? int(out.shape(1)) : 0;
        const pf::Scan scan = scan_view(obj, positions, n, threads);
        const float* modes = pf::complex_input(probe, "probe", {-1, n, n});
        float* to = pf::output<float>(out, "out", {scan.n_patterns, n, n});
        const int n_modes = int(probe.shape(0));
        py::gil_scoped_release release;
        pf::diffract(kernels, scan, modes, n_modes, to);
      },
      "Write the (B, N, N) float32 intensities, modes summed, before dose, to `out`.", py::arg("obj"), py::arg("probe"),
      py::arg("positions"), py::arg("out"), py::arg("threads"), py::arg("isa") = "");

  m.def(
      "sample_photons",
      [](py::array expected, uint64_t seed, uint64_t first_index, py::array out, int threads, const std::string& isa) {
        const pf::Kernels& kernels = pf::choose_kernels(isa);
        const pf::Photons photons = {seed, first_index};
        if (py::isinstance<py::array_t<double>>(expected))
          photons_of<double>(kernels, expected, photons, out, threads);
        else
          photons_of<float>(kernels, expected, photons, out, threads);
      },
      "Write the (B, N, N) uint32 counts to `out`; rates are 0 to 2^31.", py::arg("expected"), py::arg("seed"),
      py::arg("first_index"), py::arg("out"), py::arg("threads"), py::arg("isa") = "");

  m.def(
      "observe",
      [](py::array obj, py::array probe, py::array positions, double scale, uint64_t seed, uint64_t first_index,
         py::array out, int threads, const std::string& isa) {
        const pf::Kernels& kernels = pf::choose_kernels(isa);
        const int n = out.ndim() == 3 ? int(out.shape(1)) : 0;
        const pf::Scan scan = scan_view(obj, positions, n, threads);
        const float* modes = pf::complex_input(probe, "probe", {-1, n, n});
        const int n_modes = int(probe.shape(0));
        pf::Observation to = {};
        if (py::isinstance<py::array_t<float>>(out))
          to.amplitude = pf::output<float>(out, "out", {scan.n_patterns, n, n});
        else
          to.counts = pf::output<uint32_t>(out, "out", {scan.n_patterns, n, n});
        py::gil_scoped_release release;
        pf::observe(kernels, scan, modes, n_modes, scale, {seed, first_index}, to);
      },
      "Write counts (uint32 `out`) or amplitudes (float32 `out`); rates are 0 to 2^31.", py::arg("obj"),
      py::arg("probe"), py::arg("positions"), py::arg("scale"), py::arg("seed"), py::arg("first_index"), py::arg("out"),
      py::arg("threads"), py::arg("isa") = "");
}
