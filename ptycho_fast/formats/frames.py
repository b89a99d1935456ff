"""Positions as other programs count them: one table, with a converter to each program and back.

Here a position ``[x, y]`` says which point of the object lies on patch index ``(N//2, N//2)``, in
pixels from the upper left one. Others name the corner of the patch or the middle between its
pixels, count from the middle of the object, put the row first, or use metres. Each of them is

    value = sign * (position - origin) * unit

along each axis, with an origin that depends on the side of the object and of the patch alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

Origin = Callable[[int, int], float]
"""``origin(side of the object, side of the patch)``: our coordinate of a program's zero."""


@dataclass(frozen=True, slots=True)
class Frame:
    """How a program writes down a position.

    Attributes
    ----------
    title : str
        Whose positions these are.
    origin : callable
        ``origin(side, N)``: our coordinate at which the program counts zero, pixels.
    rows_first : bool
        Whether the values are (y, x) instead of (x, y).
    metres : bool
        Whether they are metres instead of object pixels.
    sign : {1, -1}
        -1 where they grow against ours.
    """

    title: str
    origin: Origin
    rows_first: bool = False
    metres: bool = False
    sign: int = 1

    def to(
        self, positions: npt.ArrayLike, shape: tuple[int, int], N: int, pixel_m: float | None = None
    ) -> npt.NDArray[np.float64]:
        """Positions as the program counts them.

        Parameters
        ----------
        positions : (B, 2) array
            Ours, ``[x, y]``, object pixels.
        shape : (int, int)
            Rows and columns of the object.
        N : int
            Side of a patch, pixels.
        pixel_m : float, optional
            Side of an object pixel, metres, where the program counts in metres.

        Returns
        -------
        (B, 2) float64
            In the program's order and unit.

        Raises
        ------
        TypeError, ValueError
            The positions are no finite numbers (B, 2), or there is no size of a pixel.
        """
        xy = checks.positions(positions)
        values = self.sign * (xy - self._origin(shape, N)) * self._unit(pixel_m)
        return np.ascontiguousarray(values[:, ::-1]) if self.rows_first else values

    def back(
        self, values: npt.ArrayLike, shape: tuple[int, int], N: int, pixel_m: float | None = None
    ) -> npt.NDArray[np.float64]:
        """Our positions (B, 2), ``[x, y]`` in object pixels; the inverse of `to`.

        Parameters
        ----------
        values : (B, 2) array
            In the program's order and unit.
        shape, N, pixel_m
            As for `to`.

        Raises
        ------
        TypeError, ValueError
            As `to`.
        """
        given = checks.positions(values)
        xy = given[:, ::-1] if self.rows_first else given
        return self.sign * xy / self._unit(pixel_m) + self._origin(shape, N)

    def _origin(self, shape: tuple[int, int], N: int) -> npt.NDArray[np.float64]:
        height, width = shape
        return np.array([self.origin(width, N), self.origin(height, N)])

    def _unit(self, pixel_m: float | None) -> float:
        return checks.positive(pixel_m, "pixel_m") if self.metres else 1.0


def _corner(side: int, N: int) -> float:
    """Programs that name the first pixel of the patch."""
    return N // 2


def _between(side: int, N: int) -> float:
    """Programs that name the middle of the patch, (N - 1) / 2: half a pixel lower for even N."""
    return N // 2 - (N - 1) / 2


def _middle(side: int, N: int) -> float:
    """The middle of the patch, from the middle of the object, (side - 1) / 2."""
    return _between(side, N) + (side - 1) / 2


def _rounded(shift: float) -> Origin:
    """The middle of the patch, from the middle of the object to a whole pixel and a half."""
    return lambda side, N: _between(side, N) + round(side / 2) + shift  # ties to even, as theirs


FRAMES = {
    "ours": Frame("ptycho_fast and PtychoPINN", lambda side, N: 0.0),
    "tike": Frame("tike, scan", _corner, rows_first=True),
    "ptylab": Frame("PtyLab, positions", _corner, rows_first=True),
    "ptylab_encoder": Frame(
        "PtyLab, encoder", lambda side, N: side // 2, rows_first=True, metres=True
    ),
    "ptychi_absolute": Frame("pty-chi, origin 0", _between, rows_first=True),
    "ptychi": Frame("pty-chi 2.2.0, origin in the middle", _rounded(-0.5), rows_first=True),
    "ptychi_head": Frame(
        "pty-chi of August 2026 and PtychoViT, origin in the middle", _rounded(0.5), rows_first=True
    ),
    "ptychodus": Frame("ptychodus, product", _middle, metres=True),
    "ptychodus_pixels": Frame("ptychodus 1.7.0, its map of pixels and its exports", _between),
    "ptychodus_2025": Frame(
        "ptychodus of 2025, its map of pixels", lambda side, N: _between(side, N) - 0.5
    ),
    "ptypy_pixels": Frame("ptypy, pixels of a storage", lambda side, N: 0.0, rows_first=True),
    "ptypy": Frame("ptypy, positions", lambda side, N: 0.0, rows_first=True, metres=True),
    "cxi_sample": Frame("CXI, translation of the sample", _middle, metres=True),
    "cxi_probe": Frame("CXI, translation of the probe", _middle, metres=True, sign=-1),
}
"""Every program by name.

Sources: the programs themselves, at the versions that the tests install; see docs/interop.md. CXI
has x to the left and y up, seen along the beam, so a sample that moves to +x shows the probe what
lies at larger columns (F. Maia, Nature Methods 9, 854, 2012, and the description of the format).
"""
