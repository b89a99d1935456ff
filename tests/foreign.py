"""What every other program has to find in a file of ours."""

import numpy as np


def check_patterns(found, data):
    """All patterns, every count, with zero frequency in the middle."""
    found = np.asarray(found)
    assert found.shape == data.diffraction.shape
    np.testing.assert_array_equal(found.astype(np.float64), data.counts.astype(np.float64))
    middle = np.argwhere(found.mean(axis=0) == found.mean(axis=0).max())[0]
    assert np.abs(middle - data.N // 2).max() <= 6


def check_positions(found, data, *, tolerance=1e-6, absolute=True):
    """(B, 2) ``[x, y]`` as ours; or up to one shift, for programs that make their own object.

    A swap of the axes, a sign and half a pixel each are seen to fail.
    """
    found = np.asarray(found, dtype=np.float64)
    ours = data.positions
    assert found.shape == ours.shape

    def error(xy):
        difference = xy - ours
        return np.abs(difference if absolute else difference - difference.mean(axis=0)).max()

    assert error(found) < tolerance
    assert error(found[:, ::-1]) > 1
    assert error(-found) > 1
    if absolute:
        assert error(found + 0.5) > 0.4
        assert error(found - 0.5) > 0.4


def check_model(made, data, most=0.06):
    """A forward model makes our patterns, up to one factor and the photon noise."""
    seen, made = np.sqrt(data.counts), np.sqrt(np.asarray(made, dtype=np.float64))
    good = np.ones((data.N, data.N), bool) if data.mask is None else data.mask
    seen, made = seen[:, good], made[:, good]
    factor = (seen * made).sum() / (made * made).sum()
    assert np.linalg.norm(seen - factor * made) < most * np.linalg.norm(seen)
    return factor
