"""Gaps between modules: pixels that are not there."""

from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast.keys import Key, wrong

_PAIR = (2, 2)


def gaps(
    N: int,
    *,
    module_shape: Annotated[
        tuple[int, ...] | None,
        Key("rows and columns of a module, pixels", ge=1, items=_PAIR, synonyms=("modules",)),
    ] = None,
    module_gap: Annotated[
        tuple[int, ...] | None,
        Key("rows and columns between modules, pixels", ge=0, items=_PAIR, synonyms=("gap",)),
    ] = None,
    module_offset: Annotated[
        tuple[int, ...] | None,
        Key(
            "row and column of the module that the zero frequency falls on, pixels from the "
            "module's first; by default its centre",
            items=_PAIR,
        ),
    ] = None,
) -> npt.NDArray[np.bool_]:
    """Which pixels lie between modules, which repeat in both directions.

    Parameters
    ----------
    N : int
        Side of the pattern, pixels.
    module_shape, module_gap : (2,) int, optional
        Rows and columns of a module, and between modules.
    module_offset : (2,) int, optional
        Where on a module the zero frequency falls, row and column; by default on its centre, so
        that a pattern smaller than a module has no gap.

    Returns
    -------
    (N, N) bool
        True in a gap.

    Raises
    ------
    ScenarioError
        A gap without a module or the other way round, or an offset that is on no module.

    Examples
    --------
    >>> gaps(8, module_shape=(3, 8), module_gap=(2, 0))[:, 0].astype(int)
    array([0, 1, 1, 0, 0, 0, 1, 1])
    """
    if module_shape is None and module_gap is None:
        return np.zeros((N, N), np.bool_)
    if module_shape is None or module_gap is None:
        name = "module_shape" if module_shape is None else "module_gap"
        raise wrong(f"detector.{name}", None, "two integers, since the other one is given")
    at = [side // 2 for side in module_shape] if module_offset is None else module_offset
    if not all(0 <= first < side for first, side in zip(at, module_shape, strict=True)):
        expected = f"a pixel of the module: 0 to {module_shape[0] - 1}, 0 to {module_shape[1] - 1}"
        raise wrong("detector.module_offset", module_offset, expected)
    rows, columns = (
        (np.arange(N) - N // 2 + first) % (side + gap) >= side
        for side, gap, first in zip(module_shape, module_gap, at, strict=True)
    )
    return np.asarray(rows[:, None] | columns)
