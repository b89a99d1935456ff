"""CXI and the product of ptychodus: what they hold, what comes back, and what is refused."""

import pickle
from dataclasses import replace

import h5py
import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import DataWarning
from ptycho_fast.formats import FORMATS, recognise
from ptycho_fast.formats.cxi import read as read_cxi
from ptycho_fast.formats.ptychodus import read as read_product
from ptycho_fast.formats.truth import read_truth

EV = 1.602176634e-19  # J
OPTICS = {
    "optics.energy_ev": 8000.0,
    "optics.detector_distance_m": 2.0,
    "optics.detector_pixel_m": 75e-6,
}
DX = 12.39841984332e-7 / 8000 * 2 / (64 * 75e-6)  # metres, an object pixel
ENTRY = "entry_1/instrument_1"
FIELDS = (
    "object",
    "probe",
    "mask",
    "eigenprobes",
    "weights",
    "path",
    "dose_factors",
)


def made(**changes):
    keys = {f"{a}.{b}": v for (a, b), v in ((k.split("__"), v) for k, v in changes.items())}
    scenario = ptycho_fast.Scenario.preset("gs2_ideal")
    return ptycho_fast.simulate(
        scenario.replace({"scan.n_patterns": 7, "dose.nphotons": 1e5} | OPTICS | keys)
    )


@pytest.fixture(scope="module")
def dataset():
    return made(probe__modes=2, probe__mode_kind="hermite_gauss", detector__beam_stop_radius=3.0)


@pytest.fixture(scope="module")
def varied():
    return made(probe__variation=0.3, probe__variation_modes=2, probe__intensity_fluctuation=0.1)


def save(data, folder, name, **options):
    path = folder / ("set.cxi" if name == "cxi" else "set.h5")
    data.save(path, format=name, **options)
    return path


def assert_same(back, data):
    for name in FIELDS:
        one, other = getattr(back, name), getattr(data, name)
        assert (one is None) == (other is None), name
        if one is not None:
            np.testing.assert_array_equal(one, other, err_msg=name)
    for name in ("positions", "positions_nominal"):  # metres, and back, lose the last bit
        metres = (getattr(back, name) - getattr(data, name)) * data.geometry.object_pixel_m
        assert np.abs(metres).max() < 1e-18, name
    assert back.domain == data.domain
    assert (back.scenario, back.geometry) == (data.scenario, data.geometry)
    assert (back.intensity_scale, back.provenance) == (data.intensity_scale, data.provenance)
    np.testing.assert_array_equal(back.diffraction[:], data.diffraction)


@pytest.mark.parametrize("name", ["cxi", "ptychodus"])
@pytest.mark.parametrize("kind", ["dataset", "varied"])
def test_round_trip(name, kind, tmp_path, request):
    data = request.getfixturevalue(kind)
    path = save(data, tmp_path, name, compression="portable")
    assert recognise(path).name == name
    back = ptycho_fast.open(path)
    assert back.is_lazy
    assert_same(back, data)
    there = pickle.loads(pickle.dumps(back.diffraction))  # as another process gets it
    np.testing.assert_array_equal(there[2:4], data.counts[2:4])
    again = tmp_path / f"again{path.suffix}"
    data.save(again, format=name, compression="portable")
    for one in tmp_path.glob("set*"):
        other = one.with_name(one.name.replace("set", "again"))
        assert other.read_bytes() == one.read_bytes()


@pytest.mark.parametrize("name", ["cxi", "ptychodus"])
def test_slices_signals_and_jitter(name, tmp_path):
    data = made(
        object__slices=3,
        optics__slice_distance_m=1e-6,
        scan__jitter=0.4,
        detector__gain=2.0,
        detector__offset=10.0,
    )
    assert_same(ptycho_fast.open(save(data, tmp_path, name)), data)
    free = ptycho_fast.simulate(data.scenario, noise=False)
    assert_same(ptycho_fast.open(save(free, tmp_path, name, force=True)), free)


