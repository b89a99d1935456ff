"""What must not slip past the checks: overexposure, foreign modes, units, unaligned arrays."""

import ctypes
import struct
import sys

import cases
import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.backend.host_arrays import empty_aligned

OBJ = np.ones((40, 40), np.complex64)
PROBE = np.ones((16, 16), np.complex64)
AT = [[20.0, 20.0]]


# --- overexposure ---


@pytest.mark.parametrize("scale", [2e19, 1e30, 1e154, 1e200, np.inf])
def test_a_scale_whose_square_overflows(backend, scale):
    """A dark pixel made 0 * inf = NaN of it, which no comparison finds."""
    with pytest.raises(ValueError, match="scale: .* given, expected"):
        ptycho_fast.observe(OBJ, PROBE, AT, scale=scale, seed=0, backend=backend)


@pytest.mark.parametrize("scale", [1e6, 1e12, 1.8e19])
def test_overexposure_next_to_dark_pixels(backend, scale):
    """The far field of a flat wave is dark but for one pixel."""
    with pytest.raises(ValueError, match=r"scale: .*expected photons in pattern 0"):
        ptycho_fast.observe(OBJ, PROBE, AT, scale=scale, seed=0, backend=backend)


def test_an_overexposed_scenario():
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace(
        {"scan.n_patterns": 3, "probe.scale": 1e18}
    )
    with pytest.raises(ValueError, match=r"scale: .* given, expected at most"):
        ptycho_fast.simulate(scenario)


def test_close_to_the_smallest_numbers(backend):
    with pytest.warns(ptycho_fast.DataWarning, match=r"obj, probe: .*1.2e-38.*scale them up"):
        ptycho_fast.diffract(OBJ * 1e-20, PROBE, AT, backend=backend)


# --- the floating-point mode of another library ---

UPWARD, DOWNWARD, ZERO = 0x800, 0x400, 0xC00


@pytest.fixture
def libm():
    library = ctypes.CDLL("libm.so.6")
    yield library
    library.fesetenv(ctypes.c_void_p(-1))


def flush_to_zero(libm):
    """Set both bits of the control register that throw denormal numbers away."""
    mode = ctypes.create_string_buffer(64)
    libm.fegetenv(mode)
    register = struct.unpack_from("<I", mode.raw, 28)[0]
    changed = mode.raw[:28] + struct.pack("<I", register | 0x8040) + mode.raw[32:]
    libm.fesetenv(ctypes.create_string_buffer(changed, 64))


def some_arrays():
    obj, probe, positions = cases.Case(32, 2).inputs()
    rates = np.linspace(0, 12, 2 * 16 * 16, dtype=np.float64).reshape(2, 16, 16)
    return obj, probe, probe * np.float32(1e-15), positions, rates, rates.astype(np.float32)


def everything(backend, obj, probe, dim, positions, rates, narrow):
    options = {"backend": backend, "threads": 2}
    return [
        ptycho_fast.diffract(obj, dim, positions, **options),
        ptycho_fast.observe(obj, probe, positions, scale=0.3, seed=5, **options),
        ptycho_fast.observe(
            obj, probe, positions, scale=0.3, seed=5, output="amplitude", **options
        ),
        ptycho_fast.sample_photons(rates, seed=1, **options),
        ptycho_fast.sample_photons(narrow, seed=1, **options),
    ]


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or "x86" not in __import__("platform").machine(),
    reason="sets the control register of x86-64 under Linux",
)
@pytest.mark.parametrize("mode", [UPWARD, DOWNWARD, ZERO, "flush to zero"])
def test_a_foreign_mode_changes_no_bit(backend, libm, mode):
    arrays = some_arrays()
    usual = [array.tobytes() for array in everything(backend, *arrays)]
    if mode == "flush to zero":
        flush_to_zero(libm)
    else:
        libm.fesetround(mode)
    found = everything(backend, *arrays)
    denormal = np.float64(5e-324) * np.float64(1.0)
    assert libm.fegetround() == (0 if isinstance(mode, str) else mode), "it was not set again"
    assert (denormal == 0) == isinstance(mode, str)
    libm.fesetenv(ctypes.c_void_p(-1))
    assert [array.tobytes() for array in found] == usual


