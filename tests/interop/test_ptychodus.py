"""ptychodus 1.7.0: its products, its patterns, CXI, and what it exports."""

import numpy as np
import pytest
from foreign import check_model, check_patterns, check_positions

import ptycho_fast
from ptycho_fast.formats.truth import read_truth


@pytest.fixture
def saved(request, tmp_path):
    """A data set of the test's parameter as a product."""
    data = request.getfixturevalue(getattr(request, "param", "whole"))
    path = tmp_path / "scan.h5"
    data.save(path, format="ptychodus")
    return data, path


def places(product):
    """Positions as its map of pixels has them, in our convention: half a pixel higher."""
    geometry, positions = product.object_.get_geometry(), product.probe_positions
    x = geometry.map_probe_positions_to_object_x_px(positions)
    y = geometry.map_probe_positions_to_object_y_px(positions)
    return np.stack([x, y], axis=1) + 0.5


@pytest.mark.parametrize("saved", ["whole", "between"], indirect=True)
def test_product_and_patterns(program, saved):
    io = program("ptychodus.api.io")
    simulate = program("ptychodus.api.simulate.diffraction")
    data, path = saved
    product = io.load_product(path)
    assert product.metadata.photon_energy_eV == pytest.approx(8000)
    assert product.metadata.detector_distance_m == 2
    assert product.metadata.photon_wavelength_m == pytest.approx(data.geometry.wavelength_m)
    check_positions(places(product), data)
    np.testing.assert_array_equal(product.object_.get_array()[0], data.object)
    power = (np.abs(product.probes.get_array()) ** 2).sum()
    photons = data.intensity_scale**2 * (np.abs(data.probe.astype(complex)) ** 2).sum()
    assert power == pytest.approx(photons)
    assert product.metadata.probe_photon_count == pytest.approx(photons)

    patterns = io.load_diffraction_data(path.with_name("scan_dp.h5"))
    check_patterns(patterns.get_patterns(), data)
    np.testing.assert_array_equal(patterns.get_indexes(), product.probe_positions.get_indexes())
    np.testing.assert_array_equal(patterns.get_bad_pixels(), ~data.mask)
    assert patterns.get_pixel_geometry().width_m == 75e-6
    check_model(simulate.generate_diffraction_data(product).get_patterns(), data)


def test_patches_beyond_the_object(program, tmp_path):
    """Its forward model knows no outside; the margin gives it one."""
    io = program("ptychodus.api.io")
    simulate = program("ptychodus.api.simulate.diffraction")
    keys = {
        "optics.energy_ev": 8000.0,
        "optics.detector_distance_m": 2.0,
        "optics.detector_pixel_m": 75e-6,
        "dose.nphotons": 1e6,
    }
    scenario = ptycho_fast.Scenario.preset("gs1_ideal").replace(keys)
    rng = np.random.default_rng(1)
    noise = np.exp(1j * rng.uniform(0, 1, (70, 80)))
    data = ptycho_fast.simulate(
        scenario.replace({"scan.kind": "given"}),
        object=noise,
        positions=[[3, 5], [79, 10], [40, 69]],
    )
    data.save(tmp_path / "edge.h5", format="ptychodus")
    product = io.load_product(tmp_path / "edge.h5")
    check_model(simulate.generate_diffraction_data(product).get_patterns(), data)


def test_probe_that_varies(program, tmp_path):
    io = program("ptychodus.api.io")
    simulate = program("ptychodus.api.simulate.diffraction")
    scenario = ptycho_fast.Scenario.preset("gs1_ideal").replace(
        {
            "optics.energy_ev": 8000.0,
            "optics.detector_distance_m": 2.0,
            "optics.detector_pixel_m": 75e-6,
            "scan.n_patterns": 5,
            "dose.nphotons": 1e6,
            "probe.variation": 0.4,
            "probe.intensity_fluctuation": 0.3,
        }
    )
    data = ptycho_fast.simulate(scenario)
    data.save(tmp_path / "opr.h5", format="ptychodus")
    product = io.load_product(tmp_path / "opr.h5")
    made = simulate.generate_diffraction_data(product).get_patterns()
    still = type(product.probes)(
        product.probes.get_array()[:1], None, product.probes.get_pixel_geometry()
    )
    check_model(made, data, most=0.12)
    unvaried = simulate.generate_diffraction_data(
        type(product)(
            product.metadata, product.probe_positions, still, product.object_, product.losses
        )
    ).get_patterns()
    with pytest.raises(AssertionError):
        check_model(unvaried, data, most=0.12)


def test_cxi(program, whole, tmp_path):
    cxi = program("ptychodus.plugins.cxi_file")
    whole.save(tmp_path / "scan.cxi")
    patterns = cxi.CXIDiffractionFileReader().read(tmp_path / "scan.cxi")
    metadata = patterns.get_metadata()
    check_patterns(np.concatenate([part.get_patterns() for part in patterns]), whole)
    np.testing.assert_array_equal(patterns.get_bad_pixels(), ~whole.mask)
    assert metadata.photon_energy_eV == pytest.approx(8000)
    assert metadata.detector_distance_m == 2
    assert metadata.detector_pixel_geometry.width_m == 75e-6
    product = cxi.CXIProductFileIO().read(tmp_path / "scan.cxi")
    check_positions(places(product), whole)
    np.testing.assert_array_equal(product.object_.get_array()[0], whole.object)


# --- what it writes ---


def test_its_products(program, saved, tmp_path):
    io, cxi = program("ptychodus.api.io"), program("ptychodus.plugins.cxi_file")
    data, path = saved
    product = io.load_product(path)
    io.save_product(tmp_path / "product.h5", product)
    io.save_diffraction_data(
        tmp_path / "diffraction.h5", io.load_diffraction_data(path.with_name("scan_dp.h5"))
    )
    cxi.CXIProductFileIO().write(tmp_path / "images.cxi", product)
    back = ptycho_fast.open(tmp_path / "product.h5", domain="count_intensity")
    check_patterns(back.counts[:], data)
    check_positions(back.positions, data)
    np.testing.assert_array_equal(back.mask, data.mask)
    np.testing.assert_allclose(back.probe, data.intensity_scale * data.probe, rtol=1e-6)
    assert back.geometry.detector_pixel_m == pytest.approx(75e-6)
    for name in ("product.h5", "images.cxi"):
        found = read_truth(tmp_path / name)
        check_positions(found.positions, data)
        np.testing.assert_array_equal(found.object, data.object)
        assert found.geometry["object_pixel_m"] == pytest.approx(data.geometry.object_pixel_m)


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_its_training_data(program, saved, tmp_path, kind):
    io, reconstruct = program("ptychodus.api.io"), program("ptychodus.api.reconstruct")
    data, path = saved
    patterns = io.load_diffraction_data(path.with_name("scan_dp.h5"))
    given = reconstruct.ReconstructInput(
        diffraction_patterns=patterns.get_patterns(),
        bad_pixels=patterns.get_bad_pixels(),
        product=io.load_product(path),
    )
    save = io.save_ptychopinn_training_data if kind == "npz" else io.save_training_data
    save(tmp_path / f"train.{kind}", given, inpaint_bad_pixels=False)
    name = "ptychodus-npz" if kind == "npz" else None
    domain = {} if kind == "npz" else {"domain": "count_intensity"}
    back = ptycho_fast.open(tmp_path / f"train.{kind}", format=name, **domain)
    check_patterns(back.counts[:], data)
    check_positions(back.positions, data)
    assert back.probe.shape == data.probe.shape
    np.testing.assert_array_equal(back.mask, data.mask)
