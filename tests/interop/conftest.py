"""Our files, opened with the readers of the programs that they are for, and their files with ours.

The programs come with the extra ``interop``. Where one is missing its tests are skipped by name; if
PTYCHO_FAST_REQUIRE names "interop", as in the integration's own step, that is a failure.
"""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest

import ptycho_fast

HERE = Path(__file__).parent
REQUIRED = "interop" in os.environ.get("PTYCHO_FAST_REQUIRE", "").split(",")
INSTALL = "pip install 'ptycho_fast[interop]'"


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))  # theirs are not ours


@pytest.fixture
def program():
    """``program(module)``: a module of another program, or a skip that names it."""

    def found(name):
        top = name.partition(".")[0]
        if importlib.util.find_spec(top) is None:
            assert not REQUIRED, f"{top} is required and is not installed; {INSTALL}"
            pytest.skip(f"{top} is not installed; {INSTALL}")
        return importlib.import_module(name)

    return found


N, H, W = 64, 128, 160
OPTICS = {
    "optics.energy_ev": 8000.0,
    "optics.detector_distance_m": 2.0,
    "optics.detector_pixel_m": 75e-6,
}


def _object(height, width):
    y, x = np.mgrid[:height, :width]
    amplitude = 0.8 + 0.2 * np.sin(x / 5 + y / 9)
    return (amplitude * np.exp(1j * (np.sin(x / 7) + np.cos(y / 11 - x / 23)))).astype("c8")


def _probe():
    """Two modes that are equal to none of their mirror images."""
    y, x = np.mgrid[:N, :N] - N / 2
    first = np.exp(-((x - 3) ** 2) / 90 - (y + 2) ** 2 / 50 + 1j * (x * x / 50 - 0.2 * y))
    return np.array([first, 0.4 * first * (x - 3) / 8]).astype("c8")


def _dataset(positions):
    keys = {"detector.dead_pixels": 2e-3, "dose.nphotons": 1e5, "scan.kind": "given"} | OPTICS
    scenario = ptycho_fast.Scenario.preset("gs1_ideal").replace(keys)
    return ptycho_fast.simulate(scenario, object=_object(H, W), probe=_probe(), positions=positions)


@pytest.fixture(scope="session")
def whole():
    """12 patterns at whole pixels; the first one at the golden position."""
    rng = np.random.default_rng(7)
    corners = np.stack([rng.integers(0, W - N, 12), rng.integers(0, H - N, 12)], axis=1)
    corners[0] = 30, 20
    return _dataset(corners + N // 2)


@pytest.fixture(scope="session")
def between():
    """12 patterns between pixels."""
    rng = np.random.default_rng(8)
    return _dataset(rng.uniform([33, 33], [W - 33, H - 33], (12, 2)))
