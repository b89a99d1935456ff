"""Wrong arguments: the error names the argument, what was given, what was expected."""

import numpy as np
import pytest

import ptycho_fast

N = 16
OBJ = np.ones((40, 50), np.complex64)
PROBE = np.ones((N, N), np.complex64)
AT = np.array([[25.0, 20.0], [26.0, 21.0]])


def with_value(array, value):
    changed = array.copy()
    changed.flat[3] = value
    return changed


ARRAYS = [
    ("obj", np.ones((40, 50), int), TypeError, "obj: int64 array of shape"),
    ("obj", np.array([["a"]]), TypeError, "obj: "),
    ("obj", OBJ[0], ValueError, r"obj: shape \(50,\) given, expected \(H, W\)"),
    ("obj", OBJ[:0], ValueError, "obj: shape"),
    ("obj", with_value(OBJ, np.nan), ValueError, r"obj: .*nan.* at index \(0, 3\)"),
    ("obj", with_value(OBJ.astype(complex), 1e300), ValueError, "obj: .*overflows complex64"),
    ("obj", OBJ * 1e18, ValueError, "obj, probe: .* overflow float32"),
    ("probe", np.ones((N, N), bool), TypeError, "probe: bool array"),
    ("probe", PROBE[:, :-1], ValueError, r"probe: shape \(16, 15\) given"),
    ("probe", PROBE[None, None], ValueError, r"probe: shape \(1, 1, 16, 16\) given"),
    ("probe", np.ones((17, N, N), "c8"), ValueError, "probe: 17 modes given, expected 1 to 16"),
    ("probe", np.ones((0, N, N), "c8"), ValueError, "probe: 0 modes given"),
    ("probe", PROBE[:7, :7], ValueError, "probe: side N: 7 given, expected 8 to 2048"),
    ("probe", with_value(PROBE, np.inf), ValueError, "probe: .*inf"),
    ("positions", AT.astype(complex), TypeError, "positions: complex128 array"),
    ("positions", AT[0], ValueError, r"positions: shape \(2,\) given"),
    ("positions", AT[:, :1], ValueError, r"positions: shape \(2, 1\) given, expected \(B, 2\)"),
    ("positions", AT[:0], ValueError, "positions: no position given"),
    ("positions", with_value(AT, np.nan), ValueError, r"positions: nan at index \(1, 1\)"),
    ("positions", "here", TypeError, "positions: "),
    ("threads", 0, ValueError, "threads: 0 given, expected 1 to"),
    ("threads", -2, ValueError, "threads: -2 given"),
    ("threads", 1.5, TypeError, "threads: 1.5 given, expected an integer"),
    ("threads", True, TypeError, "threads: True given"),
    ("backend", "fortran", ValueError, "backend: 'fortran' given, expected one of auto, native"),
]


STAGES = {
    "extract_patches": [case for case in ARRAYS if "probe" not in case[0] + case[3]],
    "diffract": ARRAYS,
    "observe": ARRAYS,
}


@pytest.mark.parametrize(
    ("stage", "name", "value", "error", "message"),
    [(stage, *case) for stage, table in STAGES.items() for case in table],
)
def test_arguments(stage, name, value, error, message):
    arguments = {"obj": OBJ, "probe": PROBE, "positions": AT, name: value}
    options = {k: arguments.pop(k) for k in ("threads", "backend") if k in arguments}
    if stage == "extract_patches":
        call = (arguments["obj"], arguments["positions"], N)
    else:
        call = (arguments["obj"], arguments["probe"], arguments["positions"])
        if stage == "observe":
            options |= {"scale": 1.0, "seed": 0}
    with pytest.raises(error, match=message):
        getattr(ptycho_fast, stage)(*call, **options)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"scale": 0}, ValueError, "scale: 0 given, expected a finite number > 0"),
        ({"scale": np.nan}, ValueError, "scale: nan"),
        ({"scale": "1"}, TypeError, "scale: '1' given"),
        ({"seed": -1}, ValueError, "seed: -1 given, expected 0 to 18446744073709551615"),
        ({"seed": 2**64}, ValueError, "seed: "),
        ({"seed": 1.0}, TypeError, "seed: 1.0 given, expected an integer"),
        ({"index": -1}, ValueError, "index: -1"),
        ({"index": 2**64 - 1}, ValueError, "index: "),
        ({"output": "photons"}, ValueError, "output: 'photons' given, expected one of counts"),
        ({"scale": 1e6}, ValueError, r"scale: .*photons in pattern 0, pixel \(row 8, column 8\)"),
    ],
)
def test_observe(changes, error, message, backend):
    options = {"scale": 1.0, "seed": 0, "backend": backend} | changes
    out = np.full((2, N, N), 7, np.uint32)
    with pytest.raises(error, match=message):
        ptycho_fast.observe(OBJ, PROBE, AT, out=out, **options)
    assert (out == 7).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [-1.0, np.nan, np.inf, -np.inf, 2.0**32])
