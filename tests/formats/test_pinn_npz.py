"""The PtychoPINN NPZ: what it holds, what comes back, and what is refused."""

import errno
import json
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.data.dataset import Dataset, dose_statistics
from ptycho_fast.formats import format_of, pinn_npz


@pytest.fixture(scope="module")
def dataset():
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace({"scan.n_patterns": 12})
    return ptycho_fast.simulate(scenario)


def test_contents(dataset, tmp_path):
    path = tmp_path / "set.npz"
    dataset.save(path)
    with np.load(path, allow_pickle=False) as file:
        shapes = {key: (file[key].shape, str(file[key].dtype)) for key in file.files}
        metadata = json.loads(str(file["_metadata"]))
        amplitude, x = file["diff3d"], file["xcoords"]
    assert shapes.pop("_metadata")[0] == ()
    assert shapes == {
        "xcoords": ((12,), "float64"),
        "ycoords": ((12,), "float64"),
        "xcoords_start": ((12,), "float64"),
        "ycoords_start": ((12,), "float64"),
        "diff3d": ((12, 64, 64), "float32"),
        "probeGuess": ((64, 64), "complex64"),
        "objectGuess": ((392, 392), "complex64"),
        "scan_index": ((12,), "int64"),
        "corrected_pixels": ((193,), "int64"),
        "corrections": ((193,), "int32"),
    }
    np.testing.assert_array_equal(x, dataset.positions[:, 0])
    s = dataset.intensity_scale
    np.testing.assert_array_equal(amplitude, (np.sqrt(dataset.counts) / s).astype(np.float32))
    assert metadata["scale_contract_version"] == "legacy_v1"
    assert metadata["measurement_domain"] == "normalized_amplitude"
    assert metadata["profile"] == "pinn-amplitude"
    assert metadata["intensity_scale"] == s
    assert metadata["scenario"] == dataset.scenario.to_dict()
    assert metadata["physics_parameters"] == {"N": 64, "nphotons": 1e9, "gridsize": 2}
    provenance = metadata["provenance"]
    assert provenance["version"] == ptycho_fast.__version__
    assert provenance["backend"] == dataset.provenance["backend"]
    photons = dataset.counts.sum(axis=(1, 2), dtype=np.uint64)
    assert provenance["dose"]["requested"] == 1e9
    assert provenance["dose"]["measured"]["mean"] == photons.mean()
    assert provenance["dose"]["measured"]["max"] == photons.max()


def test_round_trip(dataset, tmp_path):
    path = tmp_path / "set.npz"
    dataset.save(path, alias=True, patches=True)
    back = Dataset.load(path)
    for name in ("object", "probe", "positions", "positions_nominal"):
        np.testing.assert_array_equal(getattr(back, name), getattr(dataset, name))
    np.testing.assert_array_equal(back.amplitude(), dataset.amplitude())
    assert back.domain == "normalized_amplitude"
    assert (back.scenario, back.intensity_scale) == (dataset.scenario, dataset.intensity_scale)
    assert back.provenance == dataset.provenance
    np.testing.assert_allclose(back.photons(), dataset.photons(), rtol=1e-6)
    np.testing.assert_allclose(back.energies(), dataset.energies(), rtol=1e-6)
    np.testing.assert_array_equal(back.counts, dataset.counts)
    with np.load(path) as file:
        np.testing.assert_array_equal(file["diffraction"], file["diff3d"])
        patches = ptycho_fast.extract_patches(dataset.object, dataset.positions, 64)
        np.testing.assert_array_equal(file["ground_truth_patches"], patches)
    again = tmp_path / "again.npz"
    back.save(again, alias=True, patches=True)
    assert again.read_bytes() == path.read_bytes()


def test_noise_free_amplitude_is_the_root_of_the_intensity(tmp_path):
    scenario = ptycho_fast.Scenario.preset("gs1_ideal").replace({"scan.n_patterns": 3})
    dataset = ptycho_fast.simulate(scenario, noise=False)
    dataset.save(tmp_path / "free.npz")
    back = Dataset.load(tmp_path / "free.npz")
    np.testing.assert_array_equal(back.diffraction, np.sqrt(dataset.diffraction))
    assert back.provenance["noise"] is False


