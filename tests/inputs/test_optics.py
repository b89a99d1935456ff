"""Waves in physical units: published wavelengths, sizes of pixels, propagation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptycho_fast.errors import ScenarioError
from ptycho_fast.optics import energy, farthest, make_geometry, transfer_function, wavelength

EIGER = {"detector_distance_m": 2.0, "detector_pixel_m": 75e-6}


@pytest.mark.parametrize(
    ("kilovolts", "picometres"),
    [(60, 4.866), (80, 4.176), (100, 3.701), (120, 3.349), (200, 2.508), (300, 1.969)],
)
def test_electrons_have_the_published_wavelengths(kilovolts, picometres):
    """Reimer and Kohl, Transmission Electron Microscopy, table 2.2, and every text book."""
    found = wavelength(kilovolts * 1e3, "electron")
    assert found == pytest.approx(picometres * 1e-12, abs=0.6e-15)


def test_photons_have_the_wavelength_that_belongs_to_hc():
    assert wavelength(12398.41984332) == pytest.approx(1e-10, rel=1e-12)


@given(st.floats(1e3, 1e6), st.sampled_from(["photon", "electron"]))
def test_energy_is_the_inverse_of_wavelength(energy_ev, radiation):
    assert energy(wavelength(energy_ev, radiation), radiation) == pytest.approx(energy_ev)


def test_any_three_of_four_give_the_object_pixel():
    whole = make_geometry(128, energy_ev=8e3, **EIGER)
    assert whole.object_pixel_m == pytest.approx(wavelength(8e3) * 2 / (128 * 75e-6))
    names = ("wavelength_m", "detector_distance_m", "detector_pixel_m", "object_pixel_m")
    for left_out in names:
        given_ones = {name: getattr(whole, name) for name in names if name != left_out}
        again = make_geometry(128, **given_ones)
        assert getattr(again, left_out) == pytest.approx(getattr(whole, left_out))
        assert again.energy_ev == pytest.approx(8e3)


def test_contradictions_name_the_key_and_what_follows():
    expected = r"^optics.object_pixel_m: 5e-08 given, expected 3.22"
    with pytest.raises(ScenarioError, match=expected) as e:
        make_geometry(128, energy_ev=8e3, object_pixel_m=50e-9, **EIGER)
    assert e.value.key == "optics.object_pixel_m"
    with pytest.raises(ScenarioError, match=r"about 1e3 times that: a slip of units\?"):
        make_geometry(128, energy_ev=8e3, object_pixel_m=32.288e-6, **EIGER)
    with pytest.raises(ScenarioError, match=r"^optics.wavelength_m: 2e-10 given"):
        make_geometry(128, energy_ev=8e3, wavelength_m=2e-10)
    with pytest.raises(ScenarioError, match=r"300 kV are 300e3"):
        make_geometry(128, energy_ev=300.0, radiation="electron")


def test_rounded_numbers_that_agree_are_taken():
    assert (
        make_geometry(128, energy_ev=8e3, object_pixel_m=32.29e-9, **EIGER).object_pixel_m
        == 32.29e-9
    )


def test_what_is_missing_is_asked_for_by_name():
    with pytest.raises(ScenarioError, match=r"optics.detector_distance_m.*probe.kind 'zone_plate'"):
        make_geometry(64).need("object_pixel_m", "probe.kind 'zone_plate'")
    with pytest.raises(ScenarioError, match=r"optics.energy_ev or optics.wavelength_m"):
        make_geometry(64).need("energy_ev", "it")


def test_a_beam_propagated_is_the_gaussian_beam_of_theory():
    n, pixel, wave, waist = 256, 1e-6, 0.5e-6, 8e-6
    rayleigh = math.pi * waist**2 / wave
    x = (np.arange(n) - n // 2) * pixel
    r2 = x[:, None] ** 2 + x**2
    for distance in (0.3 * rayleigh, rayleigh):
        far = np.fft.fft2(np.exp(-r2 / waist**2)) * transfer_function(n, pixel, wave, distance)
        intensity = np.abs(np.fft.ifft2(far)) ** 2
        width2 = waist**2 * (1 + (distance / rayleigh) ** 2)
        theory = waist**2 / width2 * np.exp(-2 * r2 / width2)
        assert np.abs(intensity - theory).max() < 2e-3 * theory.max()
        assert intensity.sum() == pytest.approx(np.exp(-2 * r2 / waist**2).sum())


def test_a_converging_wave_converges():
    """The sign: exp(-i k r**2 / 2 f) comes to a focus after f, and not before the object."""
    n, pixel, wave, f = 256, 1e-6, 0.5e-6, 300e-6
    x = (np.arange(n) - n // 2) * pixel
    r2 = x[:, None] ** 2 + x**2
    beam = np.exp(-r2 / (20e-6) ** 2 - 1j * math.pi * r2 / (wave * f))
    peaks = [
        (np.abs(np.fft.ifft2(np.fft.fft2(beam) * transfer_function(n, pixel, wave, z))) ** 2).max()
        for z in (f, -f)
    ]
    assert peaks[0] > 5 > 1 > peaks[1]


def test_evanescent_waves_do_not_travel():
    h = transfer_function(64, 0.3, 1.0, 5.0)
    f2 = np.add.outer(np.fft.fftfreq(64, 0.3) ** 2, np.fft.fftfreq(64, 0.3) ** 2)
    assert (h[f2 > 1] == 0).all()
    assert np.allclose(np.abs(h[f2 <= 1]), 1)


def test_near_field_magnifies_and_refuses_to_alias():
    geometry = make_geometry(
        256,
        energy_ev=17e3,
        propagation="near_field",
        detector_distance_m=0.5,
        detector_pixel_m=1e-6,
        object_pixel_m=100e-9,
    )
    assert farthest(256, 100e-9, wavelength(17e3)) < 0.05 < farthest(400, 100e-9, wavelength(17e3))
    with pytest.raises(ScenarioError, match=r"^optics.detector_distance_m: 0.5 given.*aliasing"):
        geometry.near_transfer(256)
    parallel = transfer_function(400, 100e-9, wavelength(17e3), 0.05)
    assert np.array_equal(geometry.near_transfer(400), parallel.astype(np.complex64))
    assert make_geometry(64).near_transfer(64) is None
