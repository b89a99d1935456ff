"""True objects: complex transmission, ``(H, W)`` or ``(L, H, W)`` complex64.

One file per kind; a new file with a function marked ``@kind(name)`` adds a kind. It returns the
transmission, complex, or a structure map from 0 to 1, float. `transmission.finished` has the keys
that all kinds share.
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import declared_by
from ptycho_fast.kinds import Kinds, fingerprint
from ptycho_fast.optics import Geometry
from ptycho_fast.rng import uniforms

from .transmission import check_range, finished

__all__ = ["COMMON", "KINDS", "as_object", "check", "keys_of_given", "make_object"]

KINDS = Kinds("object", __name__, first="lines")
COMMON = declared_by(finished)
_LARGEST = 10_000  # pixels; a larger side is more often a length in another unit


def make_object(
    spec: Any,
    seed: int,
    *,
    geometry: Geometry | None = None,
    given: npt.ArrayLike | None = None,
) -> npt.NDArray[np.complex64]:
    """Make the object that a scenario describes.

    Parameters
    ----------
    spec : ObjectSpec
        The table ``[object]``: ``kind``, the keys of that kind, and those of
        `transmission.finished`, as attributes.
    seed : int
        Seed of the draw, 0 to 2**32 - 1; kinds that draw nothing ignore it. Drawing 0 has this
        seed, further ones (of slices, of a phase of its own) have seeds made from it.
    geometry : Geometry, optional
        Wavelength and size of an object pixel, for kinds in physical units.
    given : (H, W) or (L, H, W) array, optional
        The array of the kind "given".

    Returns
    -------
    (H, W) or (L, H, W) complex64
        The object.

    Raises
    ------
    ScenarioError
        The kind is unknown, a key that it needs is missing, the kind is "given" and the array is
        missing or another one, or as `check` and `transmission.finished`.
    OSError, TypeError, ValueError
        As the function of the kind.

    Examples
    --------
    >>> from ptycho_fast import Scenario
    >>> scenario = Scenario.preset("gs2_ideal")
    >>> make_object(scenario.object, scenario.seeds.object).shape
    (392, 392)
    """
    check(spec)
    array = None if given is None else as_object(given)

    def draw(number: int) -> npt.NDArray[Any]:
        return KINDS.make(
            spec,
            seed=_seed_of(seed, number),
            root=seed,
            drawing=number,
            array=array,
            geometry=geometry,
            slices=spec.slices or 1,
        )

    return finished(draw, **{name: getattr(spec, name) for name in COMMON})


def check(spec: Any) -> None:
    """Raise ScenarioError about what can be seen before an object is made.

    Its ranges may be upside down, or its side so long that it is hardly meant in pixels.

    Parameters
    ----------
    spec : ObjectSpec
        As for `make_object`.

    Examples
    --------
    >>> from ptycho_fast.scenario import ObjectSpec
    >>> check(ObjectSpec(size=12_000))
    Traceback (most recent call last):
        ...
    ptycho_fast.errors.ScenarioError: object.size: 12000 given, expected at most 10000 pixels: an \
object of 12000 x 12000 pixels takes 1.2 GB, and making it several times that; the size is in \
pixels, so is it perhaps a length in nanometres? A larger object can be given as a file
    """
    check_range("amplitude", (spec.amplitude_min, spec.amplitude_max))
    check_range("phase", (spec.phase_min, spec.phase_max))
    size = getattr(spec, "size", None)
    if size is not None and size > _LARGEST:
        memory = size * size * (spec.slices or 1) * np.dtype(np.complex64).itemsize / 1e9
        raise ScenarioError(
            f"object.size: {size} given, expected at most {_LARGEST} pixels: an object of "
            f"{size} x {size} pixels takes {memory:.1f} GB, and making it several times that; the "
            "size is in pixels, so is it perhaps a length in nanometres? A larger object can be "
            "given as a file",
            key="object.size",
        )


def _seed_of(seed: int, number: int) -> int:
    """Seed of a drawing: of the first the object's own, of others a random one of 32 bits."""
    if number == 0:
        return seed
    return int(uniforms(seed, "object_drawings", np.array(number)) * 2**32)


def keys_of_given(obj: npt.ArrayLike) -> dict[str, Any]:
    """The table ``[object]`` that records an object handed over in Python, taken as it is."""
    off = {name: rule.default for name, rule in COMMON.items()}
    return {"kind": "given", "sha256": fingerprint(as_object(obj)), **off}


def as_object(obj: npt.ArrayLike) -> npt.NDArray[np.complex64]:
    """An object as the kernels take it, complex64; see `checks.floating` for errors."""
    array = checks.floating(obj, "object", np.complex64, integers=True)
    if array.ndim not in (2, 3) or array.size == 0:
        raise ValueError(checks.wrong("object", f"shape {array.shape}", "(H, W) or (L, H, W)"))
    return array


def __getattr__(name: str) -> Any:
    if name == "read_object":
        from .from_file import from_file

        warnings.warn(
            "objects.read_object(path) is now objects.from_file.from_file(file=path)",
            DeprecationWarning,
            stacklevel=2,
        )
        return lambda path: from_file(file=path)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