def test_several_modes_need_a_policy(dataset, tmp_path):
    two = replace(dataset, probe=np.concatenate([dataset.probe, dataset.probe]))
    with pytest.raises(ValueError, match="modes: a probe of 2 modes given, expected modes='first'"):
        two.save(tmp_path / "two.npz")
    with pytest.raises(ValueError, match="modes: 'sum' given"):
        two.save(tmp_path / "two.npz", modes="sum")
    assert list(tmp_path.iterdir()) == []
    two.save(tmp_path / "two.npz", modes="first")
    np.testing.assert_array_equal(Dataset.load(tmp_path / "two.npz").probe, dataset.probe)
    two.save(tmp_path / "both.npz", modes="all")
    np.testing.assert_array_equal(Dataset.load(tmp_path / "both.npz").probe, two.probe)
    with np.load(tmp_path / "both.npz") as file:
        assert file["probeGuess"].shape == (64, 64)
        assert json.loads(file["_metadata"].item())["mode_fractions"] == [0.5, 0.5]


def foreign(tmp_path, dataset, **changes):
    """A file as other programs write it: no metadata that says what it means."""
    contents = {
        "xcoords": dataset.positions[:, 0],
        "ycoords": dataset.positions[:, 1],
        "diffraction": dataset.amplitude(),
        "probeGuess": dataset.probe[0],
        "objectGuess": dataset.object,
    } | changes
    path = tmp_path / "foreign.npz"
    np.savez(path, **{k: v for k, v in contents.items() if v is not None})
    return path


def test_a_file_that_does_not_say_what_it_means(dataset, tmp_path):
    path = foreign(tmp_path, dataset)
    with pytest.raises(ValueError, match="does not say what its patterns mean; give domain="):
        Dataset.load(path)
    back = Dataset.load(path, domain="normalized_amplitude")
    np.testing.assert_array_equal(back.diffraction, dataset.amplitude())
    assert back.scenario is None
    with pytest.raises(ValueError, match="intensity_scale: none given, expected one"):
        back.photons()
    with pytest.raises(ValueError, match="domain: 'volts' given, expected one of count_intensity"):
        Dataset.load(path, domain="volts")
    dataset.save(tmp_path / "ours.npz")
    with pytest.raises(ValueError, match="domain 'count_intensity' given, but the file says"):
        Dataset.load(tmp_path / "ours.npz", domain="count_intensity")


def test_pickled_metadata_is_never_opened(dataset, tmp_path):
    path = foreign(tmp_path, dataset, _metadata=np.array({"a": 1}, object))
    assert Dataset.load(path, domain="normalized_amplitude").n_patterns == 12


def test_patches_are_written_under_both_keys(dataset, tmp_path):
    path = tmp_path / "set.npz"
    dataset.save(path, patches=True)
    with np.load(path) as file:
        patches = ptycho_fast.extract_patches(dataset.object, dataset.positions, 64)
        np.testing.assert_array_equal(file["Y"], patches)
        np.testing.assert_array_equal(file["ground_truth_patches"], patches)


# --- files of other programs ---


def test_a_probe_with_several_modes(dataset, tmp_path):
    probe = np.stack([dataset.probe[0], 2 * dataset.probe[0]]).astype(np.complex128)
    back = Dataset.load(foreign(tmp_path, dataset, probeGuess=probe), domain="normalized_amplitude")
    assert back.probe.dtype == np.complex64
    np.testing.assert_array_equal(back.probe, probe.astype(np.complex64))


def test_bad_pixels(dataset, tmp_path):
    """True is bad in the file, and False is bad in the mask; it is written again."""
    bad = np.zeros((64, 64), bool)
    bad[3, 5] = True
    assert dataset.mask is None
    back = Dataset.load(foreign(tmp_path, dataset, bad_pixels=bad), domain="normalized_amplitude")
    np.testing.assert_array_equal(back.mask, ~bad)
    back.save(tmp_path / "again.npz")
    with np.load(tmp_path / "again.npz") as file:
        np.testing.assert_array_equal(file["bad_pixels"], bad)
    np.testing.assert_array_equal(Dataset.load(tmp_path / "again.npz").mask, ~bad)


@pytest.mark.parametrize(("offset", "shift"), [(0.5, (0.5, 0.5)), ((0.5, -1), (0.5, -1)), (0, 0)])
def test_an_offset_of_the_positions(dataset, tmp_path, offset, shift):
    dataset.save(tmp_path / "set.npz")
    back = Dataset.load(tmp_path / "set.npz", position_offset=offset)
    np.testing.assert_array_equal(back.positions, dataset.positions + shift)
    np.testing.assert_array_equal(back.positions_nominal, dataset.positions + shift)


@pytest.mark.parametrize("offset", ["half", (1, 2, 3), np.nan, True, [1, "a"]])
def test_wrong_offsets(dataset, tmp_path, offset):
    dataset.save(tmp_path / "set.npz")
    with pytest.raises((TypeError, ValueError), match="position_offset: "):
        Dataset.load(tmp_path / "set.npz", position_offset=offset)