def test_what_cxi_holds(dataset, tmp_path):
    path = save(dataset, tmp_path, "cxi")
    N = 64
    with h5py.File(path) as file:
        entry = file["entry_1"]
        detector = entry["instrument_1/detector_1"]
        assert detector["data"].dtype == np.int32
        assert detector["data"].attrs["axes"] == "translation:y:x"
        assert entry["data_1/data"] == detector["data"]
        np.testing.assert_array_equal(detector["data"], dataset.counts)
        assert entry["instrument_1/source_1/energy"][()] == pytest.approx(8000 * EV, rel=1e-12)
        sizes = [detector[k][()] for k in ("distance", "x_pixel_size", "y_pixel_size")]
        assert sizes == [2.0, 75e-6, 75e-6]
        mask = detector["mask"][:]
        np.testing.assert_array_equal(mask == 0, dataset.mask)
        assert not (mask & 0x1000).any()
        moved = entry["sample_1/geometry_1/translation"][:]
        expected = (dataset.positions - 392 / 2) * DX
        np.testing.assert_allclose(moved[:, :2], expected, rtol=0, atol=1e-9 * DX)
        assert (moved[:, 2] == 0).all()
        probe = entry["image_1/data"][:]
        margin = (entry["image_2/data"].shape[-1] - 392) // 2
    assert probe.shape == (1, 2, N, N)
    photons = dataset.intensity_scale**2 * (np.abs(dataset.probe.astype(complex)) ** 2).sum()
    assert (np.abs(probe) ** 2).sum() == pytest.approx(photons, rel=1e-12)  # power is preserved
    low, high = dataset.positions.min() - N / 2, dataset.positions.max() + N / 2
    assert margin == max(np.ceil(-low), np.ceil(high - 392), 0)


def test_motion(dataset, tmp_path):
    sample = save(dataset, tmp_path, "cxi")
    probe = tmp_path / "probe.cxi"
    dataset.save(probe, motion="probe")
    key = "entry_1/data_1/translation"
    with h5py.File(sample) as one, h5py.File(probe) as other:
        np.testing.assert_array_equal(one[key][:, :2], -other[key][:, :2])
    np.testing.assert_allclose(ptycho_fast.open(probe).positions, dataset.positions, atol=1e-9)
    with pytest.raises(ValueError, match="motion 'sample' given, but the file says 'probe'"):
        ptycho_fast.open(probe, motion="sample")
    with pytest.raises(ValueError, match="motion: 'stage' given"):
        dataset.save(tmp_path / "stage.cxi", motion="stage")
    strip(sample)
    turned = ptycho_fast.open(sample, domain="count_intensity", motion="probe").positions
    np.testing.assert_allclose(turned, 392 - dataset.positions + margin(dataset), atol=1e-9)


def margin(data):
    N, side = data.N, data.object.shape[-1]
    over = max(N / 2 - data.positions.min(), data.positions.max() + N / 2 - side, 0)
    return int(np.ceil(over))


def strip(path, *keys):
    """As if another program had written it."""
    with h5py.File(path, "r+") as file:
        for key in ("ptycho_fast", *keys):
            if key in file:
                del file[key]


@pytest.mark.parametrize("name", ["cxi", "ptychodus"])
def test_files_of_other_programs_say_less(name, dataset, varied, tmp_path):
    for data in (dataset, varied):
        path = save(data, tmp_path, name, force=True)
        strip(path)
        with pytest.raises(ValueError, match=r"does not say what its patterns mean.*domain="):
            ptycho_fast.open(path)
        back = ptycho_fast.open(path, domain="count_intensity")
        np.testing.assert_array_equal(back.counts[:], data.counts)
        np.testing.assert_allclose(back.positions - margin(data), data.positions, atol=1e-9)
        s = data.intensity_scale
        np.testing.assert_allclose(back.probe, s * data.probe, rtol=1e-6)
        assert back.intensity_scale == pytest.approx(1)  # the probe is in photons
        if data.weights is None:
            assert back.weights is None
            np.testing.assert_array_equal(back.mask, data.mask)
        else:
            np.testing.assert_array_equal(back.weights, data.weights)
            np.testing.assert_allclose(back.eigenprobes, s * data.eigenprobes, rtol=1e-6)
        assert back.geometry.object_pixel_m == pytest.approx(DX)
        assert back.geometry.detector_pixel_m == pytest.approx(75e-6)
        assert back.scenario is None