def test_rates(backend, dtype, rate):
    expected = np.ones((3, 8, 8), dtype)
    expected[2, 1, 4] = expected[2, 5, 5] = rate
    with pytest.raises(ValueError, match=r"expected: .* in pattern 2, pixel \(row 1, column 4\)"):
        ptycho_fast.sample_photons(expected, seed=0, backend=backend)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rates_at_the_border(backend, dtype):
    expected = np.full((1, 8, 8), -0.0, dtype)
    expected[0, 0, 0] = 2.0**31
    count = ptycho_fast.sample_photons(expected, seed=0, backend=backend)
    assert count[0, 0, 0] > 2**31 - 2**20
    assert count.sum(dtype=np.uint64) == count[0, 0, 0]
    expected[0, 7, 7] = -np.finfo(dtype).smallest_subnormal
    with pytest.raises(ValueError, match=r"expected: .* in pattern 0, pixel \(row 7, column 7\)"):
        ptycho_fast.sample_photons(expected, seed=0, backend=backend)


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        (np.ones((2, 8, 8), int), TypeError),
        (np.ones((2, 8, 8), np.float16), TypeError),
        (np.ones((8, 8)), ValueError),
        (np.ones((2, 8, 9)), ValueError),
        (np.ones((0, 8, 8)), ValueError),
    ],
)
def test_expected(expected, error):
    with pytest.raises(error, match="expected: "):
        ptycho_fast.sample_photons(expected, seed=0)


@pytest.mark.parametrize("N", [7, 2049, 16.0, True, "16"])
def test_patch_side(N):
    with pytest.raises((TypeError, ValueError), match="N: "):
        ptycho_fast.extract_patches(OBJ, AT, N)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.empty((2, N, N), np.float64), TypeError, "out: dtype float64 given, expected float32"),
        (np.empty((1, N, N), np.float32), ValueError, r"out: shape \(1, 16, 16\) given"),
        (np.empty((2, N, 2 * N), np.float32)[:, :, ::2], ValueError, "out: .*C-contiguous"),
        ([1, 2], TypeError, "out: list given"),
    ],
)
def test_out(out, error, message):
    with pytest.raises(error, match=message):
        ptycho_fast.diffract(OBJ, PROBE, AT, out=out)


def test_out_must_not_be_an_input_or_read_only():
    shared = np.zeros((2, N, N), np.complex64)
    with pytest.raises(ValueError, match="out: shares memory with an input"):
        ptycho_fast.extract_patches(shared[0], AT, N, out=shared)
    locked = np.zeros((2, N, N), np.float32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="out: expected a writeable"):
        ptycho_fast.diffract(OBJ, PROBE, AT, out=locked)


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
@pytest.mark.parametrize("variable", ["PTYCHO_FAST_THREADS", "OMP_NUM_THREADS"])
def test_thread_variables(monkeypatch, variable, value):
    monkeypatch.delenv("PTYCHO_FAST_THREADS", raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=f"{variable}: '{value}' given"):
        ptycho_fast.diffract(OBJ, PROBE, AT)


def test_thread_variables_in_order(monkeypatch):
    from ptycho_fast.threads import thread_count

    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    monkeypatch.delenv("PTYCHO_FAST_THREADS", raising=False)
    assert thread_count(None) == 3
    monkeypatch.setenv("PTYCHO_FAST_THREADS", "5")
    assert thread_count(None) == 5
    assert thread_count(2) == 2


@pytest.mark.native
def test_instruction_set_that_is_missing(monkeypatch):
    monkeypatch.setenv("PTYCHO_FAST_ISA", "mmx")
    with pytest.raises(ValueError, match="PTYCHO_FAST_ISA: 'mmx' given, expected one .*baseline"):
        ptycho_fast.diffract(OBJ, PROBE, AT, backend="native")


def test_a_bright_but_possible_dose_is_allowed(backend):
    """The check before a bright run is by measurement, not by its bound."""
    dim = OBJ * np.complex64(0.5)
    dim[0, 0] = 2000  # raises the bound, lies under no patch
    counts = ptycho_fast.observe(dim, PROBE, AT + 8, scale=2000, seed=0, backend=backend)
    assert counts.max() == pytest.approx(0.25 * N**2 * 2000**2, rel=1e-3)


def test_scenarios_that_cannot_run(tmp_path):
    preset = ptycho_fast.Scenario.preset
    with pytest.raises(ptycho_fast.ScenarioError, match="probe.file: nothing given"):
        ptycho_fast.simulate(preset("gs1_custom"))
    small = preset("gs2_ideal").replace({"scan.n_patterns": 2})
    with pytest.raises(ptycho_fast.ScenarioError, match="dose.nphotons: .* given: .*2\\*\\*31"):
        ptycho_fast.simulate(small.replace({"dose.nphotons": 1e13}))
    dark = tmp_path / "dark.npy"
    np.save(dark, np.zeros((100, 100), np.complex64))
    with pytest.raises(ValueError, match="no light reaches the detector"):
        ptycho_fast.simulate(small.replace({"object.kind": "file", "object.file": str(dark)}))
    bright = tmp_path / "bright.npy"
    np.save(bright, np.full((100, 100), 1e18, np.complex64))
    for noise in (True, False):
        with pytest.raises(ValueError, match="^obj, probe: .* overflow float32"):
            ptycho_fast.simulate(
                small.replace({"object.kind": "file", "object.file": str(bright)}), noise=noise
            )
    probe = tmp_path / "probe.npz"
    np.savez(probe, probeGuess=np.ones((32, 32), np.complex64))
    with pytest.raises(ValueError, match="probe.npz.*32"):
        ptycho_fast.simulate(small.replace({"probe.kind": "file", "probe.file": str(probe)}))