@pytest.mark.parametrize("dtype", ["u1", "i2", ">u4", "u4", "i8", "u8", "f2", "f4", "f8"])
def test_counts_of_all_types(dataset, tmp_path, dtype):
    counts = (dataset.counts % 100).astype(dtype)
    path = foreign(tmp_path, dataset, diffraction=counts)
    back = Dataset.load(path, domain="count_intensity")
    assert back.counts.dtype == np.uint32
    assert back.counts.dtype.isnative
    np.testing.assert_array_equal(back.counts, dataset.counts % 100)
    assert back.photons()[3] == counts[3].sum(dtype=float)


# --- data sets without light ---


def test_a_data_set_without_photons(dataset, tmp_path):
    dark = replace(dataset, diffraction=np.zeros_like(dataset.diffraction))
    dark.save(tmp_path / "dark.npz")
    back = Dataset.load(tmp_path / "dark.npz")
    for data in (dark, back):
        assert (data.photons() == 0).all()
        assert (data.energies() == 0).all()
        assert dose_statistics(data)["measured"] == {"mean": 0, "min": 0, "max": 0}
        assert "12 patterns" in repr(data)


# --- what is refused ---


def test_suffixes_without_a_format(dataset, tmp_path):
    for name in ("a.mat", "a.unknown", "a", "a.npz.gz"):
        with pytest.raises(ValueError, match=f"{name}: .* given, expected .npz.*pinn-amplitude"):
            dataset.save(tmp_path / name)
        with pytest.raises(ValueError, match=f"{name}: .* given, expected .npz"):
            format_of(name)
    with pytest.raises(ValueError, match="format: 'npz' given, expected one of pinn-amplitude"):
        dataset.save(tmp_path / "a.npz", format="npz")
    with pytest.raises(TypeError, match="colour: 'red' given, .*pinn-amplitude only: alias, modes"):
        dataset.save(tmp_path / "a.npz", colour="red")
    assert list(tmp_path.iterdir()) == []
    assert format_of("A.NPZ").load() is pinn_npz


def with_pixel(dataset, value, dtype="f4"):
    patterns = (dataset.counts % 100).astype(dtype)
    patterns[7, 1, 2] = value
    return patterns


@pytest.mark.parametrize(
    ("domain", "patterns", "message"),
    [
        ("normalized_amplitude", lambda d: d.amplitude() + 1j, "complex64 array of shape"),
        ("normalized_amplitude", lambda d: d.amplitude() > 1, "bool array of shape"),
        ("normalized_amplitude", lambda d: d.counts.astype("M8[s]"), r"datetime64\[s\] array"),
        ("normalized_amplitude", lambda d: d.counts.astype(str), "<U10 array of shape"),
        ("normalized_amplitude", lambda d: d.counts.astype(object), "pickled"),
        (
            "normalized_amplitude",
            lambda d: with_pixel(d, -1),
            r"-1\.0 in pattern 7 .*none negative",
        ),
        ("normalized_amplitude", lambda d: with_pixel(d, np.nan), "nan in pattern 7"),
        (
            "normalized_amplitude",
            lambda d: with_pixel(d, 1e300, "f8"),
            r"1e\+300 in pattern 7 .* for float32",
        ),
        ("normalized_amplitude", lambda d: d.amplitude()[:0], r"shape \(0, 64, 64\) given"),
        ("count_intensity", lambda d: with_pixel(d, 0.5), r"0\.5 in pattern 7 given, expected ph"),
        ("count_intensity", lambda d: with_pixel(d, -1), r"-1\.0 to .* in pattern 7 given"),
        ("count_intensity", lambda d: with_pixel(d, -1, "i4"), "-1 to .* in pattern 7 given"),
        ("count_intensity", lambda d: with_pixel(d, 2**32), "to 4294967296.0 in pattern 7"),
        ("count_intensity", lambda d: with_pixel(d, 2**32, "i8"), "to 4294967296 in pattern 7"),
        ("count_intensity", lambda d: with_pixel(d, np.nan), "nan to nan in pattern 7"),
        ("count_intensity", lambda d: with_pixel(d, np.inf), "to inf in pattern 7"),
    ],
)
def test_patterns_that_cannot_be(dataset, tmp_path, domain, patterns, message):
    path = foreign(tmp_path, dataset, diffraction=patterns(dataset))
    with pytest.raises(ValueError, match=f"foreign.npz: .*diffraction.*{message}"):
        Dataset.load(path, domain=domain)