def test_cxi_without_images(dataset, tmp_path):
    path = save(dataset, tmp_path, "cxi")
    strip(path, "entry_1/image_1", "entry_1/image_2", "entry_1/ptychodus")
    with pytest.warns(DataWarning, match="holds no object and no probe"):
        back = ptycho_fast.open(path, domain="count_intensity")
    assert back.provenance["missing"] == ["object", "probe"]
    np.testing.assert_allclose(
        np.diff(back.positions, axis=0), np.diff(dataset.positions, axis=0), atol=1e-9
    )
    half = np.array(back.object.shape[::-1]) - 32
    assert (back.positions >= 32).all()
    assert (back.positions <= half).all()


def test_what_a_product_holds(dataset, tmp_path):
    path = save(dataset, tmp_path, "ptychodus")
    with h5py.File(path) as product, h5py.File(tmp_path / "set_dp.h5") as patterns:
        root = dict(product.attrs)
        for key in ("photon_energy_eV", "probe_energy_eV"):
            assert root[key] == pytest.approx(8000, rel=1e-12)
        assert root["detector_object_distance_m"] == 2
        assert {"name", "comments", "exposure_time_s"} <= set(root)
        probe = product["probe"][:]
        assert root["probe_photon_count"] == pytest.approx((np.abs(probe) ** 2).sum())
        np.testing.assert_allclose(
            product["probe_position_x_m"], (dataset.positions[:, 0] - 196) * DX, atol=1e-9 * DX
        )
        np.testing.assert_allclose(
            product["probe_position_y_m"], (dataset.positions[:, 1] - 196) * DX, atol=1e-9 * DX
        )
        assert product["object"].attrs["pixel_width_m"] == pytest.approx(DX)
        np.testing.assert_array_equal(patterns["patterns"], dataset.counts)
        assert patterns["patterns"].attrs["detector_pixel_width_m"] == 75e-6
        np.testing.assert_array_equal(patterns["indexes"], product["probe_position_indexes"])
        np.testing.assert_array_equal(patterns["bad_pixels"], ~dataset.mask)


def test_both_files_or_none(dataset, tmp_path):
    (tmp_path / "set_dp.h5").touch()
    with pytest.raises(FileExistsError, match=r"set_dp\.h5: exists"):
        save(dataset, tmp_path, "ptychodus")
    assert [p.name for p in tmp_path.iterdir()] == ["set_dp.h5"]
    save(dataset, tmp_path, "ptychodus", force=True)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_product_alone(dataset, tmp_path):
    path = save(dataset, tmp_path, "ptychodus")
    patterns = tmp_path / "set_dp.h5"
    np.testing.assert_array_equal(ptycho_fast.open(patterns).counts[:], dataset.counts)
    elsewhere = tmp_path / "other" / "raw.h5"
    elsewhere.parent.mkdir()
    patterns.rename(elsewhere)
    with pytest.raises(ValueError, match=r"set\.h5: holds no patterns.*set_dp\.h5"):
        ptycho_fast.open(path)
    with pytest.raises(ValueError, match=r"raw\.h5: holds patterns alone"):
        ptycho_fast.open(elsewhere)
    np.testing.assert_array_equal(
        ptycho_fast.open(path, patterns=elsewhere).counts[:], dataset.counts
    )


@pytest.mark.parametrize("name", ["cxi", "ptychodus"])
def test_truth(name, dataset, varied, tmp_path):
    """Object, probe and positions, whether or not there are patterns or a stated domain."""
    for data in (dataset, varied):
        path = save(data, tmp_path, name, force=True)
        found = read_truth(path)
        np.testing.assert_array_equal(found.object, data.object)
        np.testing.assert_array_equal(found.probe, data.probe)
        np.testing.assert_allclose(found.positions, data.positions, atol=1e-9)
        assert found.geometry["object_pixel_m"] == pytest.approx(DX)
        assert found.left_out == (() if data.weights is None else ("how its probe varies",))
    sizes = [f"{ENTRY}/detector_1/{axis}_pixel_size" for axis in "xy"]
    strip(path, "entry_1/data_1/data", f"{ENTRY}/detector_1/data", *sizes)
    (tmp_path / "set_dp.h5").unlink(missing_ok=True)
    found = read_truth(path)
    np.testing.assert_allclose(found.positions - margin(varied), varied.positions, atol=1e-9)
    np.testing.assert_allclose(found.probe, varied.intensity_scale * varied.probe, rtol=1e-6)
    assert found.geometry["detector_pixel_m"] == pytest.approx(75e-6)