# --- units ---


@pytest.mark.filterwarnings("default::ptycho_fast.DataWarning")
def test_positions_that_can_hardly_be_meant(backend):
    options = {"backend": backend}
    with pytest.warns(ptycho_fast.DataWarning, match="1 of 2 patterns lie wholly outside"):
        ptycho_fast.diffract(OBJ, PROBE, [[20, 20], [900, 20]], **options)
    metres = np.random.default_rng(0).uniform(0, 1e-5, (50, 2))
    with pytest.warns(ptycho_fast.DataWarning, match="all 50 lie within one pixel.*metres"):
        ptycho_fast.observe(OBJ, PROBE, metres, scale=1.0, seed=1, **options)
    with pytest.warns(ptycho_fast.DataWarning, match=r"shape \(9, 40\) is smaller than a patch"):
        ptycho_fast.extract_patches(OBJ[:9], [[20, 4]], 16, **options)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("corner", [-7.99, 47.99])
def test_a_patch_that_just_touches_is_not_outside(backend, corner):
    """Dark or lit is decided by the kernel; the warning agrees with it."""
    touching, beyond = np.full((1, 2), corner), np.full((1, 2), np.round(corner))
    assert ptycho_fast.extract_patches(OBJ, touching, 16, backend=backend).any()
    with pytest.warns(ptycho_fast.DataWarning):
        assert not ptycho_fast.extract_patches(OBJ, beyond, 16, backend=backend).any()


# --- arrays ---


def test_unaligned_arrays_are_copied(backend):
    obj, probe, positions = cases.Case(32, 2).inputs()

    def unaligned(array):
        memory = np.empty(array.nbytes + 1, np.uint8)[1:]
        moved = memory.view(array.dtype).reshape(array.shape)
        moved[...] = array
        assert not moved.flags.aligned
        return moved

    aligned = ptycho_fast.diffract(obj, probe, positions, backend=backend)
    moved = ptycho_fast.diffract(*map(unaligned, (obj, probe, positions)), backend=backend)
    np.testing.assert_array_equal(aligned, moved)
    rates = unaligned(aligned)
    np.testing.assert_array_equal(
        ptycho_fast.sample_photons(rates, seed=1, backend=backend),
        ptycho_fast.sample_photons(aligned, seed=1, backend=backend),
    )
    with pytest.raises(ValueError, match="out: expected a writeable, aligned"):
        ptycho_fast.diffract(obj, probe, positions, backend=backend, out=unaligned(aligned))


def test_other_byte_orders_are_converted(backend):
    obj, probe, positions = cases.Case(32).inputs()
    usual = ptycho_fast.diffract(obj, probe, positions, backend=backend)
    swapped = (a.astype(a.dtype.newbyteorder()) for a in (obj, probe, positions))
    np.testing.assert_array_equal(usual, ptycho_fast.diffract(*swapped, backend=backend))
    swapped = usual.astype(">f4")
    np.testing.assert_array_equal(
        ptycho_fast.sample_photons(swapped, seed=1, backend=backend),
        ptycho_fast.sample_photons(usual, seed=1, backend=backend),
    )


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.ma.masked_array(OBJ, OBJ == 0), TypeError, "obj: a masked array given"),
        ([[1.0], [1.0, 2.0]], ValueError, "obj: rows of different lengths"),
        ({"a": 1}, TypeError, "obj: object array"),
        (iter([1]), TypeError, "obj: object array"),
        (None, TypeError, "obj: object array"),
    ],
)
def test_containers(value, error, message):
    with pytest.raises(error, match=message):
        ptycho_fast.diffract(value, PROBE, AT)