def rewritten(dataset, tmp_path, **changes):
    """A file of ours with other metadata."""
    path = tmp_path / "set.npz"
    dataset.save(path, force=True)
    with np.load(path) as file:
        contents = dict(file)
    metadata = json.loads(str(contents["_metadata"])) | changes
    np.savez(path, **contents | {"_metadata": np.array(json.dumps(metadata))})
    return path


@pytest.mark.parametrize("scale", [np.nan, -1, 0, np.inf, "abc", True, [1], 10**400])
def test_scales_that_cannot_be(dataset, tmp_path, scale):
    path = rewritten(dataset, tmp_path, intensity_scale=scale)
    with pytest.raises(ValueError, match=r"set.npz: intensity_scale: .* given, expected a"):
        Dataset.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scan.n_patterns": 13}, "scan.n_patterns: 13 given, expected 12"),
        ({"N": 32}, "N: 32 given, expected 64"),
    ],
)
def test_a_scenario_that_contradicts_the_arrays(dataset, tmp_path, changes, message):
    other = dataset.scenario.replace(changes)
    path = rewritten(dataset, tmp_path, scenario=other.to_dict())
    with pytest.raises(ptycho_fast.ScenarioError, match=f"set.npz: scenario {message}"):
        Dataset.load(path)
    with pytest.raises(ValueError, match=f"scenario {message}.*scenario=None"):
        replace(dataset, scenario=other).save(tmp_path / "new.npz")


def nested(depth):
    table = {}
    for _ in range(depth):
        table = {"a": table}
    return table


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenario": {"dose.nphotons": -1}}, "scenario: dose.nphotons: -1 given"),
        ({"scenario": {"colour": 1}}, "scenario: colour: unknown key"),
        ({"scenario": [1]}, r"scenario: \[1\] given, expected a table"),
        ({"scenario": nested(900)}, "scenario: "),
        ({"provenance": "us"}, "provenance: 'us' given, expected a table"),
        ({"measurement_domain": ["counts"]}, "measurement_domain: .* given, expected one of"),
    ],
)
def test_metadata_that_cannot_be(dataset, tmp_path, changes, message):
    with pytest.raises(ValueError, match=f"set.npz: {message}"):
        Dataset.load(rewritten(dataset, tmp_path, **changes))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (np.array("{" * 4), "no JSON"),
        (np.array("[" * 200_000), "no JSON"),
        (np.array('{"a":' * 50_000), "no JSON"),
        (np.array(["{}", "{}"]), r"<U2 array of shape \(2,\) given, expected one JSON text"),
    ],
    ids=range(4),
)
def test_metadata_that_are_no_metadata(dataset, tmp_path, metadata, message):
    path = foreign(tmp_path, dataset, _metadata=metadata)
    with pytest.raises(ValueError, match=f"foreign.npz: _metadata: {message}"):
        Dataset.load(path, domain="normalized_amplitude")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"xcoords": None}, "no key 'xcoords', found diffraction"),
        ({"probeGuess": None}, "no key 'probeGuess'"),
        ({"diffraction": None}, "no key 'diff3d'"),
        (
            {"xcoords": np.zeros(3)},
            r"xcoords: shape \(3,\) given, expected \(12,\), a number for each",
        ),
        (
            {"probeGuess": np.ones((8, 8))},
            r"probeGuess: shape \(8, 8\) given, expected \(64, 64\) or \(M, 64, 64\)",
        ),
        ({"objectGuess": np.ones(8)}, r"objectGuess: shape \(8,\) given, expected \(H, W\)"),
        ({"ycoords": np.full(12, np.nan)}, "ycoords: nan at index"),
        ({"ycoords": np.full(12, "1")}, "ycoords: <U1 array .* given, expected real numbers"),
        ({"xcoords": np.ones(12, bool)}, "xcoords: bool array .* given, expected real numbers"),
        (
            {"objectGuess": np.full((80, 80), 1e300)},
            "objectGuess: 1e\\+300 at .* overflows complex64",
        ),
        ({"probeGuess": np.full((64, 64), "a")}, "probeGuess: <U1 array"),
        ({"probeGuess": np.full((0, 64, 64), 1)}, r"probeGuess: shape \(0, 64, 64\) given"),
        ({"bad_pixels": np.ones((64, 64))}, "bad_pixels: float64 array .* expected booleans"),
        ({"bad_pixels": np.ones((4, 4), bool)}, r"bad_pixels: shape \(4, 4\) given"),
    ],
)
def test_inconsistent_files(dataset, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        Dataset.load(foreign(tmp_path, dataset, **changes), domain="normalized_amplitude")


def test_unreadable_files(dataset, tmp_path):
    path = tmp_path / "set.npz"
    dataset.save(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"PK\x03\x04", b"text", whole[100:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="set.npz:.* cannot be read"):
            Dataset.load(path)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match="set.npz:.* cannot be read"):
        Dataset.load(path)
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(ValueError, match="one.npy: a single array, expected an .npz"):
        Dataset.load(tmp_path / "one.npy", format="pinn-amplitude")
    with pytest.raises(FileNotFoundError, match="none.npz: no such file"):
        Dataset.load(tmp_path / "none.npz")


def test_only_what_is_needed_is_unpacked(dataset, tmp_path):
    path = tmp_path / "set.npz"
    dataset.save(path)
    with np.load(path) as file:
        contents = dict(file)
    unused = np.zeros(2**22)  # 32 MiB, 32 kB when compressed
    np.savez_compressed(path, **contents, unused=unused, Y=unused, ground_truth_patches=unused)
    tracemalloc.start()
    Dataset.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_small_file_that_claims_much(dataset, tmp_path, compression):
    path = foreign(tmp_path, dataset, diffraction=None)
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**12, 64, 64)}
    with zipfile.ZipFile(path, "a", compression) as archive, archive.open("diff3d.npy", "w") as to:
        np.lib.format.write_array_header_1_0(to, header)
    with pytest.raises(
        ValueError, match=r"foreign.npz: key 'diff3d': cannot be read \(0 bytes for"
    ):
        Dataset.load(path, domain="normalized_amplitude")


