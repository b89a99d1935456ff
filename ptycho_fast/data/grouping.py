"""Solution regions: groups of neighbouring patterns that are reconstructed together."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.rng import uniforms
from ptycho_fast.scaling import amplitude_energies, normalise_gain

_MEMBER_STRIDE = 2**20  # room for the neighbour ranks of one seed in the "members" stream


@dataclass(frozen=True, repr=False)
class Groups:
    """Groups of ``C = gridsize**2`` patterns; positions are ``[x, y]`` in pixels.

    Attributes
    ----------
    nn_indices : ndarray, (G, C), int64
        Patterns of each group, in channel order, as indices of the full arrays.
    coords : ndarray, (G, 1, 2, C), float64
        Absolute positions.
    coords_offsets : ndarray, (G, 1, 2, 1), float64
        Mean position of each group.
    coords_relative : ndarray, (G, 1, 2, C), float64
        Local offsets, ``-(coords - coords_offsets)``.
    """

    nn_indices: npt.NDArray[np.int64]
    coords: npt.NDArray[np.float64]
    coords_offsets: npt.NDArray[np.float64]
    coords_relative: npt.NDArray[np.float64]

    def __repr__(self) -> str:
        return "Groups({} of {} patterns)".format(*self.nn_indices.shape)

    def take(self, chosen: slice | npt.NDArray[Any]) -> "Groups":
        """Some of the groups, by slice, index or mask.

        Parameters
        ----------
        chosen : slice or ndarray
            Which.

        Returns
        -------
        Groups
            These, in the order of `chosen`.
        """
        return Groups(*(getattr(self, part.name)[chosen] for part in fields(self)))


def make_groups(
    positions: npt.ArrayLike,
    gridsize: int,
    n_groups: int,
    *,
    neighbours: int = 4,
    seed: int = 42,
    order: str = "fixed",
    include_seed: bool = False,
    indices: npt.ArrayLike | None = None,
) -> Groups:
    """Draw groups at random: distinct seed patterns, and neighbours of each.

    The draw is a pure function of `seed` and of the patterns' indices: the seeds are the patterns
    with the smallest uniforms of the stream ``"groups"``, the members of a group those of the
    seed's nearest neighbours (without itself) with the smallest uniforms of the stream
    ``"members"``.  With `gridsize` 1 a group is its seed pattern.

    Parameters
    ----------
    positions : array, (B, 2)
        ``[x, y]`` of all patterns, pixels.
    gridsize : int
        Square root of the number of patterns in a group.
    n_groups : int
        Number of groups.
    neighbours : int
        Number of nearest neighbours that members are drawn from; not used with `gridsize` 1. Which
        of several patterns at the same distance is the last of them is up to the search tree.
    seed : int
        Seed of the draw.
    order : {"fixed", "random"}
        Channel order.  Fixed: rows of `gridsize` patterns, the row of smallest y first, each row in
        ascending x.  Random: as drawn.
    include_seed : bool
        Make the seed pattern a member, which gives tighter groups.
    indices : array of int, optional
        Restrict seeds and neighbours to these patterns (a split).

    Returns
    -------
    Groups
        The groups.

    Raises
    ------
    TypeError
        If the positions are not real numbers.
    ValueError
        If there are fewer patterns than `n_groups` or than `neighbours` + 1, fewer neighbours than
        members to draw, or an argument is malformed.

    Examples
    --------
    >>> x, y = np.meshgrid(np.arange(5), np.arange(4))
    >>> positions = np.stack([x.ravel(), y.ravel()], axis=1)
    >>> groups = make_groups(positions, 2, 3, seed=1)
    >>> groups
    Groups(3 of 4 patterns)
    >>> groups.coords_offsets.shape, groups.coords_relative.shape
    ((3, 1, 2, 1), (3, 1, 2, 4))
    """
    xy = checks.positions(positions)
    g, count = checks.count(gridsize, "gridsize"), checks.count(n_groups, "n_groups")
    checks.choice(order, "order", ("fixed", "random"))
    pool = _pool(indices, len(xy))
    if count > len(pool):
        raise ValueError(f"n_groups: {count} given, expected at most the {len(pool)} patterns")

    by_chance = np.argsort(uniforms(seed, "groups", pool), kind="stable")
    seeds = pool[by_chance[:count]]
    drawn = g * g - include_seed
    members = seeds[:, None]
    if g > 1:
        neighbours = checks.count(neighbours, "neighbours")
        members = _draw_members(xy, pool, seeds, drawn, neighbours, seed)
        if include_seed:
            members = np.concatenate([seeds[:, None], members], axis=1)
    if order == "fixed":
        members = _rows_by_y_then_x(xy, members, g)
    return Groups(members, *_coordinates(xy, members))


def _pool(indices: npt.ArrayLike | None, n_patterns: int) -> npt.NDArray[np.int64]:
    """Return the patterns to draw from."""
    if indices is None:
        return np.arange(n_patterns)
    pool = np.asarray(indices)
    if pool.ndim != 1 or pool.dtype.kind not in "iu":
        raise ValueError(
            f"indices: shape {pool.shape} and dtype {pool.dtype} given, expected (n,) integers"
        )
    if pool.size and not 0 <= pool.min() <= pool.max() < n_patterns:
        raise ValueError(
            f"indices: from {pool.min()} to {pool.max()} given, expected 0 to {n_patterns - 1}"
        )
    distinct = np.unique(pool).astype(np.int64)
    if len(distinct) != len(pool):
        raise ValueError(
            f"indices: {len(pool)} entries, {len(distinct)} distinct given, expected no repeats"
        )
    return distinct  # ascending, so that the groups do not depend on the order given


def _draw_members(
    xy: npt.NDArray[np.float64],
    pool: npt.NDArray[np.int64],
    seeds: npt.NDArray[np.int64],
    drawn: int,
    neighbours: int,
    seed: int,
) -> npt.NDArray[np.int64]:
    """Draw the members of each group from the neighbours of its seed pattern."""
    from scipy.spatial import cKDTree

    if neighbours < drawn:
        raise ValueError(
            f"neighbours: {neighbours} given, expected at least the {drawn} members to draw"
        )
    if neighbours >= len(pool):
        raise ValueError(
            f"neighbours: {neighbours} given, expected fewer than the {len(pool)} patterns given"
        )
    _, nearest = cKDTree(xy[pool]).query(xy[seeds], k=neighbours + 1)
    near = pool[nearest]
    # The seed goes last, wherever it was found, and is cut off.  Among more than `neighbours`
    # patterns at one place it may not be found at all; then the furthest is cut.
    itself_last = np.argsort(near == seeds[:, None], axis=1, kind="stable")[:, :neighbours]
    near = np.take_along_axis(near, itself_last, axis=1)
    chance = uniforms(seed, "members", seeds[:, None] * _MEMBER_STRIDE + np.arange(neighbours))
    chosen = np.argsort(chance, axis=1, kind="stable")[:, :drawn]
    return np.take_along_axis(near, chosen, axis=1)


def _rows_by_y_then_x(
    xy: npt.NDArray[np.float64], members: npt.NDArray[np.int64], g: int
) -> npt.NDArray[np.int64]:
    """Sort each group into `g` rows of `g` by y, and each row by x; ties by pattern number."""
    x, y = np.moveaxis(xy[members], -1, 0)
    by_y = np.lexsort((members, x, y))
    rows = np.take_along_axis(members, by_y, axis=1).reshape(-1, g, g)
    x, y = np.moveaxis(xy[rows], -1, 0)
    by_x = np.lexsort((rows, y, x))
    return np.take_along_axis(rows, by_x, axis=2).reshape(members.shape)


def _coordinates(
    xy: npt.NDArray[np.float64], members: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return absolute, mean and local coordinates of the groups."""
    coords = np.ascontiguousarray(np.moveaxis(xy[members], 1, 2)[:, None])
    offsets = coords.mean(axis=-1, keepdims=True)
    return coords, offsets, offsets - coords


