"""The CUDA kernels' phases on the processor, thread by thread in three orders: the native bits.

Barriers that are missing, indices that are off, memory that is read before it is written and
launches that do not fit their kernels all show here. What does not: the GPU itself.
"""

import cases
import cupy_on_cpu
import detectors
import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.backend import cuda, gpu_arrays, native
from ptycho_fast.backend.records import Counting, Exposure, Sink

pytestmark = pytest.mark.native

FUSED = [
    cases.Case(32, 3),
    cases.Case(64),
    cases.Case(64, 2, True),
    cases.Case(96),
    cases.Case(128),
]
SPLIT = [cases.Case(N) for N in (96, 128, 192, 384, 512)] + [cases.Case(256, 2)]
ANY = [cases.Case(N) for N in (9, 45, 77, 127)] + [cases.Case(16, 4), cases.Case(62, 2)]


def everything(obj, probe, positions, **options):
    """All stages and outputs; some counts are too many for 16 bits."""
    N = probe.shape[-1]
    photons = {"scale": 130.5, "seed": 2**63 + 5, "index": 2**33, **options}
    intensity = ptycho_fast.diffract(obj, probe, positions, **options)
    sampling = {"seed": 3, "index": 9, **options}
    double = (intensity * np.float32(700)).astype(np.float64)
    return {
        "patches": ptycho_fast.extract_patches(obj, positions, N, **options),
        "intensity": intensity,
        "counts": ptycho_fast.observe(obj, probe, positions, **photons),
        "amplitude": ptycho_fast.observe(obj, probe, positions, output="amplitude", **photons),
        "narrow": ptycho_fast.observe(
            obj, probe, positions, dtype=np.uint16, overflow="saturate", **photons
        ),
        "photons": ptycho_fast.sample_photons(intensity, **sampling),
        "photons of doubles": ptycho_fast.sample_photons(double, **sampling),
    }


def assert_native_bits(gpu, case):
    obj, probe, positions = case.inputs()
    if case.N > 200:
        positions = positions[[0, 13]]
    cpu = everything(obj, probe, positions, backend="native")
    there = everything(*map(gpu.asarray, (obj, probe, positions)))
    for name, expected in cpu.items():
        assert isinstance(there[name], gpu.ndarray)
        assert there[name].dtype == expected.dtype
        assert there[name].tobytes() == expected.tobytes(), name
    assert cpu["counts"].max() > 65535


@pytest.mark.parametrize("order", cupy_on_cpu.ORDERS)
@pytest.mark.parametrize("case", FUSED, ids=str)
def test_fused(gpu, order, case):
    gpu.order = order
    assert_native_bits(gpu, case)
    assert f"fused_{case.N}" in gpu.launches


@pytest.mark.parametrize("order", cupy_on_cpu.ORDERS)
@pytest.mark.parametrize("case", SPLIT, ids=str)
def test_split(gpu, order, case):
    gpu.order, gpu.shared_limit = order, 64 * 1024  # as on older GPUs
    assert_native_bits(gpu, case)
    assert {f"columns_{case.N}", f"rows_{case.N}"} < set(gpu.launches)


@pytest.mark.parametrize("order", cupy_on_cpu.ORDERS)
@pytest.mark.parametrize("case", ANY, ids=str)
def test_any(gpu, order, case, monkeypatch):
    room = 5 * cuda._scratch_of_any(cuda._tables(0, case.N), case.N)
    monkeypatch.setattr(cuda, "_SCRATCH_BYTES", room)
    gpu.order = order
    assert_native_bits(gpu, case)
    rounds = 4  # of five patterns, for 19 patterns
    assert gpu.launches.count("any_pixels") == 4 * rounds  # intensity, counts, amplitude, narrow
    assert gpu.launches.count("any_columns") == 4 * rounds * case.modes
    assert gpu.launches.count("any_rows") == 4 * rounds * case.modes