def test_patterns_and_positions_meet_by_their_indexes(dataset, tmp_path):
    path = save(dataset, tmp_path, "ptychodus")
    strip(path)
    with h5py.File(path, "r+") as product, h5py.File(tmp_path / "set_dp.h5", "r+") as patterns:
        product["probe_position_indexes"][:] = [3, 9, 1, 0, 5, 4, 8]
        patterns["indexes"][:] = [0, 1, 2, 3, 4, 5, 6]
    back = read_product(path, domain="count_intensity")
    rows, numbers = [0, 2, 3, 4, 5], [3, 1, 0, 5, 4]
    np.testing.assert_array_equal(back.diffraction[:], dataset.counts[numbers])
    np.testing.assert_allclose(back.positions - margin(dataset), dataset.positions[rows], atol=1e-9)
    np.testing.assert_array_equal(back.diffraction[1:3], dataset.counts[[1, 0]])
    back.diffraction.close()
    with h5py.File(tmp_path / "set_dp.h5", "r+") as patterns:
        patterns["indexes"][:] = np.arange(20, 27)
    with pytest.raises(ValueError, match="indexes: none of those"):
        read_product(path, domain="count_intensity")
    with h5py.File(tmp_path / "set_dp.h5", "r+") as patterns:
        patterns["indexes"][:] = 1
    with pytest.raises(ValueError, match="indexes: a number twice"):
        read_product(path, domain="count_intensity")


