"""The extension's own entry points, without the checks that Python does before."""

import ctypes
import ctypes.util
import gc
import math
import platform
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import cases
import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.backend.records import Counting, Exposure

pytestmark = pytest.mark.native

if "native" in ptycho_fast.backends():
    try:
        from ptycho_fast import _core
    except ImportError:  # built without it; the tests here are then deselected
        _core = None


def exposure(case, **changes):
    obj, probe, positions = case.inputs()
    given = {"object": obj[None], "probe": probe, "positions": positions[:, None]}
    return Exposure(**(given | changes))


def counting(n, **changes):
    given = {"scale": 3.5, "seed": 2**63 + 5, "indices": np.arange(n, dtype=np.uint64)}
    return Counting(**(given | changes))


def sink(shape, kind, dtype="f4"):
    return SimpleNamespace(array=np.zeros(shape, dtype), kind=kind)


KINDS = {
    "intensity": "f4", "expected": "f4", "counts": "u4", "amplitude": "f4",
}  # fmt: skip


def frames(case, kind, dtype=None, threads=1, how=None, **changes):
    what = exposure(case, **changes)
    n = len(what.positions)
    to = sink((n, case.N, case.N), kind, dtype or KINDS[kind])
    _core.frames(what, how or counting(n), to, threads)
    return to.array


# --- results ---


@pytest.mark.parametrize("case", [cases.Case(32, 2), cases.Case(62), cases.Case(9)], ids=str)
def test_kinds_follow_from_each_other(case):
    intensity, expected, counts, amplitude = (frames(case, kind) for kind in KINDS)
    np.testing.assert_array_equal(expected, np.float32(3.5**2) * intensity)
    np.testing.assert_array_equal(amplitude, (np.sqrt(counts.astype("f8")) / 3.5).astype("f4"))
    to = sink(counts.shape, "counts", "u4")
    _core.photons(expected, counting(len(counts)), to, 2)
    np.testing.assert_array_equal(to.array, counts)
    to = sink(counts.shape, "amplitude")
    _core.photons(expected.astype("f8"), counting(len(counts)), to, 2)
    np.testing.assert_array_equal(to.array, amplitude)
    to = sink(counts.shape, "intensity")
    _core.frames(exposure(case), None, to, 1)
    np.testing.assert_array_equal(to.array, intensity)


@pytest.mark.parametrize("threads", [1, 3])
def test_narrow_counts_saturate(threads):
    case = cases.Case(33, 2)
    how = counting(19, scale=130.5)
    wide = frames(case, "counts", how=how)
    assert wide.max() > 65535
    narrow = frames(case, "counts", "u2", threads, how)
    assert narrow.dtype == np.uint16
    np.testing.assert_array_equal(narrow, np.minimum(wide, 65535))
    rates = np.linspace(0, 70000, 2 * 30 * 30, dtype="f4").reshape(2, 30, 30)
    made = {}
    for dtype in ("u2", "u4"):
        to = sink(rates.shape, "counts", dtype)
        _core.photons(rates, counting(2), to, threads)
        made[dtype] = to.array
    assert made["u4"].max() > 65535
    np.testing.assert_array_equal(made["u2"], np.minimum(made["u4"], 65535))


def test_pattern_numbers_in_any_order():
    case = cases.Case(32)
    _, _, positions = case.inputs()
    numbers = np.array([2**64 - 1, 5, 2**33, 0, 5], np.uint64)
    at = positions[[0, 1, 2, 3, 1], None]
    together = frames(case, "counts", how=counting(5, indices=numbers), positions=at)
    for b, number in enumerate(numbers):
        how = counting(1, indices=np.array([number], np.uint64))
        one = frames(case, "counts", how=how, positions=at[b : b + 1])
        assert one.tobytes() == together[b : b + 1].tobytes()
    assert together[1].tobytes() == together[4].tobytes()