@pytest.mark.parametrize("order", cupy_on_cpu.ORDERS)
@pytest.mark.parametrize(
    ("N", "shared_limit"), [(64, 227 * 1024), (96, 64 * 1024), (45, 227 * 1024)]
)
def test_records(gpu, N, shared_limit, order):
    """Every kind of result, with pattern numbers in no order, on the GPU or not."""
    gpu.order, gpu.shared_limit = order, shared_limit
    obj, probe, positions = cases.Case(N, 2).inputs()
    exposure = Exposure(obj[None], probe, positions[:, None])
    numbers = np.random.default_rng(5).integers(0, 2**64, 19, np.uint64)
    kinds = {"intensity": "f4", "expected": "f4", "counts": "u4", "amplitude": "f4"}
    for kind, dtype in (*kinds.items(), ("counts", "u2")):
        counting = Counting(130.5, 7, numbers)
        on_gpu = Counting(130.5, 7, gpu.asarray(numbers))
        expected = np.zeros((19, N, N), dtype)
        native.frames(exposure, counting, Sink(expected, kind), 1)
        there = Exposure(*map(gpu.asarray, (exposure.object, exposure.probe, exposure.positions)))
        for how in (counting, on_gpu):
            made = gpu.empty(expected.shape, dtype)
            cuda.frames(there, how, Sink(made, kind), 1)
            assert made.tobytes() == expected.tobytes(), kind
        if kind in ("counts", "amplitude"):
            rates = np.linspace(0, 70000, 19 * N * N, dtype="f4").reshape(19, N, N)
            native.photons(rates, counting, Sink(expected, kind), 1)
            cuda.photons(gpu.asarray(rates), on_gpu, Sink(made, kind), 1)
            assert made.tobytes() == expected.tobytes(), kind


@pytest.mark.parametrize("order", cupy_on_cpu.ORDERS)
@pytest.mark.parametrize("name", detectors.chains())
def test_detectors(gpu, name, order):
    """Signals and amplitudes, of given rates and of an exposure."""
    gpu.order = order
    response = detectors.chains()[name]
    rates, numbers = detectors.speckled(), np.arange(5, dtype=np.uint64) + 2**33
    counting = Counting(30.5, 7, numbers, detector=response)
    obj, probe, positions = cases.Case(detectors.N, 2).inputs()
    exposure = Exposure(obj[None], probe, positions[:5, None])
    for kind, dtype in (("signal", response.dtype), ("signal", "f4"), ("amplitude", "f4")):
        expected = np.zeros(rates.shape, dtype)
        native.photons(rates, counting, Sink(expected, kind), 1)
        made = gpu.empty(expected.shape, dtype)
        cuda.photons(gpu.asarray(rates), counting, Sink(made, kind), 1)
        assert made.tobytes() == expected.tobytes(), kind
        native.frames(exposure, counting, Sink(expected, kind), 1)
        cuda.frames(exposure, counting, Sink(made, kind), 1)
        assert made.tobytes() == expected.tobytes(), kind
    assert "respond" in gpu.launches


def test_a_detector_of_rates_that_cannot_be_counted(gpu):
    rates = np.full((1, 8, 8), np.nan, np.float32)
    counting = Counting(1.0, 7, np.zeros(1, np.uint64), detector=detectors.Response(gain=2.0))
    for dtype, seen in (("u4", 2**32 - 1), ("i4", 2**31 - 1), ("f4", np.nan)):
        made = gpu.empty(rates.shape, dtype)
        cuda.photons(gpu.asarray(rates), counting, Sink(made, "signal"), 1)
        np.testing.assert_array_equal(made, seen)


@pytest.mark.parametrize("name", cases.EXPOSURES)
@pytest.mark.parametrize(
    ("case", "order"),
    [(cases.Case(16, 2), "forward"), (cases.Case(45), "reverse"), (cases.Case(34), "shuffled")],
    ids=str,
)
def test_exposures(gpu, case, order, name):
    """All that is off by default, in the general kernels; sides of every kind, a chirp too."""
    gpu.order = order
    arrays, options = cases.arguments(case, name)
    some = slice(4, 12)  # at the edges, beyond and inside
    arrays[2] = np.ascontiguousarray(arrays[2][some])
    if "weights" in options:
        options["weights"] = np.ascontiguousarray(options["weights"][some])
    factors = np.linspace(0, 2, len(arrays[2]))
    there = [gpu.asarray(array) for array in arrays]
    moved = {
        key: gpu.asarray(value) if isinstance(value, np.ndarray) else value
        for key, value in options.items()
    }
    for backend in ("native", "cuda"):
        own = (arrays, options) if backend == "native" else (there, moved)
        made = ptycho_fast.diffract(*own[0], **own[1], backend=backend)
        photons = {"scale": 3.5, "seed": 5, "factors": factors, "backend": backend}
        counts = ptycho_fast.observe(*own[0], **own[1], **photons)
        if backend == "native":
            expected = made, counts
        else:
            assert made.tobytes() == expected[0].tobytes()
            assert counts.tobytes() == expected[1].tobytes()
    assert "any_columns" in gpu.launches


