"""Slips of units and other values that cannot be meant: one line, which names the key."""

import numpy as np
import pytest

from ptycho_fast import Scenario, ScenarioError
from ptycho_fast.experiment import make_experiment

SMALL = {"N": 16, "object.size": 64, "scan.n_patterns": 6}
KEV8 = {"optics.energy_ev": 8e3}
DETECTOR = {**KEV8, "optics.detector_distance_m": 2.0, "optics.detector_pixel_m": 75e-6}
SCHELL = {"probe.mode_kind": "gaussian_schell"}
FILE = {"scan.kind": "file", "scan.n_patterns": None}
SENSOR = "detector.thickness_m"
ZERNIKE = {"probe.kind": "zernike"}

SLIPS = {
    "pixel in um": ({**DETECTOR, "optics.detector_pixel_m": 75.0}, "optics.detector_pixel_m"),
    "distance in mm": (
        {**DETECTOR, "optics.detector_distance_m": 2000.0}, "optics.detector_distance_m",
    ),
    "object pixel in nm": ({**KEV8, "optics.object_pixel_m": 30.0}, "optics.object_pixel_m"),
    "finer than half a wavelength": (
        {**KEV8, "optics.object_pixel_m": 3e-11}, "optics.object_pixel_m",
    ),
    "distance in km": (
        {**DETECTOR, "optics.detector_distance_m": 2e-6}, "optics.detector_pixel_m",
    ),
    "wavelength in angstrom": ({"optics.wavelength_m": 1.5}, "optics.wavelength_m"),
    "slices in um": (
        {**DETECTOR, "object.slices": 2, "optics.slice_distance_m": 10.0},
        "optics.slice_distance_m",
    ),
    "sensor in um": ({**KEV8, "detector.material": "Si", "detector.thickness_m": 450.0}, SENSOR),
    "two efficiencies": (
        {
            **KEV8, "detector.material": "Si", "detector.thickness_m": 450e-6,
            "detector.quantum_efficiency": 0.9,
        },
        "detector.material",
    ),
    "pixels of another detector": (
        {**DETECTOR, "detector.preset": "pilatus3"}, "optics.detector_pixel_m",
    ),
    "point spread in um": ({"detector.point_spread": 75.0}, "detector.point_spread"),
    "source in um": ({"detector.source_blur": 50.0}, "detector.source_blur"),
    "curvature in degrees": ({"probe.curvature": 360.0}, "probe.curvature"),
    "coherence length in m": ({**SCHELL, "probe.coherence_length": 1e-7}, "probe.coherence_length"),
    "aberrations in nm": (
        {**ZERNIKE, "probe.coefficients": (300.0,), "probe.indices": (4,)}, "probe.coefficients",
    ),
    "an aberration twice": (
        {**ZERNIKE, "probe.coefficients": (0.1, 0.2), "probe.indices": (4, 4)}, "probe.indices",
    ),
    "random aberrations in nm": ({**ZERNIKE, "probe.random_rms": 300.0}, "probe.random_rms"),
    "scan in m": ({**FILE, "scan.file": "m.csv"}, "scan.unit"),
    "scan in m, not um": (
        {**FILE, "scan.file": "m.csv", "scan.unit": "um", "optics.object_pixel_m": 1e-8},
        "scan.unit",
    ),
    "other columns": ({**FILE, "scan.file": "columns.csv"}, "scan.x_column"),
    "radii upside down": (
        {"object.kind": "spheres", "object.radius_min": 9.0, "object.radius_max": 5.0},
        "object.radius_min",
    ),
    "star upside down": (
        {"object.kind": "siemens_star", "object.inner_radius": 30.0, "object.outer_radius": 10.0},
        "object.inner_radius",
    ),
    "no light in the probe": ({"probe.kind": "file", "probe.file": "dark.npy"}, "probe.normalise"),
    "seventeen modes": ({"probe.kind": "file", "probe.file": "many.npy"}, "probe.modes"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_text("x,y\n1e-6,2e-6\n1.3e-6,2.1e-6\n")
    (tmp_path / "columns.csv").write_text("time,dwell,stage\n0,20,30\n1,20,31\n")
    np.save("dark.npy", np.zeros((16, 16), np.complex64))
    np.save("many.npy", np.ones((17, 16, 16), np.complex64))


@pytest.mark.parametrize(("changes", "key"), SLIPS.values(), ids=SLIPS)
def test_named(changes, key):
    scenario = Scenario.preset("gs2_ideal").replace(SMALL)
    with pytest.raises(ScenarioError, match=rf"^{key}: .* expected ") as error:
        make_experiment(scenario.replace(changes))
    assert error.value.key == key
    assert "\n" not in str(error.value)


def test_small_patterns_and_binned_pixels_go_with_a_preset():
    eiger = {**SMALL, **KEV8, "detector.preset": "eiger2", "optics.detector_distance_m": 2.0}
    for pixel in (75e-6, 150e-6, 75.03e-6):
        scenario = Scenario.preset("gs2_ideal").replace({**eiger, "optics.detector_pixel_m": pixel})
        assert make_experiment(scenario).mask is None  # all within a module


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scan.jitter": 1e9}, "^scan: no light .* expected positions on the object"),
        (
            {"probe.kind": "file", "probe.file": "dark.npy", "probe.normalise": False},
            "^probe: no light .* expected an object and a probe that are not zero",
        ),
        (
            {
                **KEV8, "optics.object_pixel_m": 1e-7, "optics.slice_distance_m": 1e-6,
                "object.slices": 60,
            },
            r"^object: the light of pattern \d overflows float32, expected amplitudes",
        ),
    ],
)  # fmt: skip
def test_why_there_is_no_light(changes, message):
    scenario = Scenario.preset("gs2_ideal").replace(SMALL)
    with pytest.raises(ScenarioError, match=message):
        make_experiment(scenario.replace(changes))
