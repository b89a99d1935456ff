"""The whole-canvas method of existing simulators, modelled in NumPy and SciPy.

For each position the whole padded object is moved so that the position comes to the centre, by
bilinear interpolation, and N x N pixels are cut out of it. All the rest is the yardstick's.
"""

import numpy as np
from scipy import ndimage

from bench.numpy_pipeline import TunedNumpyPipeline
from bench.pipeline import Array


class TranslationPipeline(TunedNumpyPipeline):
    """Moves the canvas, not the window."""

    kind = "translate"
    slow = True

    def __init__(self, obj: Array, probe: Array, threads: int = 1) -> None:
        super().__init__(obj, probe)
        self.margin = self.N // 2
        self.canvas = np.pad(obj, self.margin)

    def extract_patches(self, positions: Array, out: Array) -> Array:
        """See `Pipeline`."""
        N, margin = self.N, self.margin
        row, column = (side // 2 for side in self.canvas.shape)
        window = np.s_[row - margin :, column - margin :]
        for patch, (x, y) in zip(out, positions, strict=True):
            moved = ndimage.shift(self.canvas, (row - margin - y, column - margin - x), order=1)
            patch[...] = moved[window][:N, :N]
        return out