def test_exposures_from_numpy(gpu):
    """With the arrays on the host, in pieces, as everything else."""
    arrays, options = cases.arguments(cases.Case(16, 2), "slices, fly, near")
    expected = ptycho_fast.diffract(*arrays, **options, backend="native")
    made = ptycho_fast.diffract(*arrays, **options, backend="cuda")
    assert made.tobytes() == expected.tobytes()


def test_what_it_lacks(gpu):
    status = ptycho_fast.backends()
    assert status["cuda"].available
    assert "quick kernels for slices" in status["cuda"].lacks[0]
    assert status["native"].lacks == ()


@pytest.mark.parametrize("boundary", ["vacuum", "edge"])
def test_patches_beyond_the_edge(gpu, boundary):
    obj, _, positions = cases.Case(33).inputs()
    expected = ptycho_fast.extract_patches(obj, positions, 33, boundary=boundary, backend="native")
    there = gpu.asarray(obj), gpu.asarray(positions)
    assert (
        ptycho_fast.extract_patches(*there, 33, boundary=boundary).tobytes() == expected.tobytes()
    )


@pytest.mark.parametrize(
    ("N", "shared_limit"), [(64, 227 * 1024), (96, 64 * 1024), (45, 227 * 1024)]
)
def test_factors(gpu, N, shared_limit):
    """Of the dose, in each kind of kernel."""
    gpu.shared_limit = shared_limit
    arrays = cases.Case(N, 2).inputs()
    factors = np.linspace(0, 3, len(arrays[2]))
    for output in ("counts", "amplitude"):
        how = {"scale": 30.5, "seed": 4, "output": output}
        expected = ptycho_fast.observe(*arrays, factors=factors, backend="native", **how)
        for given in (factors, gpu.asarray(factors)):
            made = ptycho_fast.observe(*map(gpu.asarray, arrays), factors=given, **how)
            assert made.tobytes() == expected.tobytes()


def test_numpy_in_numpy_out(gpu, monkeypatch):
    """Moved there and back, in pieces."""
    monkeypatch.setattr(cuda, "_PIECE_BYTES", 3 * 32**2 * 4)
    case = cases.Case(32, 2)
    cpu = everything(*case.inputs(), backend="native")
    moved = everything(*case.inputs(), backend="cuda", device=0)
    for name, expected in cpu.items():
        assert type(moved[name]) is np.ndarray
        assert moved[name].tobytes() == expected.tobytes(), name


def test_calls_do_not_wait(gpu):
    """But for the first of a size, whose tables every stream will use."""
    arrays = [gpu.asarray(array) for array in cases.Case(32).inputs()]
    ptycho_fast.diffract(*arrays)
    assert gpu.synchronised == 1
    ptycho_fast.diffract(*arrays)
    ptycho_fast.observe(*arrays, scale=1.0, seed=0)
    assert gpu.synchronised == 1
    assert gpu.launches == ["fused_32"] * 3


def test_rates_that_cannot_be_counted(gpu):
    """Nobody looks at values on a GPU; such a pixel holds what no count can be."""
    rates = np.full((1, 8, 8), 5, np.float32)
    rates[0, 0, :4] = np.nan, -1, np.inf, 2.0**31 * 1.01
    counts = ptycho_fast.sample_photons(gpu.asarray(rates), seed=1)
    assert (counts[0, 0, :4] == 2**32 - 1).all()
    assert counts[0, 0, 4:].max() < 50
    obj, probe, positions = cases.Case(32).inputs()
    bright = [gpu.asarray(array) for array in (obj, probe * np.float32(1e6), positions[-1:])]
    amplitude = ptycho_fast.observe(*bright, scale=1e3, seed=0, output="amplitude")
    assert np.isnan(amplitude).any()


