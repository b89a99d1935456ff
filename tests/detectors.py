"""Detectors that use every part, and rates for them, shared by tests."""

import numpy as np

from ptycho_fast import rng
from ptycho_fast.detector import Response
from ptycho_fast.detector.dark_counts import thresholds

N = 64


def chains():
    """Responses that use every part, and the rates they are for."""
    pixels = np.zeros((N, N), np.uint8)
    pixels[5, :4], pixels[30:34, 30:34] = (0, 1, 2, 3), 3
    least, words = thresholds(3.3)
    common = {"dark": words, "dark_least": least, "pixels": pixels, "hot": 3e4, "seed": 2**63 + 9}
    return {
        "counting": Response(dead_time=1e-4, ceiling=2e5, **common),
        "paralysed": Response(dead_time=1e-3, paralysable=True, masked=7.0, **common),
        "wrapping": Response(dead_time=1e-4, ceiling=255.0, wrap=True, **common),
        "integrating": Response(
            gain=1.5, readout=2.0, offset=10.0, ceiling=6e4, step=1.0, **common
        ),
        "wrapping converter": Response(
            gain=2.5, readout=9.0, offset=-3.0, ceiling=996.0, step=4.0, wrap=True, **common
        ),
        "analogue": Response(gain=0.37, readout=0.5, offset=-0.25, dead_time=1e-5, **common),
    }


def speckled():
    """Rates of a speckled pattern: dark, dim, bright and very bright ones; from no library."""
    u = rng.uniforms(5, "detector_defects", np.arange(5 * N * N)).reshape(5, N, N)
    rates = 100 * u / (1.05 - u) * np.array([1, 50, 0.002, 1e-9, 1e4])[:, None, None]
    return rates.astype(np.float32)
