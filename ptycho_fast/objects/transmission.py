"""What becomes of the drawing of any kind: ranges of amplitude and phase, correlation, slices."""

import math
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.errors import ScenarioError
from ptycho_fast.formats.numpy_files import to_complex64
from ptycho_fast.keys import Key, wrong

from .maps import Map, stretched

_AMPLITUDE, _PHASE = (0.5, 1.0), (0.0, 1.0)  # of a structure map, where a range leaves them open
_ROUNDING = 1e-5  # smaller differences of complex64 numbers are no contrast
_LEAST_NEW = 1e-6  # share of a drawing that has to differ from another one

Ends = tuple[float | None, float | None]


def finished(
    draw: Callable[[int], npt.NDArray[Any]],
    *,
    amplitude_min: Annotated[
        float | None, Key("smallest amplitude of the object, no unit", ge=0)
    ] = None,
    amplitude_max: Annotated[float | None, Key("largest amplitude, no unit", ge=0)] = None,
    phase_min: Annotated[float | None, Key("smallest phase of the object, radians")] = None,
    phase_max: Annotated[float | None, Key("largest phase, radians")] = None,
    correlation: Annotated[
        float | None,
        Key("correlation of phase and amplitude over the pixels, -1 to 1", ge=-1, le=1),
    ] = None,
    slices: Annotated[
        int | None, Key("slices of a thick object, each drawn on its own", ge=1, le=1024)
    ] = None,
) -> npt.NDArray[np.complex64]:
    """Turn what a kind draws into an object, as the common keys of ``[object]`` say.

    A kind draws a structure map s, or amplitude and phase themselves. A range stretches the map, or
    the amplitude and the phase, so that its smallest value is the lower end and its largest one the
    upper end, in every slice. Ends that are left out are 0.5 and 1 (amplitude) and 0 and 1 radian
    (phase) for a map, and those that the kind made for an amplitude or a phase. With nothing given
    an amplitude and a phase stay as they are.

    The phase of a map is ``t``, stretched: with correlation c ``t = c a + sqrt(1 - c**2) b``. Here
    a is s with mean 0 and variance 1, and b a second drawing of the kind of which the part along a
    is taken out, with mean 0 and variance 1 too. So the correlation over the pixels is c and not
    near c. Without c the phase goes with s (c = 1). For a kind that makes amplitude and phase, a
    correlation makes the phase anew, from its amplitude. A kind that makes an amplitude only, as
    lines does, or a phase only, has one map for both.

    Parameters
    ----------
    draw : callable
        ``draw(i)`` is drawing i of the kind, independent of the others: structure maps, float, or
        transmissions, complex; (H, W), or (L, H, W) for all slices at once.
    amplitude_min, amplitude_max : float, optional
        Range of the amplitude, from 0.
    phase_min, phase_max : float, optional
        Range of the phase, radians. A phase that the kind made is taken from -pi to pi.
    correlation : float, optional
        Pearson's correlation of amplitude and phase over the pixels of a slice.
    slices : int, optional
        Slices L; each is a drawing of its own, unless the kind makes all of them. One by default,
        or those that the kind makes.

    Returns
    -------
    (H, W) or (L, H, W) complex64
        The object; (H, W) for one slice, unless the kind makes (1, H, W).

    Raises
    ------
    ScenarioError
        The lower end of a range is above the upper one, or the kind has not what the keys need: a
        contrast that can be stretched, a second drawing that is another one, that many slices.

    Examples
    --------
    >>> def ramp(i):
    ...     return np.linspace(0, 1, 64).reshape(8, 8)
    >>> obj = finished(ramp, amplitude_min=0.2, phase_max=2.0, correlation=-1)
    >>> print(f"{abs(obj[0, 0]):.1f} {np.angle(obj[0, 0]):.1f}, {abs(obj[7, 7]):.1f}")
    0.2 2.0, 1.0
    """
    amplitude, phase = (amplitude_min, amplitude_max), (phase_min, phase_max)
    check_range("amplitude", amplitude)
    check_range("phase", phase)

    first, count = draw(0), slices or 1
    drawings: list[tuple[npt.NDArray[Any], Callable[[], npt.NDArray[Any]]]]
    if first.ndim == 2:
        drawings = [(first, lambda: draw(count))]
        for i in range(1, count):
            drawings.append((draw(i), lambda i=i: draw(count + i)))  # type: ignore[misc]
    else:
        if slices not in (None, len(first)):
            expected = f"{len(first)}, the slices that the object has, or nothing"
            raise wrong("object.slices", slices, expected)
        drawings = [(one, lambda i=i: draw(count)[i]) for i, one in enumerate(first)]  # type: ignore[misc]
    if len({one.shape for one, _ in drawings}) > 1:
        raise wrong("object.slices", slices, "1, or drawings of the same size; give object.size")
    made = [_transmission(one, other, amplitude, phase, correlation) for one, other in drawings]
    return made[0] if first.ndim == 2 and count == 1 else np.stack(made)