def test_no_patterns():
    nothing = np.empty((0, 1, 2))
    for kind in KINDS:
        assert frames(cases.Case(16), kind, positions=nothing).shape == (0, 16, 16)
    out = np.empty((0, 8, 8), "c8")
    _core.patches(np.ones((1, 9, 9), "c8"), nothing[:, 0], "zero", out, 1)


# --- patterns of a scan ---

CASE = cases.Case(16)
B = 19


def scan(case, kind, **changes):
    """A series of the case's positions, and the frames that `_core.frames` makes of them."""
    what = exposure(case, **changes)
    how = counting(0, factors=np.linspace(0.5, 2, len(what.positions)))
    at_once = counting(len(what.positions), factors=how.factors)
    return _core.series(what, how), frames(case, kind, how=at_once, **changes)


def made(series, chosen, case, kind, threads=1, dtype=None):
    chosen = np.array(chosen, np.int64)
    to = sink((len(chosen), case.N, case.N), kind, dtype or KINDS[kind])
    series(chosen, chosen.view(np.uint64), to, threads)
    return to.array


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", [cases.Case(16), cases.Case(9, 2), cases.Case(34)], ids=str)
def test_series_makes_the_same_bits(case, kind):
    rng = np.random.default_rng(5)
    n = len(case.inputs()[2])
    weights = rng.random((n, len(case.inputs()[1])), np.float32)
    series, whole = scan(case, kind, weights=weights)
    for count, threads in ((1, 1), (40, 3), (2, 2), (0, 2), (17, 1), (1, 5)):
        chosen = rng.integers(0, n, count)
        np.testing.assert_array_equal(made(series, chosen, case, kind, threads), whole[chosen])
    if kind == "counts":
        narrow = made(series, [3, 3, 1], case, kind, 2, "u2")
        np.testing.assert_array_equal(narrow, np.minimum(whole[[3, 3, 1]], 65535))
        np.testing.assert_array_equal(made(series, [4], case, kind), whole[[4]])


def test_series_numbers_decide_the_photons():
    case = cases.Case(16)
    series, _ = scan(case, "counts")
    numbers = np.array([7, 2**64 - 1], np.uint64)
    to = sink((2, 16, 16), "counts", "u4")
    series(np.array([4, 4]), numbers, to, 1)
    at = case.inputs()[2][[4, 4], None]
    how = counting(2, indices=numbers, factors=np.linspace(0.5, 2, B)[[4, 4]])
    np.testing.assert_array_equal(to.array, frames(case, "counts", how=how, positions=at))


def test_series_serves_many_threads_at_once():
    case = cases.Case(16)
    series, whole = scan(case, "counts")

    def some(k):
        chosen = np.random.default_rng(k).integers(0, B, 1 + k % 7)
        return np.array_equal(made(series, chosen, case, "counts", 1 + k % 3), whole[chosen])

    with ThreadPoolExecutor(5) as pool:
        assert all(pool.map(some, range(200)))


