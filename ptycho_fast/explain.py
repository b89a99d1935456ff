"""An experiment in plain sentences: object, probe, scan, light, dose and detector."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.dose.modes import step_area
from ptycho_fast.experiment import Experiment
from ptycho_fast.keys import shown
from ptycho_fast.probes.modes import mode_fractions

_SHARE = 0.9  # of the power, within the disk that counts as the beam

_UNITS = ((1.0, "m"), (1e-3, "mm"), (1e-6, "um"), (1e-9, "nm"), (1e-12, "pm"))


def in_words(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """What an experiment is, part by part.

    Parameters
    ----------
    experiment : Experiment
        No pattern of it is made.

    Yields
    ------
    (str, str)
        The part, and one or more sentences about it.

    Examples
    --------
    >>> from ptycho_fast import Scenario
    >>> from ptycho_fast.experiment import make_experiment
    >>> words = dict(in_words(make_experiment(Scenario.preset("gs2_ideal"))))
    >>> print(words["patterns"])
    1024 patterns of 64 x 64 pixels.
    """
    yield "patterns", f"{experiment.n_patterns} patterns of {experiment.N} x {experiment.N} pixels."
    yield "object", _object(experiment)
    yield "probe", _probe(experiment)
    yield "scan", _scan(experiment)
    yield "light", _light(experiment)
    yield "dose", _dose(experiment)
    yield "detector", _detector(experiment)


def beam_diameter(probe: npt.NDArray[np.complex64]) -> float:
    """Diameter of the disk around the middle of the light that holds 90 % of its power, pixels.

    Parameters
    ----------
    probe : (M, N, N) complex64
        Probe modes, not all zero.

    Examples
    --------
    >>> y, x = np.mgrid[-32:32, -32:32]
    >>> round(beam_diameter(np.exp(-(x**2 + y**2) / 4 / 6.0**2)[np.newaxis]))  # 2 * 2.15 sigma
    26
    """
    power = (np.abs(probe.astype(np.complex128)) ** 2).sum(axis=0)
    y, x = np.indices(power.shape)
    total = power.sum()
    radius = np.hypot(x - (x * power).sum() / total, y - (y * power).sum() / total).ravel()
    order = np.argsort(radius)
    inside = np.cumsum(power.ravel()[order])
    pixels = 1 + int(np.searchsorted(inside, _SHARE * total))
    return 2 * math.sqrt(pixels / math.pi)


def overlap(experiment: Experiment) -> float | None:
    """Linear overlap of neighbours, ``1 - step / diameter``; below 0 there are gaps.

    The step is the side of the square that each position has for itself (`step_area`), the
    diameter that of `beam_diameter`.

    Returns
    -------
    float or None
        None where all positions are the same one.
    """
    if not np.ptp(experiment.positions_nominal, axis=0).any():
        return None
    step = math.sqrt(step_area(experiment.positions_nominal))
    return 1 - step / beam_diameter(experiment.probe)


def length_text(metres: float) -> str:
    """A length with a unit that suits it, three digits.

    Examples
    --------
    >>> length_text(1.35e-6), length_text(0.0)
    ('1.35 um', '0 m')
    """
    factor, unit = next((pair for pair in _UNITS if abs(metres) >= pair[0]), _UNITS[-1])
    return "0 m" if metres == 0 else f"{metres / factor:.3g} {unit}"


def _in_pixels(experiment: Experiment, pixels: float) -> str:
    """A length on the object in pixels, and in metres where a pixel has a size."""
    size = experiment.geometry.object_pixel_m if experiment.geometry else None
    return f"{pixels:.3g} pixels" + ("" if size is None else f" ({length_text(pixels * size)})")


def _kind(table: Any) -> str:
    """What the kind of a table is, in the words of its function."""
    sentence: str = table.kinds[table.kind].doc.replace("``", "").rstrip(".")
    return f"{sentence} (kind {table.kind})."


def _object(e: Experiment) -> str:
    amplitude, phase = np.abs(e.slices), np.angle(e.slices) + np.float32(0)  # no -0
    H, W = e.slices.shape[1:]
    slices = f", {len(e.slices)} slices" if len(e.slices) > 1 else ""
    flat = "no phase" if not phase.any() else f"phase {phase.min():.3g} to {phase.max():.3g} rad"
    return (
        f"{_kind(e.scenario.object)} {W} x {H} pixels{slices}, amplitude {amplitude.min():.3g} to "
        f"{amplitude.max():.3g}, {flat}; seed {e.scenario.seeds.object}."
    )


def _probe(e: Experiment) -> str:
    width = _in_pixels(e, beam_diameter(e.probe))
    text = f"{_kind(e.scenario.probe)} 90 % of its power is within a disk of {width}."
    if len(e.probe) > 1:
        shares = ", ".join(f"{share:.1%}" for share in mode_fractions(e.probe))
        text += f" It has {len(e.probe)} modes with {shares} of the power."
    if e.weights is not None:
        text += " It changes from pattern to pattern."
    return text


def _scan(e: Experiment) -> str:
    width, height = np.ptp(e.positions_nominal, axis=0)
    text = f"{_kind(e.scenario.scan)} {e.n_patterns} positions on {width:.0f} x {height:.0f} pixels"
    share = overlap(e)
    if share is None:
        return f"{text}, all of them the same one."
    step = _in_pixels(e, math.sqrt(step_area(e.positions_nominal)))
    overlaps = f"overlap by {share:.0%}" if share > 0 else "do not overlap"
    text += f", {step} from one to the next on average: neighbours {overlaps}."
    moved = float(np.sqrt(((e.positions - e.positions_nominal) ** 2).sum(axis=1).mean()))
    if moved > 0:
        text += f" The true positions are off the nominal ones by {moved:.2g} pixels (rms)."
    if e.path is not None:
        text += f" The stage moves during a pattern, in {e.path.shape[1]} sub-exposures."
    return f"{text} Seed {e.scenario.seeds.scan}."


def _light(e: Experiment) -> str:
    g = e.geometry
    where = "near" if g is not None and g.propagation == "near_field" else "far"
    known = []
    if g is not None and g.energy_ev is not None:
        known.append(f"energy {g.energy_ev / 1e3:.6g} keV")
    if g is not None and g.wavelength_m is not None:
        known.append(f"wavelength {length_text(g.wavelength_m)}")
    if g is not None and g.detector_distance_m is not None:
        known.append(f"detector at {length_text(g.detector_distance_m)}")
    if g is not None and g.object_pixel_m is not None:
        known.append(f"object pixel {length_text(g.object_pixel_m)}")
    if not known:
        return f"{where.title()} field; energy and lengths are not given, all is in pixels."
    radiation = "electrons" if g is not None and g.radiation == "electron" else "photons"
    return f"{where.title()} field of {radiation}, {', '.join(known)}."


def _dose(e: Experiment) -> str:
    expected, unit = e.dose["expected"], e.dose["unit"]
    requested = e.dose["requested"]
    asked = unit if requested is None else f"{requested:.4g} {unit}"
    text = (
        f"{asked[0].upper()}{asked[1:]}. Expected: {expected['mean']:.4g} in a mean pattern, "
        f"{expected['min']:.4g} in the faintest, {expected['max']:.4g} in the brightest, "
        f"{expected['pixel_mean']:.3g} in a mean pixel."
    )
    if not e.scenario.noise:
        return f"{text} No noise is drawn."
    seed = e.scenario.seeds.photons
    return f"{text} Each pixel is drawn from a Poisson distribution; seed {seed}."


def _detector(e: Experiment) -> str:
    spec = e.scenario.detector
    rules = spec.known()
    given = {name: v for name, v in spec.to_dict().items() if v != rules[name].default}
    if not given:
        return "Ideal: each pixel counts every photon."
    parts = ", ".join(f"{name} {shown(value)}" for name, value in given.items())
    text = f"Not ideal: {parts}. It takes {e.dose['quantum_efficiency']:.3g} of the photons."
    if e.mask is not None and not e.mask.all():
        text += f" {1 - float(e.mask.mean()):.2%} of the pixels are bad."
    return text
