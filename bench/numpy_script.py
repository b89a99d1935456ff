"""The script that a user of NumPy writes: ``python -m bench.numpy_script ARRAYS NPHOTONS OUT``.

From a file of arrays to a closed file: an .npz of amplitudes, or an .h5 of counts. Patterns are
made 256 at a time; the scale gives so many photons in the mean over all patterns.
"""

import sys
from pathlib import Path

import numpy as np

from bench.numpy_pipeline import NumpyPipeline

BATCH = 256


def main(arrays: str, nphotons: str, out: str) -> None:
    """Read, simulate, write."""
    with np.load(arrays) as file:
        obj, probe = file["objectGuess"], file["probeGuess"]
        positions = np.stack([file["xcoords"], file["ycoords"]], axis=1)
    pipeline = NumpyPipeline(obj, probe[None])
    intensity = np.empty((len(positions), *probe.shape), np.float32)
    for first in range(0, len(positions), BATCH):
        part = slice(first, first + BATCH)
        pipeline.diffract(positions[part], intensity[part])
    scale = (float(nphotons) / intensity.sum(axis=(1, 2), dtype=np.float64).mean()) ** 0.5
    counts = np.empty(intensity.shape, np.uint16)
    for first in range(0, len(positions), BATCH):
        part = slice(first, first + BATCH)
        pipeline.sample_photons(np.float32(scale**2) * intensity[part], counts[part])
    if Path(out).suffix == ".npz":
        amplitudes = np.sqrt(counts, dtype=np.float32)
        np.savez(out, diffraction=amplitudes, objectGuess=obj, probeGuess=probe)
        return
    import h5py

    with h5py.File(out, "w") as file:
        file["diffraction"], file["object"], file["probe"] = counts, obj, probe
        file["positions"] = positions


if __name__ == "__main__":
    main(*sys.argv[1:])