def check_range(name: str, ends: Ends) -> None:
    """Raise ScenarioError if the lower end of a range is the higher one."""
    low, high = ends
    if low is not None and high is not None and low > high:
        raise wrong(f"object.{name}_min", low, f"at most object.{name}_max, {high}")


def _transmission(
    drawn: npt.NDArray[Any],
    other: Callable[[], npt.NDArray[Any]],
    amplitude: Ends,
    phase: Ends,
    correlation: float | None,
) -> npt.NDArray[np.complex64]:
    """One slice: amplitude and phase of one drawing, and of another one if they need it."""
    if drawn.dtype.kind != "c":
        s = stretched(drawn)
        t = s if correlation is None else _mixed(s, lambda: stretched(other()), correlation)
        low, high = _closed("phase", phase, _PHASE)
        return _complex(_ranged(s, *_closed("amplitude", amplitude, _AMPLITUDE)), low, high, t)
    if correlation is None and amplitude == phase == (None, None):
        return to_complex64(drawn, "object")
    modulus, angle = np.abs(drawn), np.angle(drawn)
    s, t = _maps(drawn)
    size = modulus.astype(np.float32)
    if amplitude != (None, None):
        ends = _closed("amplitude", amplitude, (modulus.min(), modulus.max()))
        _require_contrast("amplitude", ends, s)
        size = _ranged(s, *ends)
    if correlation is None and phase == (None, None):
        return _complex(size, 0.0, 1.0, angle.astype(np.float32))
    ends = _closed("phase", phase, (angle.min(), angle.max()) if t.any() else _PHASE)
    _require_contrast("phase", ends, s)
    if correlation is not None:
        t = _mixed(s, lambda: _maps(other())[0], correlation)
    return _complex(size, *ends, t if t.any() else s)


def _maps(drawn: npt.NDArray[Any]) -> tuple[Map, Map]:
    """Amplitude and phase as maps; of a phase without an amplitude, the phase for both."""
    modulus, angle = np.abs(drawn), np.angle(drawn)
    flat = np.zeros(drawn.shape, np.float32)
    t = stretched(angle) if np.ptp(angle) > _ROUNDING else flat
    s = stretched(modulus) if np.ptp(modulus) > _ROUNDING * modulus.max() else t
    return s, t


def _closed(name: str, ends: Ends, others: tuple[float, float]) -> tuple[float, float]:
    """A range whose open ends are those of another one."""
    low = float(others[0]) if ends[0] is None else ends[0]
    high = float(others[1]) if ends[1] is None else ends[1]
    if low > high:
        key, given = (f"{name}_max", high) if ends[0] is None else (f"{name}_min", low)
        side = f"at least {low:g}" if ends[0] is None else f"at most {high:g}"
        open_end = "min" if ends[0] is None else "max"
        expected = f"{side}, the {name}_{open_end} that holds unless it is given"
        raise wrong(f"object.{key}", given, expected)
    return low, high


def _require_contrast(name: str, ends: tuple[float, float], s: Map) -> None:
    if ends[0] < ends[1] and not s.any():
        given = f"{ends[0]:g} to {ends[1]:g}"
        message = f"object.{name}_min, {name}_max: {given} given, expected one value for both: "
        raise ScenarioError(
            f"{message}the object is the same everywhere, so it has no contrast to stretch",
            key=f"object.{name}_min",
        )


def _ranged(s: Map, low: float, high: float) -> Map:
    found = s * np.float32(high - low)
    found += np.float32(low)
    return found


def _complex(size: Map, low: float, high: float, t: Map) -> npt.NDArray[np.complex64]:
    """Amplitude `size`, phase ``low + (high - low) t``."""
    found = np.empty(size.shape, np.complex64)
    angle = _ranged(t, low, high)
    np.multiply(size, np.cos(angle), out=found.real)
    np.multiply(size, np.sin(angle), out=found.imag)
    return found


def _mixed(s: Map, other: Callable[[], Map], c: float) -> Map:
    """A map whose correlation with `s` is `c`: see `finished`."""
    if c == 1 or not s.any():
        return s
    if c == -1:
        return 1 - s
    u = other()
    if u.shape != s.shape:
        expected = "1, -1 or drawings of the same size; give object.size"
        raise wrong("object.correlation", c, expected)
    a, b = _standard(s), _standard(u)
    b -= np.mean(a * b) * a
    new = math.sqrt(float(np.mean(b * b)))
    if new < _LEAST_NEW:
        raise wrong(
            "object.correlation",
            c,
            "1 or -1: this kind of object has no second drawing that is another one",
        )
    return stretched(c * a + math.sqrt(1 - c * c) / new * b)


def _standard(values: Map) -> npt.NDArray[np.float64]:
    """Mean 0, variance 1; zeros if all are equal."""
    centred = values - np.mean(values, dtype=np.float64)
    deviation = math.sqrt(float(np.mean(centred * centred)))
    return centred / deviation if deviation > 0 else centred
