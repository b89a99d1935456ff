"""Positions of other programs: the golden table, in which every swap, sign and half pixel shows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptycho_fast.formats.frames import FRAMES, Frame

DX = 2.5e-8  # metres, an object pixel

# Object 128 x 128, N = 64, first pixel of the patch (row 20, column 30): what each program says.
GOLDEN = {
    "ours": (62, 52),
    "tike": (20, 30),
    "ptylab": (20, 30),
    "ptylab_encoder": (-12 * DX, -2 * DX),
    "ptychi_absolute": (51.5, 61.5),
    "ptychi": (-12, -2),
    "ptychi_head": (-13, -3),
    "ptychodus": (-2 * DX, -12 * DX),
    "ptychodus_pixels": (61.5, 51.5),
    "ptychodus_2025": (62, 52),
    "ptypy_pixels": (52, 62),
    "ptypy": (52 * DX, 62 * DX),
    "cxi_sample": (-2 * DX, -12 * DX),
    "cxi_probe": (2 * DX, 12 * DX),
}
# The same patch in an object of 129 rows and 131 columns.
ODD_OBJECT = GOLDEN | {
    "ptychi": (-12, -4),  # torch rounds 64.5 to 64 and 65.5 to 66
    "ptychi_head": (-13, -5),
    "ptylab_encoder": (-12 * DX, -3 * DX),
    "ptychodus": (-3.5 * DX, -12.5 * DX),
    "cxi_sample": (-3.5 * DX, -12.5 * DX),
    "cxi_probe": (3.5 * DX, 12.5 * DX),
}
# The same object, N = 63: ours is the first pixel plus 31, the middle of the patch is there too.
ODD_PATCH = {
    "ours": (61, 51),
    "tike": (20, 30),
    "ptychi_absolute": (51, 61),
    "ptychodus_pixels": (61, 51),
    "ptychodus": (-2.5 * DX, -12.5 * DX),
}


def check(frame, expected, ours=(62, 52), shape=(128, 128), N=64):
    """The golden test for one program, there and back."""
    tolerance = 1e-9 * (DX if frame.metres else 1)
    there = frame.to([ours], shape, N, DX)
    np.testing.assert_allclose(there, [expected], rtol=0, atol=tolerance)
    np.testing.assert_allclose(frame.back(there, shape, N, DX), [ours], rtol=0, atol=1e-9)
    back = frame.back([expected], shape, N, DX)
    np.testing.assert_allclose(back, [ours], rtol=0, atol=1e-9)


def test_the_table_is_whole():
    assert set(FRAMES) == set(GOLDEN)


@pytest.mark.parametrize("name", FRAMES)
def test_golden_positions(name):
    check(FRAMES[name], GOLDEN[name])
    check(FRAMES[name], ODD_OBJECT[name], shape=(129, 131))
    if name in ODD_PATCH:
        check(FRAMES[name], ODD_PATCH[name], ours=(61, 51), N=63)


def wrongs(frame: Frame):
    """The mistakes that are made with positions."""

    def moved(by):
        return lambda side, N: frame.origin(side, N) + by

    yield replace(frame, rows_first=not frame.rows_first)
    yield replace(frame, sign=-frame.sign)
    yield replace(frame, origin=moved(0.5))
    yield replace(frame, origin=moved(-0.5))
    yield replace(frame, origin=moved(1))
    yield replace(frame, metres=not frame.metres)
    for shift in (0.5, -0.5):
        yield replace(frame, rows_first=not frame.rows_first, origin=moved(shift))


@pytest.mark.parametrize("name", FRAMES)
def test_every_mistake_fails_the_golden_test(name):
    for frame in wrongs(FRAMES[name]):
        with pytest.raises(AssertionError):
            check(frame, GOLDEN[name])


def test_the_golden_position_cannot_hide_a_swap():
    """Its numbers differ by more than any half pixel, so no two mistakes make a right."""
    for expected in GOLDEN.values():
        pixels = np.abs(np.array(expected)) / (DX if max(np.abs(expected)) < 1e-3 else 1)
        assert abs(pixels[0] - pixels[1]) >= 2


@given(
    name=st.sampled_from(sorted(FRAMES)),
    x=st.floats(-1e4, 1e4),
    y=st.floats(-1e4, 1e4),
    height=st.integers(1, 5000),
    width=st.integers(1, 5000),
    N=st.integers(8, 512),
    pixel_m=st.floats(1e-12, 1e-5),
)
def test_there_and_back(name, x, y, height, width, N, pixel_m):
    frame = FRAMES[name]
    there = frame.to([[x, y]], (height, width), N, pixel_m)
    back = frame.back(there, (height, width), N, pixel_m)
    assert np.abs(back - [[x, y]]).max() * pixel_m < 1e-9 * pixel_m  # metres, and far below


@given(name=st.sampled_from(sorted(FRAMES)), N=st.integers(8, 65), width=st.integers(60, 200))
def test_a_step_is_a_step_everywhere(name, N, width):
    """All frames differ by a shift, an order, a sign and a unit alone."""
    frame = FRAMES[name]
    steps = np.diff(frame.to([[5, 5], [6, 5], [6, 7]], (90, width), N, DX), axis=0)
    steps = steps * frame.sign / (DX if frame.metres else 1)
    steps = steps[:, ::-1] if frame.rows_first else steps
    np.testing.assert_allclose(steps, [[1, 0], [0, 2]], atol=1e-9)


def test_refusals():
    with pytest.raises(TypeError, match=r"pixel_m: None given"):
        FRAMES["ptychodus"].to([[1, 2]], (8, 8), 4)
    with pytest.raises(ValueError, match=r"positions: shape \(1, 3\)"):
        FRAMES["tike"].to([[1, 2, 3]], (8, 8), 4)
    with pytest.raises(ValueError, match="positions: nan"):
        FRAMES["tike"].back([[1, np.nan]], (8, 8), 4)