def test_a_save_that_fails_changes_nothing(dataset, tmp_path, monkeypatch):
    path = tmp_path / "set.npz"
    path.write_text("old")

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="No space left"):
        dataset.save(path, force=True)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["set.npz"]


def test_the_predicted_size_is_the_size(dataset, tmp_path):
    for alias in (False, True):
        for patches in (False, True):
            path = tmp_path / f"{alias}{patches}.npz"
            dataset.save(path, alias=alias, patches=patches)
            size = dataset.check(path, alias=alias, patches=patches)
            assert 0 <= path.stat().st_size - size < 10_000


def test_a_large_file_is_remarked(dataset, tmp_path, monkeypatch, caplog):
    dataset.save(tmp_path / "a.npz")
    assert not caplog.messages
    monkeypatch.setattr(pinn_npz, "_LARGE", 10**6)
    dataset.save(tmp_path / "b.npz")
    assert "b.npz: 0.0 GB; the programs that read this format load the whole" in caplog.messages[0]


@pytest.mark.parametrize(
    ("key", "array", "message"),
    [
        ("probe_weights", np.ones((12, 5)), r"shape \(12, 5\) given, expected \(12, 1\)"),
        (
            "eigenprobes",
            np.ones((2, 8, 8)),
            r"shape \(2, 8, 8\) .*\(planes, 64, 64\)",
        ),
        ("positions_path", np.ones((12, 3)), r"shape \(12, 3\) given, expected \(12, S, 2\)"),
        ("dose_factors", np.full(12, np.nan), "dose_factors"),
        ("object_slices", np.ones((9, 9)), r"expected \(L, H, W\)"),
    ],
)
def test_own_arrays_are_checked(dataset, tmp_path, key, array, message):
    dataset.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        contents = dict(file)
    np.savez(tmp_path / "b.npz", **contents, **{key: array})
    with pytest.raises(ValueError, match=rf"b\.npz: {key}: .*{message}|{key}.*finite"):
        Dataset.load(tmp_path / "b.npz")


def test_the_geometry_in_a_file_is_checked(dataset, tmp_path):
    dataset.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        contents = dict(file)
    metadata = json.loads(contents["_metadata"].item())
    assert Dataset.load(tmp_path / "a.npz").geometry == dataset.geometry
    metadata["geometry"]["energy_ev"] = "8 keV"
    contents["_metadata"] = np.array(json.dumps(metadata))
    np.savez(tmp_path / "b.npz", **contents)
    with pytest.raises(ValueError, match="b.npz: geometry energy_ev: '8 keV' given"):
        Dataset.load(tmp_path / "b.npz")
    del metadata["geometry"]  # as in files of earlier versions
    contents["_metadata"] = np.array(json.dumps(metadata))
    np.savez(tmp_path / "c.npz", **contents)
    assert Dataset.load(tmp_path / "c.npz").geometry is None