def test_series_holds_its_arrays():
    """Records may change or end; what the series reads stays."""
    case = cases.Case(16)
    pixels = np.zeros((16, 16), np.uint8)
    pixels[3, 4] = 2
    response = ptycho_fast.detector.Response(gain=2.0, pixels=pixels, hot=77.0)
    what, how = exposure(case), counting(0, detector=response)
    fields = {name: getattr(what, name) for name in what.__slots__}
    fields |= {"object": what.object.copy(), "probe": what.probe.copy()}
    given = SimpleNamespace(**fields)
    names = [name for name in response.__slots__ if not name.startswith("_")]
    behind = SimpleNamespace(**{name: getattr(response, name) for name in names})
    counted = SimpleNamespace(**{name: getattr(how, name) for name in how.__slots__})
    counted.detector = behind
    series = _core.series(given, counted)
    behind.pixels = np.full((16, 16), 1, np.uint8)
    given.object = given.probe = given.positions = None
    counted.detector = None
    del fields, pixels, response, how
    gc.collect()
    frame = made(series, [3], case, "signal", dtype="u4")[0]
    assert frame[3, 4] == 77
    assert np.delete(frame.reshape(-1), 3 * 16 + 4).any()
    assert not (frame % 2).reshape(-1)[np.arange(256) != 3 * 16 + 4].any()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"chosen": np.array([B])}, ValueError, f"chosen: {B} given, expected 0 to {B - 1}"),
        ({"chosen": np.array([-1])}, ValueError, "chosen: -1 given"),
        ({"chosen": np.array([2**62])}, ValueError, "chosen: 4611686018427387904 given"),
        ({"chosen": np.array([1], "i4")}, TypeError, "chosen: dtype int32 given, expected int64"),
        ({"chosen": np.array([[1]])}, ValueError, r"chosen: shape \(1, 1\) given"),
        ({"chosen": np.arange(8)[::8]}, None, ""),
        ({"chosen": np.arange(2)}, ValueError, r"numbers: shape \(1,\) given, expected \(2,\)"),
        ({"numbers": np.array([1])}, TypeError, "numbers: dtype int64 given, expected uint64"),
        ({"sink": sink((2, 16, 16), "counts", "u4")}, ValueError, "array: shape"),
        ({"sink": sink((1, 16, 16), "signal", "u4")}, ValueError, "detector: None given"),
        ({"threads": 0}, ValueError, "threads: 0 given"),
    ],
)
def test_wrong_series_frames(changes, error, message):
    series = _core.series(exposure(CASE), counting(0))
    usual = {"chosen": np.array([1]), "numbers": np.array([1], np.uint64), "threads": 1}
    given = usual | {"sink": sink((1, 16, 16), "counts", "u4")} | changes
    if error is None:
        series(**given)
        return
    with pytest.raises(error, match=message):
        series(**given)


def test_wrong_series():
    for what, how, message in (
        ({"positions": np.ones((B, 1, 3))}, {}, "positions: 3 columns given"),
        ({}, {"indices": np.arange(3, dtype="u8")}, r"indices: shape \(3,\) given, expected \(0,"),
        ({}, {"factors": np.ones(3)}, r"factors: shape \(3,\) given"),
        ({}, {"scale": 0.0}, "scale: 0.0 given"),
    ):
        with pytest.raises(ValueError, match=message):
            _core.series(exposure(CASE, **what), counting(0, **how))
    with pytest.raises(ValueError, match="PTYCHO_FAST_ISA: 'mmx' given"):
        _core.series(exposure(CASE), counting(0), "mmx")


@pytest.mark.parametrize(
    ("shape", "dtype", "error"),
    [
        ((-1, 2), "f4", ValueError),
        ((2**40, 2**40), "f4", ValueError),
        ((2**62,), "f8", ValueError),
        ((2, 2), "O", TypeError),
        ((2, 2), "U3", TypeError),
        ((2, 2), "f4,f8", TypeError),
        ((2.5,), "f4", TypeError),
    ],
)
def test_wrong_memory(shape, dtype, error):
    with pytest.raises(error):
        _core.memory(shape, np.dtype(dtype))


# --- wrong arguments ---


def unaligned(array):
    """The same numbers, one byte off."""
    memory = np.zeros(array.nbytes + 8, np.uint8)
    moved = memory[1 : 1 + array.nbytes].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


OBJ, PROBE, AT = CASE.inputs()
OBJ, AT = OBJ[None], AT[:, None]


