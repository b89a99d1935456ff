"""Training and test patterns of a scan."""

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks


def split_on_y(
    positions: npt.ArrayLike, train_fraction: float = 0.5
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split a scan by height: smaller y for training, the rest for test.

    Parameters
    ----------
    positions : (B, 2) array
        ``[x, y]`` in object pixels.
    train_fraction : float
        Share of the patterns used for training, 0 to 1; ``int(train_fraction * B)`` of them.

    Returns
    -------
    train, test : (...,) int64
        Indices of the patterns, each in ascending order of y (stable).

    Raises
    ------
    TypeError, ValueError
        The positions are malformed, or the fraction is out of range.

    Examples
    --------
    >>> train, test = split_on_y([[0, 5], [0, 1], [0, 3], [0, 2]])
    >>> train.tolist(), test.tolist()
    ([1, 3], [2, 0])
    """
    y = checks.positions(positions)[:, 1]
    fraction = checks.number(train_fraction, "train_fraction", least=0, most=1)
    order = np.argsort(y, kind="stable").astype(np.int64, copy=False)
    count = int(fraction * len(y))
    return order[:count], order[count:]