def test_exported_training_data(dataset, tmp_path):
    path = tmp_path / "train.h5"
    with h5py.File(path, "w") as file:
        file["patterns"], file["bad_pixels"] = dataset.counts, ~dataset.mask
        file["probe"], file["object"] = dataset.probe, dataset.object
        file["probe_position_x_px"] = dataset.positions[:, 0] - 0.5
        file["probe_position_y_px"] = dataset.positions[:, 1] - 0.5
        file["object_pixel_width_m"] = file["object_pixel_height_m"] = DX
        file["detector_object_distance_m"], file["photon_energy_eV"] = 2.0, 8000.0
    back = ptycho_fast.open(path, domain="count_intensity")
    np.testing.assert_allclose(back.positions, dataset.positions, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(back.probe, dataset.probe)
    np.testing.assert_array_equal(back.mask, dataset.mask)
    assert back.geometry.detector_pixel_m == pytest.approx(75e-6)


# --- refusals ---


@pytest.mark.parametrize("name", ["cxi", "ptychodus"])
def test_sizes_are_needed_before_the_work(name, tmp_path):
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace({"scan.n_patterns": 2})
    data = ptycho_fast.simulate(scenario)
    with pytest.raises(ptycho_fast.ScenarioError, match=r"optics\.energy_ev: nothing given") as e:
        save(data, tmp_path, name)
    assert e.value.key == "optics.energy_ev"
    for key in ("optics.detector_distance_m", "optics.detector_pixel_m"):
        assert key in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_near_field_goes_to_a_product_alone(dataset, tmp_path):
    near = replace(dataset, geometry=replace(dataset.geometry, propagation="near_field"))
    near = replace(near, scenario=None)
    with pytest.raises(ValueError, match=r"optics\.propagation: 'near_field' given"):
        save(near, tmp_path, "cxi")
    path = save(near, tmp_path, "ptychodus")
    with h5py.File(path) as file:
        assert not file.attrs["far_field"]
    strip(path)
    back = ptycho_fast.open(path, domain="count_intensity")
    assert back.geometry.propagation == "near_field"


def test_modes_that_vary_alone_are_told(varied, tmp_path):
    two = np.concatenate([varied.probe, varied.probe])
    weights = np.insert(varied.weights, 1, 0.5, axis=1)
    odd = replace(varied, probe=two, weights=weights, scenario=None)
    for name in ("cxi", "ptychodus"):
        with pytest.warns(DataWarning, match="modes 1 to 1 vary"):
            path = save(odd, tmp_path, name)
        np.testing.assert_array_equal(ptycho_fast.open(path).weights, weights)


def test_counts_beyond_int32(dataset, tmp_path):
    counts = dataset.counts.copy()
    counts[3, 5, 6] = 2**31
    data = replace(dataset, diffraction=counts)
    with pytest.raises(ValueError, match=r"2147483648 in pattern 3 given"):
        save(data, tmp_path, "cxi")
    assert list(tmp_path.iterdir()) == []
    path = save(data, tmp_path, "ptychodus")
    np.testing.assert_array_equal(ptycho_fast.open(path).counts[:], counts)


def change(path, key, value):
    with h5py.File(path, "r+") as file:
        attributes = dict(file[key].attrs)
        del file[key]
        file[key] = value
        file[key].attrs.update(attributes)


BAD_CXI = {
    "no energy": (f"{ENTRY}/source_1/energy", None, "source_1/energy"),
    "energy in eV": (f"{ENTRY}/source_1/energy", 8000.0, "joules"),
    "text": (f"{ENTRY}/detector_1/distance", "two", "detector_1/distance"),
    "no distance": (f"{ENTRY}/detector_1/distance", 0.0, "detector_1/distance"),
    "oblong pixels": (f"{ENTRY}/detector_1/y_pixel_size", 55e-6, "square pixels"),
    "mask": (
        f"{ENTRY}/detector_1/mask",
        np.zeros((3, 3), "u4"),
        r"detector_1/mask: shape \(3, 3\)",
    ),
    "few": ("entry_1/sample_1/geometry_1/translation", np.zeros((2, 3)), r"translation: shape"),
    "words": ("entry_1/sample_1/geometry_1/translation", np.full((7, 3), b"x"), "translation"),
    "nan": ("entry_1/sample_1/geometry_1/translation", np.full((7, 3), np.nan), "translation: nan"),
    "negative": (f"{ENTRY}/detector_1/data", np.full((7, 64, 64), -1, "i4"), "-1 in pattern 0"),
    "half": (f"{ENTRY}/detector_1/data", np.full((7, 64, 64), 0.5, "f4"), "0.5 in pattern 0"),
    "flat": (f"{ENTRY}/detector_1/data", np.zeros((7, 64), "i4"), r"data: shape \(7, 64\)"),
    "probe": ("entry_1/image_1/data", np.zeros((5, 5), "c8"), r"image_1/data: shape \(5, 5\)"),
    "object": ("entry_1/image_2/data", np.full((9, 9), np.inf, "c8"), "image_2/data: "),
}


@pytest.mark.parametrize("name", BAD_CXI)
def test_bad_cxi(name, dataset, tmp_path):
    key, value, message = BAD_CXI[name]
    path = save(dataset, tmp_path, "cxi")
    if value is None:
        strip(path, key)
    else:
        change(path, key, value)
    with pytest.raises(ValueError, match=message) as e:
        read_cxi(path, domain="count_intensity").diffraction[:]
    assert str(path) in str(e.value)


BAD_PRODUCT = {
    "text": ("probe_position_x_m", np.full(7, b"x"), "probe_position_x_m"),
    "few": ("probe_position_y_m", np.zeros(3), "probe_position_y_m"),
    "infinite": ("probe_position_y_m", np.full(7, np.inf), "probe_position_y_m: inf"),
    "indexes": ("probe_position_indexes", np.zeros(7), "probe_position_indexes"),
    "probe": ("probe", np.zeros((2, 3), "c8"), r"probe: shape \(2, 3\)"),
    "small probe": ("probe", np.ones((1, 1, 32, 32), "c8"), "side 64 given, expected side 32"),
    "object": ("object", np.zeros(5, "c8"), r"object: shape \(5,\)"),
}


@pytest.mark.parametrize("name", BAD_PRODUCT)
def test_bad_product(name, dataset, tmp_path):
    key, value, message = BAD_PRODUCT[name]
    path = save(dataset, tmp_path, "ptychodus")
    strip(path)
    change(path, key, value)
    with pytest.raises(ValueError, match=message) as e:
        read_product(path, domain="count_intensity").diffraction[:]
    assert "set.h5" in str(e.value) or "set_dp.h5" in str(e.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("photon_energy_eV", -1.0, "photon_energy_eV: -1.0 given"),
        ("photon_energy_eV", "8 keV", "photon_energy_eV"),
        ("detector_object_distance_m", 0.0, "detector_object_distance_m"),
        ("probe_photon_count", -5.0, "probe_photon_count"),
    ],
)
def test_bad_attributes(name, value, message, dataset, tmp_path):
    path = save(dataset, tmp_path, "ptychodus")
    strip(path)
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value
    with pytest.raises(ValueError, match=message):
        read_product(path, domain="count_intensity")


