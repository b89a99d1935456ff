"""Files of pty-chi, PtychoViT, ptycho-fm, ptypy, PtyLab: what stands in them, what is refused."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptycho_fast
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.formats import FORMATS, ptycho_fm, ptychovit, ptyd, ptylab, ptyr, recognise
from ptycho_fast.formats.work import Work

OPTICS = {
    "optics.energy_ev": 8000.0,
    "optics.detector_distance_m": 2.0,
    "optics.detector_pixel_m": 75e-6,
}
PIXEL = 12398.41984332003e-10 / 8000 * 2.0 / (64 * 75e-6)
WRITERS = {"ptychovit": "a.hdf5", "ptycho-fm": "a", "ptyd": "a.ptyd", "ptylab": "a.h5"}
TO_OPEN = WRITERS | {"ptychovit": "a_dp.hdf5"}


@pytest.fixture(scope="module")
def dataset():
    """Whole positions, two modes, a mask, counts beyond 2**24, an object of odd height."""
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace(
        OPTICS | {"scan.n_patterns": 12, "probe.modes": 2, "probe.mode_kind": "hermite_gauss"}
    )
    data = ptycho_fast.simulate(scenario)
    mask = np.ones((64, 64), bool)
    mask[3, 5] = False
    obj = data.object[:391]
    assert (data.counts > 2**24).any()
    return replace(data, positions=np.round(data.positions), mask=mask, object=obj)


@pytest.fixture
def contents(dataset):
    return dataset.contents(("count_intensity",))


def power(probe):
    return np.square(np.abs(probe), dtype=np.float64).sum()


@pytest.mark.parametrize("name", WRITERS)
def test_round_trip(dataset, tmp_path, name):
    made = dataset.save(tmp_path / WRITERS[name], format=name)
    assert all(path.is_file() for path in made)
    with ptycho_fast.open(tmp_path / TO_OPEN[name]) as found:
        assert recognise(tmp_path / TO_OPEN[name]).name == name
        assert found.is_lazy
        np.testing.assert_array_equal(found.counts[:], dataset.counts)
        np.testing.assert_array_equal(found.counts[[7, 2]], dataset.counts[[7, 2]])
        assert np.abs(found.positions - dataset.positions).max() * PIXEL < 1e-9
        np.testing.assert_array_equal(found.positions_nominal, dataset.positions_nominal)
        np.testing.assert_array_equal(found.object, dataset.object)
        np.testing.assert_allclose(found.probe, dataset.probe, atol=1e-7 * abs(dataset.probe).max())
        assert power(found.probe) == pytest.approx(power(dataset.probe), rel=1e-6)
        assert found.intensity_scale == dataset.intensity_scale
        assert found.scenario == dataset.scenario
        assert found.provenance == dataset.provenance
        assert found.geometry == dataset.geometry
        np.testing.assert_array_equal(found.mask, dataset.mask)


@pytest.mark.parametrize("name", WRITERS)
def test_the_bytes_depend_on_the_contents_alone(dataset, tmp_path, name):
    files = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / WRITERS[name]
        files.append(dataset.save(path, format=name, memory=6 * 2**20))
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", WRITERS)
def test_without_noise(tmp_path, name):
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace(OPTICS | {"scan.n_patterns": 2})
    data = ptycho_fast.simulate(scenario, noise=False)
    data = replace(data, positions=np.round(data.positions))
    data.save(tmp_path / WRITERS[name], format=name)
    found = Dataset.load(tmp_path / TO_OPEN[name])
    assert found.domain == "normalized_intensity"
    np.testing.assert_array_equal(found.diffraction, data.diffraction)
    np.testing.assert_allclose(found.probe, data.probe, atol=1e-7 * abs(data.probe).max())


@pytest.mark.parametrize("name", WRITERS)
def test_a_detector_that_stores_signals(tmp_path, name):
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace(
        OPTICS | {"scan.n_patterns": 2, "detector.gain": 4.0, "detector.offset": 10.0}
    )
    data = ptycho_fast.simulate(scenario)
    data = replace(data, positions=np.round(data.positions))
    data.save(tmp_path / WRITERS[name], format=name)
    found = Dataset.load(tmp_path / TO_OPEN[name])
    assert found.domain == "detector_signal"
    np.testing.assert_array_equal(found.diffraction, data.diffraction)
    np.testing.assert_allclose(found.photons(), data.photons())


@pytest.mark.parametrize("name", WRITERS)
def test_existing_files_stay(dataset, tmp_path, name):
    made = dataset.save(tmp_path / WRITERS[name], format=name)
    before = [path.read_bytes() for path in made]
    with pytest.raises(FileExistsError):
        dataset.save(tmp_path / WRITERS[name], format=name)
    assert [path.read_bytes() for path in made] == before
    dataset.save(tmp_path / WRITERS[name], format=name, force=True)
    if name == "ptychovit":  # one of two is enough
        made[0].unlink()
        with pytest.raises(FileExistsError):
            FORMATS[name].check_target(tmp_path / WRITERS[name], False)


def test_both_files_of_a_product_are_looked_at(dataset, tmp_path):
    made = dataset.save(tmp_path / "a.h5", format="ptychodus")
    assert FORMATS["ptychodus"].load().targets(tmp_path / "a.h5") == tuple(made)


@pytest.mark.parametrize("name", WRITERS)
def test_lengths_that_are_needed(dataset, tmp_path, name):
    data = replace(dataset, geometry=None)
    with pytest.raises(ptycho_fast.ScenarioError, match=r"optics\..*_m: nothing given, expected"):
        data.check(tmp_path / WRITERS[name], format=name)


@pytest.mark.parametrize("name", WRITERS)
def test_the_size_is_known_before(dataset, tmp_path, name):
    size = dataset.check(tmp_path / WRITERS[name], format=name)
    made = dataset.save(tmp_path / WRITERS[name], format=name)
    assert size == pytest.approx(sum(path.stat().st_size for path in made), rel=0.4)


# --- the values that other programs find ---


def test_the_pair(dataset, tmp_path):
    dp, para = dataset.save(tmp_path / "scan_7.hdf5", format="ptychovit")
    assert (dp.name, para.name) == ("scan_7_dp.hdf5", "scan_7_para.hdf5")
    with h5py.File(dp) as file:
        assert file["dp"].dtype == np.float32
        np.testing.assert_array_equal(file["dp"], dataset.counts.astype(np.float32))
    with h5py.File(para) as file:
        assert file["object"].shape == (1, 392, 392)
        assert not file["object"][0, 391].any()
        probe = file["probe"][...]
        assert probe.shape == (1, 2, 64, 64)
        # Their transform is not normalised; the probe makes photons.
        wave = probe[0, :, :, :] * dataset.object[:64, :64]
        far = np.square(np.abs(np.fft.fft2(wave.astype(complex)))).sum()
        ours = power(dataset.probe * dataset.object[:64, :64]) * dataset.intensity_scale**2
        assert far == pytest.approx(ours, rel=1e-6)
        for name in ("object", "probe"):
            assert file[name].attrs["pixel_height_m"] == pytest.approx(PIXEL)
            assert file[name].attrs["pixel_width_m"] == pytest.approx(PIXEL)
        x = file["probe_position_x_m"][...] / PIXEL
        y = file["probe_position_y_m"][...] / PIXEL
        np.testing.assert_allclose(x, dataset.positions[:, 0] - 196, atol=1e-9)
        np.testing.assert_allclose(y, dataset.positions[:, 1] - 196, atol=1e-9)
        assert x.dtype == np.float64
        np.testing.assert_array_equal(file["probe_position_indexes"], np.arange(12))


@pytest.mark.parametrize(("origin", "x", "y"), [("ptychi", -2, -12), ("ptychi_head", -3, -13)])
def test_the_golden_position(contents, tmp_path, origin, x, y):
    at = np.array([[62.0, 52.0]])
    one = replace(
        contents,
        object=np.ones((128, 128), np.complex64),
        positions=at,
        positions_nominal=at,
        diffraction=contents.diffraction[:1],
    )
    ptychovit.write(tmp_path / "a.hdf5", one, Work(), origin=origin)
    with h5py.File(tmp_path / "a_para.hdf5") as file:
        found = [file[f"probe_position_{axis}_m"][0] / PIXEL for axis in "xy"]
    np.testing.assert_allclose(found, [x, y], atol=1e-9)
    np.testing.assert_allclose(ptychovit.read(tmp_path / "a_dp.hdf5").positions, at, atol=1e-9)


@given(
    height=st.integers(64, 131),
    width=st.integers(64, 131),
    origin=st.sampled_from(ptychovit.ORIGINS),
    at=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_metres_and_back(height, width, origin, at):
    shape, xy = ptychovit.even(np.zeros((height, width))).shape, np.array([at])
    assert shape == (height + height % 2, width + width % 2)
    metres = ptychovit.to_metres(xy, shape, 64, PIXEL, origin)
    back = ptychovit.from_metres(metres, shape, 64, PIXEL, origin)
    assert np.abs(back - xy).max() * PIXEL < 1e-15
    for wrong in (metres[:, ::-1], -metres, metres + 0.5 * PIXEL):
        if np.abs(wrong - metres).max() > 1e-3 * PIXEL:
            there = ptychovit.from_metres(wrong, shape, 64, PIXEL, origin)
            assert np.abs(there - xy).max() > 1e-4


def test_odd_objects_of_others_need_an_origin(dataset, tmp_path):
    dp, para = dataset.save(tmp_path / "a.hdf5", format="ptychovit")
    with h5py.File(para, "a") as file:
        del file["ptycho_fast"]
        attributes = dict(file["object"].attrs)
        obj = file["object"][:, :391]
        del file["object"]
        file["object"] = obj
        file["object"].attrs.update(attributes)
    with pytest.raises(ValueError, match="391 x 392, of odd sides.*give origin='ptychi' or"):
        ptycho_fast.open(dp, domain="count_intensity")
    found = ptycho_fast.open(dp, domain="count_intensity", origin="ptychi")
    assert found.intensity_scale == 1
    assert power(found.probe) == pytest.approx(
        power(dataset.probe) * dataset.intensity_scale**2, rel=1e-6
    )


def test_half_a_pair(dataset, tmp_path):
    dp, para = dataset.save(tmp_path / "a.hdf5", format="ptychovit")
    hidden = dp.rename(tmp_path / "hidden")
    with pytest.raises(ValueError, match="holds no patterns, expected a_dp.hdf5 beside it"):
        ptycho_fast.open(para)
    truth = ptychovit.truth(para)
    np.testing.assert_array_equal(truth.object, dataset.object)
    np.testing.assert_allclose(truth.positions, dataset.positions, atol=1e-9)
    assert power(truth.probe) == pytest.approx(power(dataset.probe), rel=1e-6)
    hidden.rename(dp)
    para.unlink()
    with pytest.raises(FileNotFoundError, match="a_para.hdf5: no such file, expected it beside"):
        ptycho_fast.open(dp)


def test_the_packed_shard(dataset, tmp_path):
    """Read as its loader reads it: one pattern by its number among all, in a shared file."""
    made = dataset.save(tmp_path / "pack", format="ptycho-fm")
    assert [path.name for path in made] == [
        "packed_00000.hdf5",
        "pack_index.json",
        "normalization.json",
    ]
    assert json.loads(made[1].read_text()) == {"packed_00000.hdf5": ["pack"]}
    largest = float(dataset.counts.max())
    assert json.loads(made[2].read_text()) == {"pack": np.float32(largest)}
    with h5py.File(made[0], "r", libver="latest", swmr=True) as file:
        assert file["n_dp"][:].tolist() == [12]
        assert file["dp"].shape == (1, 12, 64, 64)
        assert file["dp"].dtype == np.float32
        np.testing.assert_array_equal(file["dp"][0, 5], dataset.counts[5].astype(np.float32))
        assert file["probe"].shape == (1, 1, 10, 64, 64)
        assert not file["probe"][0, 0, 2:].any()
        assert file["normalization"][0] == np.float32(largest)
        assert file["object_key"][0].decode() == "pack"
        pixel, shape = file["pixel_height_m"][0], np.array(file["object"].shape[2:])
        y, x = (file[f"probe_position_{axis}_m"][0, :12] for axis in "yx")
        # Its loader adds this and takes the middle of the patch, half a pixel below index N // 2.
        middle = np.stack([y, x], 1) / pixel + np.round(shape / 2) + 0.5
    np.testing.assert_allclose(middle[:, ::-1] + 0.5, dataset.positions, atol=1e-8)


def test_many_objects_in_shards(dataset, tmp_path):
    """Objects, patterns and positions of several sizes, as those of a campaign."""
    part = dataset[2:9]
    small = replace(part, object=part.object[:300, :351], positions=part.positions * 0.5)
    named = [("first", dataset), ("second", small), ("third", part)]
    made = ptycho_fm.write_objects(
        tmp_path / "pack",
        [(key, data.contents(("count_intensity",))) for key, data in named],
        Work(),
        per_shard=2,
        compression="portable",
    )
    assert [path.name for path in made[:2]] == ["packed_00000.hdf5", "packed_00001.hdf5"]
    assert ptycho_fm.keys(tmp_path / "pack") == {
        "packed_00000.hdf5": ["first", "second"],
        "packed_00001.hdf5": ["third"],
    }
    for key, data in named:
        found = ptycho_fast.open(tmp_path / "pack", key=key)
        np.testing.assert_array_equal(found.counts[:], data.counts)
        np.testing.assert_array_equal(found.object, data.object)
        np.testing.assert_allclose(found.positions, data.positions, atol=1e-9)
        assert len(found.probe) == 2
    with pytest.raises(ValueError, match="key: none given, expected one of its 3 objects: first"):
        ptycho_fast.open(tmp_path / "pack")
    one = dataset.contents(("count_intensity",))
    with pytest.raises(ValueError, match="objects: 'a' twice given"):
        ptycho_fm.write_objects(tmp_path / "b", [("a", one), ("a", one)], Work())
    assert not (tmp_path / "b").exists()


def test_a_scan_for_ptypy(dataset, tmp_path):
    (path,) = dataset.save(tmp_path / "a.ptyd")
    with h5py.File(path) as file:
        assert file["chunks/0/data"].dtype == np.int32
        yx = file["chunks/0/positions"][...] / PIXEL
        np.testing.assert_allclose(yx[:, ::-1], dataset.positions, atol=1e-9)
        np.testing.assert_array_equal(file["chunks/0/weights"][7] > 0, dataset.mask)
        assert file["chunks/0/weights"].shape == (12, 64, 64)
        meta = {name: item[()] for name, item in file["meta"].items()}
        kinds = {name: item.attrs["type"] for name, item in file["meta"].items()}
    assert meta["energy"] == pytest.approx(8.0)  # keV
    assert (meta["distance"], meta["num_frames"]) == (2.0, 12)
    assert meta["psize"].tolist() == [75e-6, 75e-6]
    assert meta["shape"].tolist() == [64, 64]
    assert kinds["energy"] == kinds["distance"] == kinds["num_frames"] == "scalar"
    assert kinds["psize"] == kinds["shape"] == kinds["center"] == "array"


def test_more_photons_than_ptypy_can_hold(contents, tmp_path):
    counts = np.array(contents.diffraction)
    counts[7, 1, 2] = 2**31
    with pytest.raises(ValueError, match=r"chunks/0/data: 2147483648 in pattern 7 given"):
        ptyd.write(tmp_path / "a.ptyd", replace(contents, diffraction=counts), Work())
    assert not list(tmp_path.iterdir())


def test_a_scan_of_ptypy_in_chunks(dataset, tmp_path):
    (path,) = dataset.save(tmp_path / "a.ptyd")
    with h5py.File(path, "a") as file:
        del file["ptycho_fast"]
        for name in ("data", "positions", "weights"):
            whole = file[f"chunks/0/{name}"][...]
            del file[f"chunks/0/{name}"]
            file[f"chunks/0/{name}"], file[f"chunks/10/{name}"] = whole[:5], whole[5:]
    for name, array in (("object", dataset.object), ("probe", dataset.probe)):
        np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(ValueError, match="object: nothing given, expected an .npy file"):
        ptycho_fast.open(path, domain="count_intensity")
    found = ptycho_fast.open(
        path,
        domain="count_intensity",
        object=tmp_path / "object.npy",
        probe=tmp_path / "probe.npy",
    )
    np.testing.assert_array_equal(found.counts[3:9], dataset.counts[3:9])
    np.testing.assert_array_equal(found.counts[:], dataset.counts)
    np.testing.assert_array_equal(found.mask, dataset.mask)
    np.testing.assert_allclose(found.positions, dataset.positions, atol=1e-8)
    found.close()
    with h5py.File(path, "a") as file:
        file["chunks/10/weights"][0, 9, 9] = 0
    with pytest.raises(ValueError, match="masks that differ given, expected one mask"):
        ptyd.truth(path)


def test_a_reconstruction_by_ptypy(dataset, tmp_path):
    """ptypy multiplies the wave behind the object by a curved phase, so that its probe has less."""
    probe = dataset.probe * dataset.intensity_scale
    area = dataset.geometry.wavelength_m * dataset.geometry.detector_distance_m
    r = (np.arange(64) - 32) * PIXEL
    curved = np.exp(1j * np.pi * (r[:, None] ** 2 + r**2) / area)
    with h5py.File(tmp_path / "a.ptyr", "w") as file:
        file["header/kind"] = "minimal"
        file["content/pickled"] = np.void(b"\x80\x04.")
        for what, array in (("probe", probe / curved), ("obj", dataset.object[None])):
            group = file.create_group(f"content/{what}/S00")
            group["data"], group["_psize"], group["_energy"] = array, [PIXEL, PIXEL], 8.0
    with pytest.raises(ValueError, match="holds no patterns.*simulate --from"):
        ptycho_fast.open(tmp_path / "a.ptyr")
    with pytest.raises(ValueError, match="wavelength_distance_m2: nothing given, expected the wav"):
        ptyr.truth(tmp_path / "a.ptyr")
    found = ptyr.truth(tmp_path / "a.ptyr", wavelength_distance_m2=area)
    np.testing.assert_allclose(found.probe, probe, atol=2e-7 * abs(probe).max())
    assert power(found.probe) == pytest.approx(power(probe), rel=1e-6)
    np.testing.assert_array_equal(found.object, dataset.object)
    geometry = {name: getattr(dataset.geometry, name) for name in found.geometry}
    assert found.geometry == pytest.approx(geometry)
    with pytest.raises(ValueError, match="storage: 'S7' given, expected one of.*S00"):
        ptyr.truth(tmp_path / "a.ptyr", wavelength_distance_m2=area, storage="S7")


def test_an_input_of_ptylab(dataset, tmp_path):
    (path,) = dataset.save(tmp_path / "a.hdf5", format="ptylab")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["ptychogram"], dataset.counts)
        rows_columns = file["encoder"][...] / PIXEL
        assert file["wavelength"][()] == dataset.geometry.wavelength_m
        assert (file["zo"][()], file["dxd"][()]) == (2.0, 75e-6)
    np.testing.assert_allclose(rows_columns, np.round(rows_columns), atol=1e-9)
    # As PtyLab rounds them: minimum corners in an object as large as the scan.
    side = int(np.ptp(rows_columns, axis=0).max()) + 1 + 64
    corners = np.round(rows_columns) + side // 2 - 32
    assert corners.min() >= 0
    assert corners.max() + 64 <= side
    shift = corners[:, ::-1] + 32 - dataset.positions
    np.testing.assert_array_equal(shift, np.broadcast_to(shift[0], shift.shape))


def test_what_ptylab_cannot_hold(dataset, tmp_path):
    off = dataset.positions.copy()
    off[4, 1] += 0.25
    given = f"y = {off[4, 1]} of pattern 4 given, expected whole pixels, since PtyLab rounds"
    with pytest.raises(ValueError, match=given):
        replace(dataset, positions=off).check(tmp_path / "a.h5", format="ptylab")
    with pytest.raises(ValueError, match="at least 2"):
        dataset[:1].check(tmp_path / "a.h5", format="ptylab")
    with pytest.raises(ValueError, match="compression: 'lz4' given, expected one of none"):
        dataset.check(tmp_path / "a.h5", format="ptylab", compression="lz4")


def test_files_of_ptylab_count_from_the_corner(dataset, tmp_path):
    (path,) = dataset.save(tmp_path / "a.h5", format="ptylab")
    with h5py.File(path, "a") as file:
        del file["ptycho_fast"]
        encoder = file["encoder"][...].T
        del file["encoder"]
        file["encoder"] = encoder  # as some files have it
    found = ptylab.truth(path)
    assert found.object is None
    expected = dataset.positions - dataset.positions.min(axis=0) + 32
    np.testing.assert_allclose(found.positions, expected, atol=1e-8)


# --- what is refused ---


@pytest.mark.parametrize("name", ["ptychovit", "ptycho-fm"])
def test_a_thick_object(dataset, tmp_path, name):
    thick = replace(dataset, object=np.stack([dataset.object] * 2))
    with pytest.raises(ValueError, match="object: 2 slices given, expected one"):
        thick.check(tmp_path / "a", format=name)


def test_more_modes_than_a_shard_has_room_for(dataset, tmp_path):
    many = replace(dataset, probe=np.concatenate([dataset.probe] * 6))
    with pytest.raises(ValueError, match="probe: 12 modes given, expected at most 10"):
        many.check(tmp_path / "a", format="ptycho-fm")


def test_options(dataset, tmp_path):
    with pytest.raises(ValueError, match="origin: 'middle' given"):
        dataset.check(tmp_path / "a", format="ptychovit", origin="middle")
    with pytest.raises(ValueError, match="compression: 'best' given"):
        dataset.check(tmp_path / "a.ptyd", compression="best")
    with pytest.raises(TypeError, match="modes: 'first' given, expected of writing ptyd only"):
        dataset.check(tmp_path / "a.ptyd", modes="first")


FILES = {"ptychovit": "a_para.hdf5", "ptycho-fm": "a/packed_00000.hdf5", "ptyd": "a.ptyd"}
FILES |= {"ptylab": "a.h5"}
PROBE = {"ptychovit": "probe", "ptycho-fm": "probe", "ptyd": "ptycho_fast/probe"}
PROBE |= {"ptylab": "ptycho_fast/probe"}
POSITIONS = {"ptychovit": "probe_position_x_m", "ptycho-fm": "probe_position_x_m"}
POSITIONS |= {"ptyd": "chunks/0/positions", "ptylab": "encoder"}


@pytest.fixture
def written(dataset, tmp_path, request):
    """A file of the format, to be spoiled."""
    name = request.getfixturevalue("name")
    dataset.save(tmp_path / WRITERS[name], format=name)
    return tmp_path / TO_OPEN[name], tmp_path / FILES[name]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("what", ["text", "infinity", "missing", "shape", "link"])
@pytest.mark.parametrize("key", [PROBE, POSITIONS])
def test_spoiled_arrays(written, name, what, key):
    path, file_path = written
    at = key[name]
    with h5py.File(file_path, "a") as file:
        array = file[at][...]
        del file[at]
        if what == "text":
            file[at] = np.full(array.shape, b"text")
        elif what == "infinity":
            array.flat[-1 if name != "ptycho-fm" else 0] = np.inf
            file[at] = array
        elif what == "shape":
            file[at] = array[..., :-1]
        elif what == "link":
            file[at] = h5py.ExternalLink("/etc/passwd", "/x")
    with pytest.raises((ValueError, TypeError), match=file_path.name) as error:
        ptycho_fast.open(path, format=name)
    assert at.split("/")[-1].split("_x_")[0] in str(error.value) or "position" in str(error.value)


DATA = {"ptychovit": ("a_dp.hdf5", "dp"), "ptycho-fm": ("a/packed_00000.hdf5", "dp")}
DATA |= {"ptyd": ("a.ptyd", "chunks/0/data"), "ptylab": ("a.h5", "ptychogram")}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 0.5])
def test_spoiled_patterns(written, tmp_path, name, bad):
    path, _ = written
    file_name, key = DATA[name]
    with h5py.File(tmp_path / file_name, "a") as file:
        patterns = file[key][...].astype(np.float64)
        patterns[..., -2, 3, 4] = bad
        del file[key]
        file[key] = patterns
    with ptycho_fast.open(path) as found:
        found.counts[:3]
        with pytest.raises(ValueError, match=r"pattern 10 given, expected whole numbers"):
            found.counts[9:12]


@pytest.mark.parametrize("name", WRITERS)
def test_a_huge_claim_allocates_nothing(written, tmp_path, name):
    path, _ = written
    file_name, key = DATA[name]
    with h5py.File(tmp_path / file_name, "a") as file:
        shape = (*file[key].shape[:-3], 10**12, 64, 64)
        del file[key]
        file.create_dataset(key, shape, np.float32, chunks=(1,) * (len(shape) - 2) + (64, 64))
    with pytest.raises(ValueError, match=f"{key}|n_dp|positions"):
        ptycho_fast.open(path)


@settings(max_examples=12, deadline=None)
@given(cut=st.floats(0, 0.999), data=st.data())
def test_cut_files(dataset, tmp_path_factory, cut, data):
    """Whatever is missing of a file, the error is about that file."""
    name = data.draw(st.sampled_from(sorted(WRITERS)))
    folder = tmp_path_factory.mktemp("cut")
    dataset.save(folder / WRITERS[name], format=name)
    whole = (folder / FILES[name]).read_bytes()
    (folder / FILES[name]).write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(ValueError, match=FILES[name].split("/")[-1]):
        Dataset.load(folder / TO_OPEN[name], format=name)


def test_an_index_that_leads_elsewhere(dataset, tmp_path):
    dataset.save(tmp_path / "a", format="ptycho-fm")
    index = tmp_path / "a" / "pack_index.json"
    for text, message in (
        ('{"../x.hdf5": ["a"]}', "'../x.hdf5' given, expected a file in the folder"),
        ('{"packed_00000.hdf5": [1]}', "expected lists of names by shard"),
        ("{}", "expected lists of names by shard"),
        ("[" * 100_000, "no JSON"),
        ('{"packed_00000.hdf5": ["a", "b"]}', "key: none given"),
        ('{"packed_00001.hdf5": ["a"]}', "packed_00001.hdf5: no such file"),
    ):
        index.write_text(text)
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            ptycho_fast.open(tmp_path / "a")


def test_who_says_what_the_patterns_mean(dataset, tmp_path):
    dp, para = dataset.save(tmp_path / "a.hdf5", format="ptychovit")
    with pytest.raises(ValueError, match="'normalized_intensity' given, but the file says"):
        ptycho_fast.open(dp, domain="normalized_intensity")
    with h5py.File(para, "a") as file:
        del file["ptycho_fast"]
    with pytest.raises(ValueError, match="does not say what its patterns mean; give domain='count"):
        ptycho_fast.open(dp)