def test_overflow_is_found_where_it_is_asked_for(gpu):
    obj, probe, positions = cases.Case(32).inputs()
    with pytest.raises(ValueError, match="overflow uint16"):
        ptycho_fast.observe(
            *map(gpu.asarray, (obj, probe, positions)), scale=300.0, seed=0, dtype=np.uint16
        )


OBJ, PROBE, AT = cases.Case(32).inputs()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"obj": OBJ.astype("c16")}, TypeError, "obj: complex128 array .* expected complex64"),
        ({"obj": np.asfortranarray(OBJ)}, ValueError, "obj: expected a C-contiguous array"),
        ({"obj": OBJ[0]}, ValueError, r"obj: shape \(55,\) given|obj: shape"),
        ({"probe": PROBE[0, 1:]}, ValueError, r"probe: shape \(31, 32\) given"),
        ({"positions": np.ones((4, 2), "f4")}, TypeError, "positions: float32 array"),
        ({"positions": AT[:0]}, ValueError, r"positions: shape \(0, 2\) given"),
        ({"scale": -1.0}, ValueError, "scale: -1.0 given"),
        ({"backend": "native"}, ValueError, "backend: 'native' for arrays on a GPU given"),
        ({"device": 3}, ValueError, "device: 3 given, expected 0 to 0"),
        ({"out": np.empty((2, 32, 32), "u4")}, ValueError, r"out: shape \(2, 32, 32\) given"),
    ],
)
def test_wrong_arguments(gpu, changes, error, message):
    arguments = {"obj": OBJ, "probe": PROBE, "positions": AT, "scale": 1.0, "seed": 0} | changes
    for name, value in arguments.items():
        if isinstance(value, np.ndarray):
            moved = np.empty_like(value).view(gpu.ndarray)
            moved[...] = value
            arguments[name] = moved
    with pytest.raises(error, match=message):
        ptycho_fast.observe(**arguments)


def test_arrays_elsewhere(gpu):
    there = [gpu.asarray(array) for array in (OBJ, PROBE, AT)]
    with pytest.raises(TypeError, match="probe: ndarray given, expected a CuPy array"):
        ptycho_fast.diffract(there[0], PROBE, there[2])
    with pytest.raises(TypeError, match="obj: ndarray given, expected a CuPy array"):
        ptycho_fast.diffract(OBJ, PROBE, AT, out=gpu.empty((len(AT), 32, 32), np.float32))
    with pytest.raises(
        ValueError, match="device: 0 given, expected None with a backend on the CPU"
    ):
        ptycho_fast.diffract(OBJ, PROBE, AT, backend="native", device=0)
    with pytest.raises(ValueError, match="out: shares memory with an input"):
        ptycho_fast.sample_photons(
            (rates := gpu.asarray(np.ones((1, 8, 8), "f4"))), seed=0, out=rates.view(np.uint32)
        )


def test_another_gpu(gpu, monkeypatch):
    there = [gpu.asarray(array) for array in (OBJ, PROBE, AT)]
    monkeypatch.setattr(gpu_arrays, "common_device", lambda *values: 0)
    there[1].device = type(there[1].device)(1)
    with pytest.raises(ValueError, match="probe: on GPU 1, expected GPU 0"):
        ptycho_fast.diffract(*there)


def test_out_of_memory(gpu):
    """The message says how much fits."""
    there = [gpu.asarray(array) for array in (OBJ, PROBE, AT)]
    ptycho_fast.diffract(*there)
    gpu.free_bytes = 10 * 4 * 32**2
    with pytest.raises(MemoryError, match=r"GPU 0: .* GB are free; give it 8 patterns at a time"):
        ptycho_fast.diffract(*there)


def test_a_lost_gpu(gpu, monkeypatch):
    def fail(*_, **__):
        raise gpu.cuda.runtime.CUDARuntimeError("unspecified launch failure")

    monkeypatch.setattr(cupy_on_cpu.Kernel, "__call__", fail)
    with pytest.raises(RuntimeError, match="the GPU failed .unspecified launch failure.*not valid"):
        ptycho_fast.diffract(*map(gpu.asarray, (OBJ, PROBE, AT)))
