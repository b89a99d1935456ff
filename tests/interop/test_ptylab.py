"""PtyLab 0.3.7 opens its HDF5 input; its positions are whole pixels."""

import logging

import numpy as np
import pytest
from foreign import check_patterns, check_positions


def test_input(program, whole, tmp_path):
    program("matplotlib").use("Agg")
    logging.disable(logging.CRITICAL)
    try:
        experiments = program("PtyLab.ExperimentalData.ExperimentalData")
        parameters = program("PtyLab.Params.Params").Params()
        reconstructions = program("PtyLab.Reconstruction.Reconstruction")
        path = tmp_path / "scan.hdf5"
        whole.save(path, format="ptylab")
        experiment = experiments.ExperimentalData(path)
        reconstruction = reconstructions.Reconstruction(experiment, parameters)
    finally:
        logging.disable(logging.NOTSET)
    check_patterns(experiment.ptychogram, whole)
    assert float(experiment.wavelength) == pytest.approx(whole.geometry.wavelength_m)
    assert float(experiment.zo) == 2
    assert reconstruction.dxo == pytest.approx(whole.geometry.object_pixel_m)
    corners = np.asarray(reconstruction.positions)
    assert corners.min() >= 0
    assert corners.max() + reconstruction.Np <= reconstruction.No
    check_positions(corners[:, ::-1], whole, absolute=False)