@pytest.mark.parametrize("name", ["cxi", "ptychodus"])
def test_hostile_files(name, dataset, tmp_path):
    path = save(dataset, tmp_path, name)
    whole = path.read_bytes()
    with h5py.File(path, "r+") as file:
        key = "entry_1/data_1/translation" if name == "cxi" else "probe_position_x_m"
        key = "entry_1/sample_1/geometry_1/translation" if name == "cxi" else key
        del file[key]
        file[key] = h5py.ExternalLink("/etc/passwd", "/x")
    with pytest.raises(ValueError, match=path.name):
        FORMATS[name].load().read(path, domain="count_intensity")
    for size in (0, 7, 600, len(whole) // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=path.name):
            ptycho_fast.open(path, format=name)


# --- its NPZ files ---


def test_export_for_ptychopinn(dataset, tmp_path):
    path = tmp_path / "export.npz"
    x, y = (dataset.positions - 0.5).T
    np.savez(
        path,
        xcoords=x,
        ycoords=y,
        xcoords_start=x,
        ycoords_start=y,
        diff3d=dataset.counts,
        bad_pixels=~dataset.mask,
        probeGuess=dataset.probe.astype(np.complex128),
        objectGuess=dataset.object,
        scan_index=np.zeros(7, np.int64),
    )
    back = ptycho_fast.open(path, format="ptychodus-npz")
    np.testing.assert_allclose(back.positions, dataset.positions, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(back.counts[:], dataset.counts)
    np.testing.assert_array_equal(back.probe, dataset.probe)
    np.testing.assert_array_equal(back.mask, dataset.mask)


def slac(dataset, path, **changes):
    x, y = dataset.positions.T
    arrays = {
        "diffraction": np.moveaxis(dataset.counts, 0, -1),
        "xcoords_start": x,
        "ycoords_start": y,
        "probeGuess": dataset.probe[0],
        "objectGuess": dataset.object,
    }
    np.savez(path, **(arrays | changes))
    return path


def test_slac_npz(dataset, tmp_path):
    path = slac(dataset, tmp_path / "slac.npz")
    with pytest.raises(ValueError, match=r"slac\.npz: the file does not say"):
        ptycho_fast.open(path, format="ptychodus-npz")
    back = ptycho_fast.open(path, format="ptychodus-npz", domain="count_intensity")
    np.testing.assert_array_equal(back.counts[:], dataset.counts)
    np.testing.assert_array_equal(back.positions, dataset.positions)
    x, y = dataset.positions.T * DX
    slac(dataset, path, xcoords_start=x, ycoords_start=y)
    with pytest.raises(ValueError, match="look like metres"):
        ptycho_fast.open(path, format="ptychodus-npz", domain="count_intensity")
    for key, value, message in (
        ("xcoords_start", np.full(7, "a"), "xcoords_start"),
        ("diffraction", dataset.counts[:5, :4], r"diffraction.*\(5, 4, 64\)"),
        ("probeGuess", np.zeros((3, 3)), r"probeGuess.*\(3, 3\)"),
        ("diffraction", np.full((64, 64, 7), -1), "-1 in pattern 0"),
    ):
        slac(dataset, path, **{key: value})
        with pytest.raises(ValueError, match=message):
            ptycho_fast.open(path, format="ptychodus-npz", domain="count_intensity")
