"""Two scenarios with nearly everything in them, whose frames never change their bits."""

import hashlib

import pytest

from ptycho_fast import Scenario, Simulator

BEAMLINE = {
    "N": 32, "optics.energy_ev": 8e3, "optics.detector_distance_m": 2.0,
    "optics.detector_pixel_m": 300e-6, "object.kind": "siemens_star", "object.size": 96,
    "probe.kind": "gaussian", "probe.modes": 2, "probe.mode_kind": "hermite_gauss",
    "probe.intensity_fluctuation": 0.05, "scan.kind": "fermat", "scan.n_patterns": 20,
    "scan.jitter": 0.5, "scan.boundary": "vacuum", "scan.fly_points": 2,
    "detector.point_spread": 0.4, "detector.oversample": 2, "detector.beam_stop_radius": 1.5,
    "detector.quantum_efficiency": 0.8, "dose.mode": "incident", "dose.nphotons": 1e6,
}  # fmt: skip
MICROSCOPE = {
    "N": 32, "optics.radiation": "electron", "optics.energy_ev": 200e3,
    "optics.object_pixel_m": 20e-12, "optics.slice_distance_m": 1e-9, "object.kind": "points",
    "object.size": 96, "object.slices": 2, "probe.kind": "electron", "scan.kind": "raster",
    "scan.n_patterns": 20, "scan.step": 4.0, "detector.gain": 8.0, "detector.offset": 64.0,
    "detector.readout_noise": 2.0, "detector.quantisation": 1.0, "detector.dark_counts": 0.1,
    "dose.mode": "per_area", "dose.fluence_per_angstrom2": 1e4,
}  # fmt: skip


@pytest.mark.native
@pytest.mark.parametrize(
    ("changes", "frames", "amplitudes"),
    [
        (BEAMLINE, "cdaa987db69590c9", "1e0c60a1c861f483"),
        (MICROSCOPE, "d79363387d04bbdd", "46e60ce10b2d46a2"),
    ],
    ids=["beamline", "microscope"],
)
def test_golden_frames(changes, frames, amplitudes, instruction_sets, monkeypatch):
    for isa in instruction_sets:
        monkeypatch.setenv("PTYCHO_FAST_ISA", isa)
        sim = Simulator(Scenario().replace(changes))
        made = sim.frames(0, 20), sim.amplitudes(0, 20)
        hashes = [hashlib.sha256(array.tobytes()).hexdigest()[:16] for array in made]
        assert hashes == [frames, amplitudes], isa
