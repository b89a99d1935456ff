"""Every kind of scan: how many positions, where, in which order, and what a stage does to them."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from ptycho_fast import command, scans
from ptycho_fast.errors import ScenarioError
from ptycho_fast.optics import make_geometry
from ptycho_fast.scans import KINDS, ScanPath, check_inside, make_scan
from ptycho_fast.scans.concentric import concentric
from ptycho_fast.scans.fermat import fermat
from ptycho_fast.scans.jittered_raster import jittered_raster
from ptycho_fast.scans.lissajous import lissajous
from ptycho_fast.scans.path import drifted, finished, fly_path, offsets, stage_matrix
from ptycho_fast.scans.raster import raster
from ptycho_fast.scans.snake import snake
from ptycho_fast.scenario import ScanSpec, Scenario
from ptycho_fast.simulate import parser

DRAWN = [name for name in KINDS.listed if name != "file"]
STEPPED = ["raster", "snake", "jittered_raster", "fermat", "concentric"]
SHAPE = (220, 300)


def scan(kind, seed=42, shape=SHAPE, geometry=None, **keys):
    return make_scan(ScanSpec(kind=kind, **keys), shape, seed, geometry=geometry)


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(DRAWN),
    n=st.integers(1, 1500),
    H=st.integers(30, 400),
    W=st.integers(30, 400),
    buffer=st.floats(0, 14),
    seed=st.integers(0, 2**32 - 1),
)
def test_exactly_n_positions_inside_the_margin(kind, n, H, W, buffer, seed):
    found = scan(kind, seed, (H, W), n_patterns=n, buffer=buffer)
    xy = found.nominal
    assert xy.shape == (n, 2)
    assert xy.dtype == np.float64
    assert found.positions is xy
    assert found.path is None
    assert (xy >= buffer).all()
    assert (xy <= np.array([W, H]) - buffer).all()
    again = scan(kind, seed, (H, W), n_patterns=n, buffer=buffer)
    np.testing.assert_array_equal(xy, again.nominal)


# Published tools have made other numbers of positions of these requests.
@pytest.mark.parametrize("n", [1, 2, 3, 739, 961, 1000, 1021, 1024, 4096])
@pytest.mark.parametrize("kind", DRAWN)
def test_usual_and_odd_counts(kind, n):
    xy = scan(kind, n_patterns=n).nominal
    assert len(xy) == n
    if kind != "lissajous":  # a curve meets itself
        assert len(np.unique(xy.round(9), axis=0)) == n


@given(kind=st.sampled_from(STEPPED), n=st.integers(2, 300), step=st.floats(0.5, 20))
def test_a_step_in_metres_is_the_step_in_pixels(kind, n, step):
    pixel = 40e-9
    geometry = make_geometry(64, object_pixel_m=pixel)
    assume(step * n**0.5 < 140 / (1.5 if kind == "jittered_raster" else 1.3))
    pixels = scan(kind, n_patterns=n, step=step).nominal
    metres = scan(kind, geometry=geometry, n_patterns=n, step_m=step * pixel).nominal
    np.testing.assert_allclose(metres, pixels, rtol=1e-12)
    largest = scan(kind, n_patterns=n).nominal
    assert np.ptp(pixels, axis=0).max() <= np.ptp(largest, axis=0).max() * (1 + 1e-9)


@pytest.mark.parametrize("kind", STEPPED)
def test_the_step_is_the_distance_of_neighbours(kind):
    """Also of the spiral, whose step is the root of the area of a position."""
    xy = scan(kind, n_patterns=400, step=7.0).nominal
    nearest = cKDTree(xy).query(xy, 2)[0][:, 1]
    if kind in ("raster", "snake"):
        np.testing.assert_allclose(nearest, 7.0)
    elif kind == "concentric":  # the arc of a ring is 2 pi / 6 steps
        assert 0.95 * 7 < np.median(nearest) < 1.06 * 7
    else:
        assert 0.6 * 7 < np.median(nearest) < 1.06 * 7


# --- order ---


def test_rows_of_a_raster_and_of_a_snake():
    rows = raster(SHAPE, n_patterns=60, step=9, columns=10).reshape(6, 10, 2)
    back = snake(SHAPE, n_patterns=60, step=9, columns=10).reshape(6, 10, 2)
    np.testing.assert_allclose(np.diff(rows[..., 0], axis=1), 9)
    np.testing.assert_allclose(np.diff(rows[..., 1], axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(np.diff(rows[:, 0, 1]), 9)
    np.testing.assert_array_equal(back[::2], rows[::2])
    np.testing.assert_array_equal(back[1::2], rows[1::2, ::-1])
    way = np.hypot(*np.diff(back.reshape(-1, 2), axis=0).T)
    np.testing.assert_allclose(way, 9)


def test_a_raster_takes_the_largest_step_that_fits():
    for n, shape in ((1000, (220, 300)), (17, (50, 400)), (2, (300, 100))):
        xy = raster(shape, n_patterns=n, buffer=5)
        width = np.unique(xy[:, 0].round(6))
        step = np.diff(width)[0] if len(width) > 1 else np.diff(np.unique(xy[:, 1]))[0]
        for columns in range(1, n + 1):  # no number of columns has room for more
            with pytest.raises(ScenarioError, match=r"scan\.step: .* expected at most"):
                raster(shape, n_patterns=n, buffer=5, step=1.001 * step, columns=columns)


def test_a_raster_and_a_snake_are_the_same_points():
    a, b = (f(SHAPE, n_patterns=100, columns=10) for f in (raster, snake))
    assert {*map(tuple, a)} == {*map(tuple, b)}


def test_fermat_spiral():
    """Angles of 137.508 degrees, radii of a disk of even density, no two points close."""
    n, step = 900, 5.0
    x, y = (fermat((260, 260), n_patterns=n, step=step) - 130).T
    k = np.arange(n)
    np.testing.assert_allclose(np.hypot(x, y), step * np.sqrt(k / math.pi), atol=1e-9)
    turn = np.diff(np.unwrap(np.arctan2(y, x)[1:]))
    np.testing.assert_allclose(np.degrees(turn) % 360, 137.50776, atol=1e-4)
    assert np.pi * np.hypot(x, y).max() ** 2 / n == pytest.approx(step**2, rel=2e-3)
    nearest = cKDTree(np.stack([x, y], 1)).query(np.stack([x, y], 1), 2)[0][:, 1]
    assert nearest.min() == pytest.approx(step / math.sqrt(math.pi))  # of the first two
    assert 0.9 * step < nearest[5:].min() < nearest.max() < 1.1 * step


def test_concentric_rings():
    xy = concentric((300, 300), n_patterns=1 + 6 * (1 + 2 + 3 + 4), step=10, first_ring=6) - 150
    radius, counts = np.unique(np.hypot(*xy.T).round(6), return_counts=True)
    assert radius.tolist() == [0, 10, 20, 30, 40]
    assert counts.tolist() == [1, 6, 12, 18, 24]


def test_lissajous_curve():
    xy = lissajous((100, 200), n_patterns=1000, buffer=10, frequency_x=3, frequency_y=4, phase=0.5)
    t = (np.arange(1000) + 0.5) / 1000
    np.testing.assert_allclose(xy[:, 0], 100 + 90 * np.sin(6 * np.pi * t + 0.5))
    np.testing.assert_allclose(xy[:, 1], 50 + 40 * np.sin(8 * np.pi * t))


# --- a stage ---


def assert_unbiased(offset, sigma):
    """Mean, correlation and quadrants of independent offsets, within five standard errors."""
    n = len(offset)
    assert np.abs(offset.mean(axis=0)).max() < 5 * sigma / math.sqrt(n)
    assert abs((offset[:, 0] * offset[:, 1]).mean()) < 5 * sigma**2 / math.sqrt(n)
    quadrant = (offset[:, 0] > 0) * 2 + (offset[:, 1] > 0)
    counts = np.bincount(quadrant, minlength=4)
    assert np.abs(counts - n / 4).max() < 5 * math.sqrt(n * 3 / 16)
    np.testing.assert_allclose(offset.std(axis=0), sigma, rtol=5 / math.sqrt(n))


@pytest.mark.parametrize(("law", "sigma"), [("normal", 1.5), ("uniform", 1.5 / math.sqrt(3))])
def test_jitter_is_unbiased_in_all_four_quadrants(law, sigma):
    found = scan("raster", n_patterns=10_000, jitter=1.5, jitter_law=law)
    np.testing.assert_array_equal(found.nominal, scan("raster", n_patterns=10_000).nominal)
    assert_unbiased(found.positions - found.nominal, sigma)
    other = scan("raster", seed=43, n_patterns=10_000, jitter=1.5, jitter_law=law)
    assert (other.positions != found.positions).all()


@pytest.mark.parametrize("law", ["uniform", "normal"])
def test_offsets_of_a_jittered_raster_are_known_and_unbiased(law):
    keys = {"n_patterns": 10_000, "step": 1.9, "columns": 100, "offset_law": law}
    found = scan("jittered_raster", **keys)
    assert found.positions is found.nominal
    grid = raster(SHAPE, n_patterns=10_000, step=1.9, columns=100)
    offset = found.nominal - grid
    size = 0.25 * 1.9
    assert np.abs(offset).max() <= size * (1 if law == "uniform" else 3)
    cut = 0.98658  # standard deviation of a normal law cut off at 3 of its own
    assert_unbiased(offset, size * (1 / math.sqrt(3) if law == "uniform" else cut))
    flat = jittered_raster(SHAPE, 1, n_patterns=10_000, step=1.9, columns=100, offset=0.0)
    np.testing.assert_array_equal(flat, grid)


def test_offsets_follow_their_law():
    draw = np.random.default_rng(1)
    assert np.abs(offsets(draw, 5000, "normal", cut=2.0)).max() < 2
    with pytest.raises(ValueError, match="law: 'cauchy'"):
        offsets(draw, 1, "cauchy")


def test_drift():
    found = scan("raster", n_patterns=101, drift_x=-3.0, drift_y=2.0)
    error = found.positions - found.nominal
    np.testing.assert_allclose(error, np.linspace(0, 1, 101)[:, None] * [-3, 2], atol=1e-12)
    ends = np.array([drifted(50, (2.0, 0.5), "walk", seed)[-1] for seed in range(400)])
    np.testing.assert_allclose(ends.std(axis=0), [2.0, 0.5], rtol=0.2)
    assert np.abs(ends.mean(axis=0) / [2.0, 0.5]).max() < 0.25
    walk = drifted(50, (2.0, 0.5), "walk", 1)
    assert (walk[0] == 0).all()
    assert drifted(1, (1.0, 1.0), "linear", 1).tolist() == [[0, 0]]


def test_affine_error_of_the_stage():
    """About the middle of the scan: the mean stays, distances turn, stretch and shear."""
    keys = {"n_patterns": 400, "scale_x": 1.02, "scale_y": 0.97, "rotation": 0.03, "shear": 0.01}
    found = scan("fermat", **keys)
    nominal, true = found.nominal, found.positions
    np.testing.assert_allclose(true.mean(axis=0), nominal.mean(axis=0))
    fitted = np.linalg.lstsq(nominal - nominal.mean(axis=0), true - true.mean(axis=0), rcond=None)[
        0
    ].T
    np.testing.assert_allclose(fitted, stage_matrix(1.02, 0.97, 0.03, 0.01), atol=1e-12)
    # A small rotation alone: x moves to y.
    turned = finished(np.array([[0.0, 0.0], [2.0, 0.0]]), 1, rotation=math.pi / 2).positions
    np.testing.assert_allclose(turned, [[1, -1], [1, 1]], atol=1e-12)


def test_fly_scan_of_rows():
    """Each exposure runs along its row, and the jump to the next row is dark."""
    S, share = 5, 0.8
    found = scan("raster", n_patterns=40, step=6.0, columns=8, fly_points=S, fly_fraction=share)
    path = found.path
    assert path.shape == (40, S, 2)
    np.testing.assert_allclose(path.mean(axis=1), found.positions)
    np.testing.assert_allclose(path[..., 1], found.positions[:, None, 1].repeat(S, 1))
    np.testing.assert_allclose(np.diff(path[..., 0], axis=1), share * 6 / S)
    whole = scan("snake", n_patterns=40, step=6.0, columns=8, fly_points=S).path
    turning = np.abs(np.diff(whole[7], axis=0))  # at the end of a row the stage goes down
    np.testing.assert_allclose(turning, np.tile([0.0, 6 / S], (S - 1, 1)))


def test_fly_scan_starts_from_the_true_positions():
    found = scan("snake", n_patterns=100, jitter=0.5, drift_x=1.0, fly_points=4)
    np.testing.assert_allclose(found.path.mean(axis=1), found.positions)
    assert (found.positions != found.nominal).any()
    lonely = fly_path(np.array([[3.0, 4.0]]), 3, 1.0)
    assert lonely.tolist() == [[[3, 4]] * 3]


def test_check_inside_looks_at_every_sub_exposure():
    xy = np.array([[8.0, 8.0], [24.0, 8.0]])
    check_inside(xy, (32, 32), 16)
    path = np.stack([xy, xy], axis=1)
    path[1, 1, 0] += 0.25
    with pytest.raises(ScenarioError, match=r"pattern 1 at \[24\.25, 8\] reaches 0\.25 pixels"):
        check_inside(path, (32, 32), 16)


# --- golden ---

GOLDEN = {
    "concentric": "3c1ff5715568c7e9",
    "fermat": "5f761a5915e5cd98",
    "jittered_raster": "d788716544e2eeda",
    "lissajous": "a94e7a57e03c1fd8",
    "raster": "f2b90a27018d40a4",
    "snake": "863197df35ed1bad",
}
GOLDEN_STAGE = "dd526beb1c69bd3c"


def digest(*arrays):
    """Of positions in steps of 1e-6 pixel, which the last bits of sines do not change."""
    rounded = [np.round(a * 1e6).astype(np.int64) for a in arrays]
    return hashlib.sha256(b"".join(a.tobytes() for a in rounded)).hexdigest()[:16]


@pytest.mark.parametrize("kind", GOLDEN)
def test_golden_positions(kind):
    xy = scan(kind, n_patterns=739, buffer=12.3).nominal
    assert digest(xy) == GOLDEN[kind]


def test_golden_errors_of_the_stage():
    errors = {"jitter": 0.7, "drift_x": 2.0, "drift_law": "walk", "rotation": 0.01, "shear": 0.02}
    found = scan("jittered_raster", n_patterns=100, offset_law="normal", fly_points=3, **errors)
    assert digest(found.positions, found.path) == GOLDEN_STAGE


def test_every_drawn_kind_has_a_golden_hash():
    assert {*GOLDEN, "random"} == {*DRAWN}  # the published presets keep that of random


# --- from everywhere ---


@pytest.mark.parametrize("kind", [*KINDS.listed])
def test_from_python_toml_and_flags(kind, tmp_path):
    """The same positions from all three, with every common key."""
    keys = {"jitter": 0.5, "drift_x": 1.0, "rotation": 0.01, "fly_points": 2, "boundary": "edge"}
    if kind == "file":
        np.savetxt(tmp_path / "scan.txt", scan("raster", n_patterns=9).nominal)
        keys["file"] = str(tmp_path / "scan.txt")
    else:
        keys["n_patterns"] = 37
    in_python = ScanSpec(kind=kind, **keys)
    text = "\n".join(f"{name} = {value!r}" for name, value in keys.items())
    toml = tmp_path / "mine.toml"
    toml.write_text(f'preset = "gs2_ideal"\n[scan]\nkind = {kind!r}\n{text}\n')
    flags = [f"--set=scan.{name}={value}" for name, value in ({"kind": kind} | keys).items()]
    scenarios = [
        Scenario.load(toml),
        command.scenario_of(parser().parse_args(["gs2_ideal", *flags])),
    ]
    expected = make_scan(in_python, SHAPE, 42)
    for scenario in scenarios:
        found = make_scan(scenario.scan, SHAPE, scenario.seeds.scan)
        assert isinstance(found, ScanPath)
        np.testing.assert_array_equal(found.positions, expected.positions)
        np.testing.assert_array_equal(found.path, expected.path)


def test_the_flag_of_a_file(tmp_path):
    options = parser().parse_args(["gs2_ideal", "--scan-file", "mine.csv"])
    assert command.scenario_of(options).scan == ScanSpec(kind="file", file="mine.csv")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"step": 50.0},
            r"scan\.step: 50\.0 given, expected at most .* 1024 positions fit into the",
        ),
        ({"step_m": 1e-6}, r"optics\.object_pixel_m: nothing given, expected .*scan\.step_m"),
        ({"step": 5e-8}, r"scan\.step: 5e-08 given, .*a step in metres is scan\.step_m"),
        ({"step": 1.0, "step_m": 1e-6}, r"scan\.step_m: 1e-06 given, expected nothing beside"),
        ({"columns": 1025}, r"scan\.columns: 1025 given, expected at most scan\.n_patterns, 1024"),
        ({"buffer": 110.0}, r"buffer: 110\.0 given, expected less than half .*\(220 x 300\)"),
        ({"n_patterns": 0}, r"scan\.n_patterns: 0 given, expected an integer >= 1"),
        ({"jitter": -1.0}, r"scan\.jitter: -1\.0 given"),
        ({"rotation": 4.0}, r"scan\.rotation: 4\.0 given, expected a finite number from -3"),
        ({"scale_x": 0.0}, r"scan\.scale_x: 0\.0 given"),
        ({"fly_points": 0}, r"scan\.fly_points: 0 given"),
        ({"fly_fraction": 1.5}, r"scan\.fly_fraction: 1\.5 given"),
        ({"boundary": "wrap"}, r"scan\.boundary: 'wrap' given, expected one of zero, error"),
    ],
)
def test_refusals(keys, message):
    with pytest.raises(ValueError, match=message):
        scan("raster", **keys)


def test_every_kind_refuses_a_margin_without_area():
    for kind in DRAWN:
        with pytest.raises(ValueError, match="buffer: 150"):
            scan(kind, buffer=150)
    assert set(scans.COMMON) <= set(ScanSpec(kind="fermat").to_dict())