@pytest.mark.parametrize(
    ("what", "how", "to", "error", "message"),
    [
        ({"object": OBJ.astype("c16")}, {}, {}, TypeError,
         "object: dtype complex128 given, expected complex64"),
        ({"object": [[1j]]}, {}, {}, TypeError, "object: list given, expected a NumPy array"),
        ({"object": OBJ[0]}, {}, {}, ValueError, r"object: shape \(37, 50\) given"),
        ({"object": OBJ[:, :0].copy()}, {}, {}, ValueError, r"object: shape \(1, 0, 50\) given"),
        ({"object": np.asfortranarray(OBJ)}, {}, {}, ValueError, "object: .* a C-contiguous array"),
        ({"object": unaligned(OBJ)}, {}, {}, ValueError, "object: data at an unaligned address"),
        ({"probe": unaligned(PROBE)}, {}, {}, ValueError, "probe: data at an unaligned address"),
        ({"positions": unaligned(AT)}, {}, {}, ValueError, "positions: .* multiple of 8 bytes"),
        ({"probe": PROBE[0]}, {}, {}, ValueError, r"probe: shape \(16, 16\) given, expected"),
        ({"probe": PROBE[:, :8].copy()}, {}, {}, ValueError, r"probe: shape \(1, 8, 16\) given"),
        ({"probe": PROBE[:0]}, {}, {}, ValueError, "probe: modes: 0 given, expected 1 to 16"),
        ({"probe": np.ones((17, 8, 8), "c8")}, {}, {}, ValueError, "modes: 17 given"),
        ({"probe": np.ones((1, 0, 0), "c8")}, {}, {}, ValueError, "N: 0 given, expected 8 to 2048"),
        ({"probe": np.ones((1, 7, 7), "c8")}, {}, {}, ValueError, "N: 7 given, expected 8 to 2048"),
        ({"probe": np.ones((1, 2049, 2049), "c8")}, {}, {}, ValueError, "N: 2049 given"),
        ({"positions": np.ones((B, 1, 3))}, {}, {}, ValueError, "positions: 3 columns given"),
        ({"positions": np.ones((B, 0, 2))}, {}, {}, ValueError, "sub-exposures: 0 given"),
        ({"positions": np.ones((B, 2))}, {}, {}, ValueError, r"positions: shape \(19, 2\) given"),
        ({"positions": np.ones((B, 1, 2), "f4")}, {}, {}, TypeError, "positions: dtype float32"),
        ({"boundary": "nothing"}, {}, {}, ValueError, "boundary: 'nothing' given, expected zero"),
        ({"modes": 2}, {}, {}, ValueError, "modes: 2 given, expected 1 to 1"),
        ({"modes": "1"}, {}, {}, TypeError, "modes: '1' given, expected an integer"),
        ({"probe": np.ones((2, 16, 16), "c8"), "modes": 1}, {}, {}, ValueError, "weights: None"),
        ({"weights": np.ones((B, 2), "f4")}, {}, {}, ValueError, "weights: columns: 2 given"),
        ({"weights": np.ones((3, 1), "f4")}, {}, {}, ValueError, r"weights: shape \(3,\) given"),
        ({"weights": np.ones((B, 1))}, {}, {}, TypeError, "weights: dtype float64 given"),
        ({"object": np.ones((2, 9, 9), "c8")}, {}, {}, ValueError, "between: None given"),
        ({"between": np.ones((8, 8), "c8")}, {}, {}, ValueError, "between: side: 8 given"),
        ({"near": np.ones((32, 32), "c8")}, {}, {}, ValueError, "near: side: 32 given"),
        ({"near": np.ones((16, 32), "c8")}, {}, {}, ValueError, r"near: shape \(16, 32\) given"),
        ({"bin": 0}, {}, {}, ValueError, "bin: 0 given, expected 1 to 16"),
        ({"bin": 3}, {}, {}, ValueError, "bin: 3 given, expected a divisor of 16"),
        ({"bin": 2}, {}, {}, ValueError, r"array: shape \(19, 16, 16\) given"),
        ({"spread": np.ones(9, "f4")}, {}, {}, ValueError, "spread: length: 9 given"),
        ({"positions": AT[1:]}, {}, {}, ValueError, r"array: shape \(19, 16, 16\) given"),
        ({}, {"scale": math.nan}, {}, ValueError, "scale: nan given, expected a finite number"),
        ({}, {"scale": math.inf}, {}, ValueError, "scale: inf given, expected a finite number"),
        ({}, {"scale": 0.0}, {}, ValueError, "scale: 0.0 given, expected a number > 0"),
        ({}, {"scale": "1"}, {}, TypeError, "scale: '1' given, expected a number"),
        ({}, {"seed": -1}, {}, ValueError, "seed: -1 given, expected an integer from 0 to"),
        ({}, {"seed": 2**64}, {}, ValueError, "seed: 18446744073709551616 given"),
        ({}, {"indices": np.arange(B)}, {}, TypeError, "indices: dtype int64 given, expected uint"),
        ({}, {"indices": np.arange(B - 1, dtype="u8")}, {}, ValueError,
         r"indices: shape \(18,\) given, expected \(19,\)"),
        ({}, {"indices": np.zeros((B, 1), "u8")}, {}, ValueError, r"indices: shape \(19, 1\)"),
        ({}, {"factors": np.ones(3)}, {}, ValueError, r"factors: shape \(3,\) given"),
        ({}, {}, {"kind": "photons"}, ValueError, "kind: 'photons' given, expected intensity"),
        ({}, {}, {"kind": "amplitude"}, TypeError, "array: dtype uint32 given, expected float32"),
        ({}, {}, {"array": np.zeros((B, 16, 16), "u4")[:, ::-1]}, ValueError, "array: .* C-contig"),
        ({}, {}, {"array": unaligned(np.zeros((B, 16, 16), "u4"))}, ValueError, "array: data at"),
        ({}, {}, {"array": np.broadcast_to(np.uint32(0), (B, 16, 16))}, ValueError, "array: "),
        ({}, {}, {"threads": 0}, ValueError, "threads: 0 given, expected 1 to"),
        ({}, {}, {"threads": -1}, ValueError, "threads: -1 given, expected 1 to"),
        ({}, {}, {"isa": "mmx"}, ValueError, "PTYCHO_FAST_ISA: 'mmx' given, expected one that"),
    ],
)  # fmt: skip
def test_wrong_frames(what, how, to, error, message):
    to = dict(to)
    threads, isa = to.pop("threads", 1), to.pop("isa", "")
    array = {"array": np.zeros((B, 16, 16), "u4"), "kind": "counts"}
    target = SimpleNamespace(**(array | to))
    with pytest.raises(error, match=message):
        _core.frames(exposure(CASE, **what), counting(B, **how), target, threads, isa)


