"""The group of what other programs' layouts have no place for, and counts as float32."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ptycho_fast.formats import rest, stored_counts
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.hdf5_file import open_file

B, N, K = 3, 8, 2


@pytest.fixture
def contents():
    rng = np.random.default_rng(1)
    xy = rng.uniform(0, 9, (B, 2))
    return Contents(
        object=np.ones((12, 11), np.complex64),
        probe=np.ones((1, N, N), np.complex64),
        positions=xy,
        positions_nominal=np.round(xy),
        diffraction=rng.integers(0, 9, (B, N, N), dtype=np.uint32),
        domain="count_intensity",
        intensity_scale=2.5,
        mask=rng.random((N, N)) > 0.1,
        eigenprobes=np.ones((K, N, N), np.complex64),
        weights=rng.random((B, 1 + K)).astype(np.float32),
        path=rng.uniform(0, 9, (B, 5, 2)),
        dose_factors=rng.random(B),
        geometry={"object_pixel_m": 1e-8},
        provenance={"note": "ü", "noise": True},
    )


def test_everything_comes_back(contents, tmp_path):
    corrections = np.array([4, 70]), np.array([-1, 3], np.int32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        rest.write(file, contents, format="x", corrections=corrections, origin=[1, 2])
    with open_file(tmp_path / "a.h5") as file:
        found = rest.read(file, B, N)
    for name in ("positions_nominal", "mask", "eigenprobes", "weights", "path", "dose_factors"):
        np.testing.assert_array_equal(found.arrays[name], getattr(contents, name), err_msg=name)
    assert found.domain == "count_intensity"
    assert found.photon_scale == 2.5
    assert found.metadata["origin"] == [1, 2]
    assert found.fields()["provenance"] == contents.provenance
    assert found.fields()["geometry"] == contents.geometry
    np.testing.assert_array_equal(found.corrections, corrections)


def test_only_what_there_is_to_say(contents, tmp_path):
    plain = replace(
        contents,
        positions_nominal=contents.positions,
        mask=None,
        eigenprobes=None,
        weights=None,
        path=None,
        dose_factors=None,
    )
    with h5py.File(tmp_path / "a.h5", "w") as file:
        rest.write(file, plain, format="x", held=("object", "probe"))
        assert list(file["ptycho_fast"]) == ["metadata"]


def test_a_file_of_another_program_says_nothing(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["other"] = 1
    with open_file(tmp_path / "a.h5") as file:
        found = rest.read(file, B, N)
    assert (found.metadata, found.arrays, found.corrections) == ({}, {}, None)
    assert found.photon_scale == 1


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "weights",
            np.ones((B + 1, 3), np.float32),
            r"weights: float32 array.*expected \(3, M \+ K\)",
        ),
        ("weights", np.full((B, 3), np.nan, np.float32), "weights: nan at index"),
        ("mask", np.ones((N, N)), "mask: float64 array.*expected"),
        ("path", np.array(["text"], "S"), "path: .*expected"),
        ("corrections_index", np.array([70, 4]), "rising numbers from 0 to 191"),
        ("corrections_index", np.array([4, 192]), "rising numbers from 0 to 191"),
        ("corrections_index", np.array([4]), "1 pixels and 2 numbers given"),
        ("metadata", np.bytes_(b"{"), "metadata: no JSON"),
        ("metadata", np.bytes_(b"[" * 100_000), "metadata: no JSON"),
        ("metadata", np.bytes_(b"[]"), "metadata: list given, expected a table"),
        ("metadata", np.float64(3), "metadata"),
        ("metadata", {"measurement_domain": "furlongs"}, "measurement_domain: 'furlongs'"),
        ("metadata", {"intensity_scale": -1}, "intensity_scale: -1"),
        ("metadata", {"intensity_scale": "2"}, "intensity_scale: '2'"),
        ("metadata", {"geometry": [1]}, r"geometry: \[1\] given, expected a table"),
        ("metadata", {"provenance": 3}, "provenance: 3 given, expected a table"),
    ],
)
def test_what_cannot_be_right_is_refused(contents, tmp_path, key, value, message):
    corrections = np.array([4, 70]), np.array([-1, 3], np.int32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        rest.write(file, contents, format="x", corrections=corrections)
        del file[f"ptycho_fast/{key}"]
        stored = np.bytes_(json.dumps(value).encode()) if isinstance(value, dict) else value
        file[f"ptycho_fast/{key}"] = stored
    with open_file(tmp_path / "a.h5") as file, pytest.raises(ValueError, match=message):
        rest.read(file, B, N)


@given(arrays(np.uint32, (3, 4, 4), elements=st.integers(0, 2**32 - 1)))
def test_float32_gives_every_count_back(counts):
    stored, rounding = stored_counts.as_float32(counts)
    as_stored = np.asarray(stored)
    back = stored_counts.checked(as_stored, "dp", "count_intensity", rounding.corrections(3))
    np.testing.assert_array_equal(back[:], counts)
    for i in (2, 0, 1):  # any part, in any order
        np.testing.assert_array_equal(back[i], counts[i])


def test_a_resumed_run_takes_its_notes_instead_of_the_patterns():
    counts = np.full((4, 2, 2), 2**31 + 1, np.uint32)
    stored, rounding = stored_counts.as_float32(counts)
    stored[1:3]
    stored[1:3]  # twice: nothing is counted twice
    again = stored_counts.as_float32(counts)[1]
    again.restore(1, 3, json.loads(json.dumps(rounding.notes(1, 3))))
    index, difference = again.corrections(4)
    np.testing.assert_array_equal(index, np.arange(4, 12))
    np.testing.assert_array_equal(difference, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 0.5, 2.0**33])
def test_no_counts(bad):
    stored = np.zeros((3, 2, 2))
    stored[2, 0, 1] = bad
    patterns = stored_counts.checked(stored, "a.h5: dp", "count_intensity")
    assert patterns[:2].dtype == np.uint32  # the others can be read
    with pytest.raises(ValueError, match="a.h5: dp: .* in pattern 2 given, expected whole numbers"):
        patterns[1:]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 1e39])
def test_no_intensities(bad):
    stored = np.zeros((3, 2, 2))
    stored[2, 0, 1] = bad
    patterns = stored_counts.checked(stored, "a.h5: dp", "normalized_intensity")
    with pytest.raises(ValueError, match="a.h5: dp: .* in pattern 2 given, expected finite"):
        patterns[1:]
    if bad == -1.0:  # signals of a detector may be
        assert stored_counts.checked(stored, "dp", "detector_signal")[2].min() == -1
