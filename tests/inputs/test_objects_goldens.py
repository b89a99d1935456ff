"""Bits of the kinds of objects that must not move."""

import numpy as np
import pytest

from ptycho_fast import objects
from ptycho_fast.kinds import fingerprint

# Sums, products, quotients and square roots alone: the same bits on every machine.
BITS = [
    ("fractal_noise", {}, "16154d1f687a541e"),
    ("points", {"width": 0}, "ae734f8b32164c88"),
    ("diagonals", {"width": 0}, "3b2ba1ba6bf09239"),
    ("spheres", {}, "330671d60c9b3168"),
    ("random_shapes", {"shape": "disk"}, "ef2b8f52d1348d4a"),
    ("natural_image", {"image": "camera"}, "49f9f04238fffdfd"),
]

# Powers, sines or an FFT are in these: mean, standard deviation, and three pixels.
VALUES = [
    ("random_field", [0.46951, 0.17803, 0.3066, 0.6089, 0.5072]),
    ("points", [0.28150, 0.17224, 0.1331, 0.4104, 0.4845]),
    ("diagonals", [0.35687, 0.18315, 0.1498, 0.6059, 0.2012]),
    ("v_shapes", [0.40627, 0.26265, 0.1148, 0.5176, 0.4166]),
    ("dead_leaves", [0.51682, 0.31810, 0.1435, 0.4155, 0.0490]),
    ("random_shapes", [0.28784, 0.29225, 0.0178, 0.7339, 0.0178]),
    ("siemens_star", [0.35568, 0.39250, 0.9921, 0.7909, 0.5012]),
]


def made(kind, **keys):
    function = objects.KINDS[kind].function
    return function(size=64, **keys) if kind == "siemens_star" else function(7, size=64, **keys)


@pytest.mark.parametrize(("kind", "keys", "expected"), BITS)
def test_bits(kind, keys, expected):
    assert fingerprint(made(kind, **keys)).startswith(expected)


@pytest.mark.parametrize(("kind", "expected"), VALUES)
def test_values(kind, expected):
    found = made(kind).astype(float)
    pixels = [found[20, 30], found[50, 9], found[33, 40]]
    np.testing.assert_allclose([found.mean(), found.std(), *pixels], expected, atol=2e-4)