def test_counting_is_missing():
    for kind, dtype in KINDS.items():
        if kind != "intensity":
            with pytest.raises(ValueError, match="counting: None given"):
                _core.frames(exposure(CASE), None, sink((B, 16, 16), kind, dtype), 1)


@pytest.mark.parametrize(
    ("rates", "array", "kind", "error", "message"),
    [
        (np.ones((1, 0, 0), "f4"), np.ones((1, 0, 0), "u4"), "counts", ValueError,
         "rates: patterns of 0 x 0 pixels given, expected 1 to"),
        (np.ones((1, 4), "f4"), np.ones((1, 4), "u4"), "counts", ValueError, "rates: shape"),
        (np.ones((1, 4, 4), "i4"), np.ones((1, 4, 4), "u4"), "counts", TypeError, "rates: dtype"),
        (unaligned(np.ones((1, 4, 4))), np.ones((1, 4, 4), "u4"), "counts", ValueError,
         "rates: data at an unaligned address"),
        (np.ones((1, 4, 4), "f4"), np.ones((1, 4, 4), "f4"), "expected", ValueError,
         "kind: 'expected' given, expected counts, amplitude or signal"),
        (np.ones((1, 4, 4), "f4"), np.ones((1, 4, 5), "u4"), "counts", ValueError, "array: shape"),
    ],
)  # fmt: skip
def test_wrong_photons(rates, array, kind, error, message):
    with pytest.raises(error, match=message):
        _core.photons(rates, counting(1), SimpleNamespace(array=array, kind=kind), 1)