@pytest.mark.parametrize("dtype", ["nonsense", object(), "f4,f4", np.float64])
def test_types_of_counts(dtype):
    with pytest.raises(TypeError, match="dtype: .* given, expected uint32 or uint16 for counts"):
        ptycho_fast.observe(OBJ, PROBE, AT, scale=1.0, seed=1, dtype=dtype)


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        ([1, 2], ValueError, r"index: shape \(2,\) given, expected \(1,\)"),
        ([1.5], TypeError, "index: float64 array"),
        ([-1], ValueError, "index: -1 given"),
        (True, TypeError, "index: "),
        (2**64, ValueError, "index: "),
        ("3", TypeError, "index: "),
    ],
)
def test_pattern_numbers(index, error, message):
    with pytest.raises(error, match=message):
        ptycho_fast.observe(OBJ, PROBE, AT, scale=1.0, seed=1, index=index)


def test_the_old_name_of_index():
    new = ptycho_fast.observe(OBJ, PROBE, AT, scale=1.0, seed=1, index=7)
    with pytest.warns(DeprecationWarning, match="index"):
        old = ptycho_fast.observe(OBJ, PROBE, AT, scale=1.0, seed=1, first_index=7)
    np.testing.assert_array_equal(old, new)


def test_pattern_numbers_one_by_one(backend):
    obj, probe, positions = cases.Case(32).inputs()
    numbers = np.array([2**63 + 5, 0, 7, 8, 3] * 3, np.uint64)
    at = positions[-len(numbers) :]
    options = {"scale": 2.0, "seed": 3, "backend": backend}
    together = ptycho_fast.observe(obj, probe, at, index=numbers, threads=2, **options)
    rates = ptycho_fast.diffract(obj, probe, at, backend=backend) * np.float32(4)
    photons = ptycho_fast.sample_photons(rates, seed=3, index=numbers, backend=backend)
    np.testing.assert_array_equal(photons, together)
    for b, number in enumerate(numbers.tolist()):
        alone = ptycho_fast.observe(obj, probe, at[b : b + 1], index=number, **options)
        np.testing.assert_array_equal(alone[0], together[b])


def test_maps_of_one_file(tmp_path):
    path = tmp_path / "map.bin"
    np.memmap(path, np.complex64, "w+", shape=(4, 16, 16))[...] = 1
    out = np.memmap(path, np.complex64, "r+", shape=(1, 16, 16))
    same = np.memmap(path, np.complex64, "r", shape=(16, 16))
    other = np.memmap(path, np.complex64, "r", shape=(16, 16), offset=2 * 16 * 16 * 8)
    with pytest.raises(ValueError, match="out: shares memory with an input"):
        ptycho_fast.extract_patches(same, [[8, 8]], 16, out=out)
    assert ptycho_fast.extract_patches(other, [[8, 8]], 16, out=out) is out


# --- a small call on a large object ---


def test_only_what_patches_see_is_looked_at():
    large = empty_aligned((3000, 3000), np.complex64)
    large[...] = 1
    usual = ptycho_fast.diffract(large, PROBE, [[1500.25, 1400.5], [20, 30]])
    large[100, 100] = np.nan
    large[1402, 1509] = 1e30  # one column beyond the last tap
    np.testing.assert_array_equal(
        ptycho_fast.diffract(large, PROBE, [[1500.25, 1400.5], [20, 30]]), usual
    )
    large[1400, 1508] = np.nan  # the last tap
    with pytest.raises(ValueError, match=r"obj: .*nan.* at index"):
        ptycho_fast.diffract(large, PROBE, [[1500.25, 1400.5], [20, 30]])


def test_the_object_is_looked_at_once_by_a_simulator(monkeypatch):
    from ptycho_fast import checks

    sim = ptycho_fast.Simulator(
        object=np.ones((500, 500)), probe=PROBE, positions=[[200.0, 200.0], [300, 90]], nphotons=1e3
    )
    monkeypatch.setattr(checks, "largest_part", lambda *_: pytest.fail("looked at again"))
    sim.frames([0])
    sim.frames(0, 2)
