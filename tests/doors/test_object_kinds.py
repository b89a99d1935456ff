"""Every kind of object from the command line and from TOML."""

import numpy as np
import pytest
from PIL import Image

import ptycho_fast
from ptycho_fast import Scenario, objects, optics

KEYS = {
    "image_folder": {"folder": "pictures"},
    "refractive": {"delta": 1e-5, "beta": 1e-6, "map": "fractal_noise", "thickness_m": 1e-6},
    "file": {"file": "o.npy"},
}
BEAM = {"energy_ev": 9e3}
ELECTRONS = {"radiation": "electron", "energy_ev": 300e3}


@pytest.fixture(autouse=True)
def files(in_a_folder_of_its_own, tmp_path):
    (tmp_path / "pictures").mkdir()
    for i in range(3):
        picture = np.random.default_rng(i).integers(0, 256, (80, 90, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "pictures" / f"{i}.png")
    np.save(tmp_path / "o.npy", np.random.default_rng(0).uniform(0.5, 1, (72, 72)))


@pytest.mark.parametrize("kind", list(objects.KINDS.listed))
def test_every_kind_from_flags_and_from_toml(run, kind):
    keys = KEYS.get(kind, {}) | ({} if kind == "file" else {"size": 72})
    changes = {f"object.{name}": value for name, value in keys.items()}
    beam = ELECTRONS if kind == "weak_phase" else BEAM
    changes |= {f"optics.{name}": value for name, value in beam.items()}
    changes |= {"object.phase_min": -0.5, "object.phase_max": 1.0, "seeds.object": 5}
    small = {"N": 16, "scan.n_patterns": 3, "scan.buffer": 20}
    flags = [f"--set={name}={value}" for name, value in (small | changes).items()]
    kept = ["--quiet", "--backend", "reference"]
    assert run("gs2_ideal", f"--set=object.kind={kind}", *flags, *kept, "--out", "a.npz") == 0

    scenario = Scenario.preset("gs2_ideal").replace({"object.kind": kind, **small, **changes})
    with open("s.toml", "w", encoding="utf-8") as file:
        file.write(scenario.to_toml())
    assert run("s.toml", *kept, "--out", "b.npz") == 0

    first, second = (ptycho_fast.Dataset.load(name) for name in ("a.npz", "b.npz"))
    assert first.scenario.object == second.scenario.object == scenario.object
    geometry = optics.make_geometry(16, **beam)
    expected = objects.make_object(scenario.object, 5, geometry=geometry)
    for data in (first, second):
        np.testing.assert_array_equal(data.object, expected)
        assert (np.angle(data.object).min(), np.angle(data.object).max()) == pytest.approx(
            (-0.5, 1), abs=1e-6
        )
    np.testing.assert_array_equal(first.diffraction, second.diffraction)


def test_a_dry_run_refuses_what_the_run_would(run, capsys):
    for key, value in (("amplitude_min", 2), ("size", 12_000)):
        given = [f"--set=object.{key}={value}", "--set=object.amplitude_max=1"]
        assert run("gs2_ideal", "--set=object.kind=points", *given, "--dry-run") == 2
        assert f"object.{key}: " in capsys.readouterr().err


def test_slices_from_flags(run):
    beam = {"energy_ev": 9e3, "object_pixel_m": 50e-9, "slice_distance_m": 1e-6}
    flags = [f"--set=optics.{name}={value}" for name, value in beam.items()]
    flags += ["--set=object.kind=spheres", "--set=object.slices=3", "--set=object.size=72"]
    small = ["--N=16", "--n-patterns=3", "--backend=reference", "--quiet"]
    assert run("gs2_ideal", *flags, *small, "--out", "a.npz") == 0
    obj = ptycho_fast.Dataset.load("a.npz").object
    assert obj.shape == (3, 72, 72)
    assert (obj[0] != obj[1]).any()