def grouped(
    amplitude: npt.NDArray[Any],
    groups: Groups,
    *,
    gain: float | None = None,
    patches: npt.NDArray[Any] | None = None,
    nominal: npt.ArrayLike | None = None,
    obj: npt.NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Gather patterns into the grouped arrays that trainers of the PtychoPINN family take.

    Parameters
    ----------
    amplitude : ndarray, (B, N, N)
        Diffraction amplitude of all patterns.
    groups : Groups
        The groups.
    gain : float, optional
        Gain of the network input; by default that of these groups, ``normalise_gain`` of
        ``diffraction``.  It has to be undone when objects are compared.
    patches : ndarray, (B, N, N), optional
        Object patches of all patterns.
    nominal : array, (B, 2), optional
        Nominal positions ``[x, y]``, if they differ from the true ones.
    obj : ndarray, (H, W), optional
        The true object.

    Returns
    -------
    dict
        ``diffraction`` and ``X_full = gain * diffraction``, (G, N, N, C) float32; ``Y``, the same
        shape in complex64, or None without `patches`; ``coords_offsets`` (G, 1, 2, 1) and
        ``coords_relative`` (G, 1, 2, C) float64 and their nominal twins ``coords_start_offsets``,
        ``coords_start_relative``; ``nn_indices`` (G, C) int64; ``objectGuess`` if `obj` is given.

    Raises
    ------
    ValueError
        If an array does not fit the groups, the gain is not positive, or the energy is zero.
    """
    diffraction = _gather(amplitude, groups, np.float32, "amplitude")
    if gain is None:
        gain = normalise_gain(diffraction, diffraction.shape[1])
    start = groups.coords_offsets, groups.coords_relative
    if nominal is not None:
        xy = checks.positions(nominal)
        _check_covers(len(xy), groups, "nominal")
        start = _coordinates(xy, groups.nn_indices)[1:]
    result = {
        "diffraction": diffraction,
        "X_full": np.float32(checks.positive(gain, "gain")) * diffraction,
        "Y": None if patches is None else _gather(patches, groups, np.complex64, "patches"),
        "coords_offsets": groups.coords_offsets,
        "coords_relative": groups.coords_relative,
        "coords_start_offsets": start[0],
        "coords_start_relative": start[1],
        "nn_indices": groups.nn_indices,
    }
    if obj is not None:
        result["objectGuess"] = obj
    return result


def group_energies(amplitude: npt.NDArray[Any], groups: Groups) -> npt.NDArray[np.float64]:
    """Energy ``sum_xy A**2`` of every pattern of every group.

    Parameters
    ----------
    amplitude : ndarray, (B, N, N)
        Diffraction amplitude of all patterns.
    groups : Groups
        The groups.

    Returns
    -------
    ndarray, (G, C), float64
        Energies; their sum over axis 1, averaged over axis 0, is the published mean energy of
        grouped data.

    Raises
    ------
    ValueError
        If the array does not fit the groups or holds values that are not finite.
    """
    _check_stack(amplitude, groups, "amplitude")
    members, place = np.unique(groups.nn_indices, return_inverse=True)
    return amplitude_energies(amplitude[members])[place.reshape(groups.nn_indices.shape)]


def _gather(
    stack: npt.NDArray[Any], groups: Groups, dtype: type[np.generic], name: str
) -> npt.NDArray[Any]:
    """Return (B, N, N) as (G, N, N, C)."""
    _check_stack(stack, groups, name)
    return np.ascontiguousarray(np.moveaxis(stack[groups.nn_indices], 1, -1), dtype=dtype)


def _check_stack(stack: npt.NDArray[Any], groups: Groups, name: str) -> None:
    if stack.ndim != 3 or stack.shape[1] != stack.shape[2]:
        raise ValueError(f"{name}: shape {stack.shape} given, expected (B, N, N)")
    _check_covers(len(stack), groups, name)


def _check_covers(count: int, groups: Groups, name: str) -> None:
    if count <= groups.nn_indices.max():
        raise ValueError(
            f"{name}: {count} entries given, expected at least {groups.nn_indices.max() + 1}, "
            "for the patterns the groups name"
        )