def test_wrong_patches():
    out = np.zeros((B, 16, 16), "c8")
    for changed, message in (
        ({1: AT[:, 0, :1].copy()}, "positions: columns: 1 given"),
        ({2: "dark"}, "boundary: 'dark' given"),
        ({3: out[:, :8].copy()}, r"out: shape \(19, 8, 16\) given"),
        ({3: out[:, :0, :0].copy()}, "N: 0 given, expected 8 to 2048"),
        ({3: unaligned(out)}, "out: data at an unaligned address"),
        ({4: 0}, "threads: 0 given"),
    ):
        usual = (OBJ, AT[:, 0].copy(), "zero", out, 1)
        arguments = [changed.get(i, value) for i, value in enumerate(usual)]
        with pytest.raises(ValueError, match=message):
            _core.patches(*arguments)
    for N in (-1, 0, 7, 2049):
        with pytest.raises(ValueError, match=f"N: {N} given, expected 8 to 2048"):
            _core.axis_tables(N)


@pytest.mark.skipif(sys.platform != "linux", reason="reserves memory that is never used")
def test_too_many_pixels_for_their_numbers():
    """A pixel's number has 32 bits. Nothing is read or written: the arrays need no real memory."""
    code = (
        "import numpy as np\n"
        "from types import SimpleNamespace as S\n"
        "from ptycho_fast import _core\n"
        "rates, counts = np.empty((1, 65536, 65536), 'f4'), np.empty((1, 65536, 65536), 'u4')\n"
        "how = S(scale=1.0, seed=0, indices=np.zeros(1, 'u8'))\n"
        "try: _core.photons(rates, how, S(array=counts, kind='counts'), 1)\n"
        "except ValueError as error: print(error)\n"
        "except MemoryError: print('no memory')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    if "memory" in done.stdout + done.stderr:
        pytest.skip("no room for the addresses")
    message = "rates: patterns of 65536 x 65536 pixels given, expected 1 to 2**32 - 2**16"
    assert message in done.stdout


# --- the floating-point control register ---

X86 = platform.machine() in ("x86_64", "AMD64")
ARM = platform.machine() in ("aarch64", "arm64")
# Rounding upward, downward and toward zero: values of <fenv.h>.
ROUNDING = {"upward": 0x800, "downward": 0x400, "toward_zero": 0xC00} if X86 else {
    "upward": 0x400000, "downward": 0x800000, "toward_zero": 0xC00000,
}  # fmt: skip


class Float:
    """The control register of this thread, through the C library."""

    def __init__(self):
        self.libm = ctypes.CDLL(ctypes.util.find_library("m"))

    def register(self):
        environment = (ctypes.c_uint32 * 8)()
        assert self.libm.fegetenv(environment) == 0
        return environment, 7 if X86 else 0  # where MXCSR, or FPCR, is

    def value(self):
        environment, at = self.register()
        return environment[at] & ~0x3F if X86 else environment[at]  # without the flags

    @contextmanager
    def set_to(self, mode):
        default, _ = self.register()
        if mode == "flush_to_zero":
            changed, at = self.register()
            changed[at] |= 0x8040 if X86 else 1 << 24
            assert self.libm.fesetenv(changed) == 0
        else:
            assert self.libm.fesetround(ROUNDING[mode]) == 0
        try:
            yield
        finally:
            assert self.libm.fesetenv(default) == 0


def series_frames(what, numbers, to, threads):
    _core.series(what, counting(0))(numbers, numbers.view(np.uint64), to, threads)


def all_stages(threads):
    """Entry points with their arguments, and what they write: sizes with and without a chirp."""
    calls = []
    for case in (cases.Case(32), cases.Case(62, 2)):
        for weak in (1.0, 1e-20):  # then intensities are subnormal
            obj, _, positions = case.inputs()
            what = exposure(case, object=obj[None] * np.complex64(weak))
            n = len(positions)
            for kind, dtype in (*KINDS.items(), ("counts", "u2")):
                to = sink((n, case.N, case.N), kind, dtype)
                calls.append((_core.frames, (what, counting(n), to, threads), to.array))
                if dtype != "u2":
                    numbers = np.arange(n)
                    to = sink((n, case.N, case.N), kind, dtype)
                    arguments = (what, numbers, to, threads)
                    calls.append((series_frames, arguments, to.array))
            out = np.zeros((n, case.N, case.N), "c8")
            calls.append((_core.patches, (what.object, positions, "zero", out, threads), out))
    rng = np.random.default_rng(1)
    for mean in (0.1, 5, 7, 20, 1e3, 1e6, 1e-40):
        for dtype in ("f4", "f8"):
            rates = np.full((4, 40, 40), mean, dtype)
            rates[1:] *= rng.uniform(0.5, 1, (3, 40, 40))
            to = sink(rates.shape, "counts", "u4")
            calls.append((_core.photons, (rates, counting(4), to, threads), to.array))
    return calls


@pytest.mark.skipif(not (X86 or ARM), reason="only these registers are known here")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("mode", [*ROUNDING, "flush_to_zero"])
def test_control_register(mode, threads):
    """Another rounding mode or flush-to-zero changes no bit, and is there again afterwards."""
    control = Float()
    calls = all_stages(threads)
    expected = []
    for function, arguments, result in calls:
        function(*arguments)
        expected.append(result.copy())
        result[...] = 0
    tables = {N: _core.axis_tables(N) for N in (60, 62)}
    again = {}
    with control.set_to(mode):
        before = control.value()
        for function, arguments, _ in calls:
            function(*arguments)
        for N in tables:
            again[N] = _core.axis_tables(N)
        after = control.value()
    assert before == after != control.value()
    for (_, _, result), wanted in zip(calls, expected, strict=True):
        assert result.tobytes() == wanted.tobytes()
    for N, table in tables.items():
        for name in table:
            assert again[N][name].tobytes() == table[name].tobytes()


@pytest.mark.skipif(not (X86 or ARM), reason="only these registers are known here")
def test_public_functions_with_another_rounding_mode():
    """At rates of 5 and 7, whose loops ended in no count before."""
    control, done = Float(), {}
    rates = np.full((1, 32, 32), 5, np.float32)
    rates[:, 16:] = 7

    def work():
        with control.set_to("upward"):
            done["upward"] = ptycho_fast.sample_photons(rates, seed=1, backend="native")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(300)
    assert not thread.is_alive()
    plain = ptycho_fast.sample_photons(rates, seed=1, backend="native")
    assert done["upward"].tobytes() == plain.tobytes()


# --- what the extension tells Python ---


def test_launch_shapes():
    shapes = _core.launch_shapes()
    assert set(shapes) == {"fused", "split", "panel", "item_threads", "results"}
    for side, threads in (shapes["fused"] | shapes["split"]).items():
        assert threads % 32 == 0
        assert threads <= 1024
        assert side % shapes["panel"] == 0
    kinds = ["intensity", "expected", "counts", "narrow_counts", "amplitude"]
    kinds += ["signal", "signed_signal", "float_signal"]
    assert shapes["results"] == {name: number for number, name in enumerate(kinds)}


@pytest.mark.parametrize("N", [8, 15, 32, 36, 64, 100, 192, 256, 512, 1536, 2048])
def test_numba_plans_the_same_passes(N):
    """Sides whose powers of two are split in one way only: numba has 8 2 where C++ has 4 4."""
    from ptycho_fast.backend import numba as numba_backend

    native = _core.axis_tables(N)["passes"][:, 0].tolist()
    numba = numba_backend._plan(N)[0].tolist()
    assert numba == native
