"""``--report report.html``: one page that says and shows what a data set is.

The page needs nothing else: pictures, style and script are inside, and nothing is fetched.
"""

import importlib.util
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import quality
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.data.recipe import fingerprint
from ptycho_fast.drawing.axes import light
from ptycho_fast.drawing.overview import require_matplotlib
from ptycho_fast.files import check_targets, written_aside
from ptycho_fast.formats.contents import DOMAINS
from ptycho_fast.optics import geometry_text
from ptycho_fast.probes.modes import mode_fractions
from ptycho_fast.report import figures
from ptycho_fast.scaling import normalise_gain
from ptycho_fast.version import __version__

_SHOWN = 24  # patterns that the slider goes through
_SHOWN_PIXELS = 2**22  # of all of them
_COUNTED = 4096  # patterns whose photons are counted for the histogram, of patterns not in memory
_SHOWN_MODES = 6
_HASHED = 16  # first patterns that the hash is of, as in a recipe


@dataclass(frozen=True)
class Result:
    """A part of the page about what was made of the data, such as a reconstruction.

    Attributes
    ----------
    title : str
        Heading.
    sentences : sequence of str
        What is to be said first.
    head : sequence of str
        Names of the columns of `table`.
    table : sequence of sequences of str
        Rows.
    pictures : sequence of (path, str)
        PNG files, which are taken into the page, and what each shows.
    """

    title: str
    sentences: Sequence[str] = ()
    head: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    pictures: Sequence[tuple[Path, str]] = ()


def require_libraries() -> None:
    """Raise RuntimeError, naming the extra, where what draws the page is missing."""
    require_matplotlib("report")
    if importlib.util.find_spec("jinja2") is None:
        raise RuntimeError(
            "report: jinja2 is not installed; pip install 'ptycho_fast[plot]' brings it"
        )


def check_target(path: str | os.PathLike[str], *, force: bool) -> None:
    """Raise, before the work, for what `write_page` would refuse.

    Raises
    ------
    ValueError, RuntimeError, OSError
        As for `write_page`.
    """
    check_name(path)
    require_libraries()
    check_targets(path, force=force)


def check_name(path: str | os.PathLike[str]) -> None:
    """Raise ValueError unless a page may have this name.

    Examples
    --------
    >>> check_name("report.pdf")
    Traceback (most recent call last):
    ValueError: report: report.pdf given, expected a name that ends in .html
    """
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"report: {path} given, expected a name that ends in .html")


def write_page(
    dataset: Dataset,
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    command: str | None = None,
    seconds: Mapping[str, float] | None = None,
    results: Sequence[Result] = (),
) -> None:
    """Write the page of a data set.

    Parameters
    ----------
    dataset : Dataset
        The data; of patterns that are not in memory only some are read.
    path : path-like
        File to make, ``.html``.
    force : bool
        Whether an existing file may be replaced.
    command : str, optional
        The command that made the data.
    seconds : mapping, optional
        Seconds by stage.
    results : sequence of Result
        What was made of the data; shown first.

    Raises
    ------
    ValueError
        Another suffix.
    RuntimeError
        Matplotlib or Jinja is missing; the message names the extra.
    OSError
        The file exists or cannot be written.
    """
    check_name(path)
    require_libraries()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("ptycho_fast.report", "")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    said = _contents(dataset, command, dict(seconds or {}), results)
    text = environment.get_template("page.html.j2").render(said)
    with written_aside(path, force=force) as file:
        file.write(text.encode(errors="backslashreplace"))  # names need not be UTF-8


def _contents(
    dataset: Dataset,
    command: str | None,
    seconds: dict[str, float],
    results: Sequence[Result],
) -> dict[str, Any]:
    """All values of the template."""
    shown, unit, patterns = _patterns(dataset)
    totals, counted = _totals(dataset)
    covered = quality.coverage(dataset.positions, dataset.probe, dataset.projection.shape)
    good = patterns if dataset.mask is None else patterns[:, dataset.mask]
    scale = figures.pattern_scale(good)
    masked = np.where(True if dataset.mask is None else dataset.mask, patterns.mean(axis=0), np.nan)
    dose = dataset.provenance.get("dose", {})
    name = dataset.scenario.name if dataset.scenario else "Data set"
    said: dict[str, Any] = {
        "title": f"{name}: {dataset.n_patterns:,} diffraction patterns",
        "version": __version__,
        "sentences": _sentences(dataset, covered),
        "facts": _facts(dataset, totals),
        "results": [_result(one, n) for n, one in enumerate(results)],
        "object": figures.object_figures(dataset),
        "object_words": _object_words(dataset),
        "modes": _modes(dataset),
        "more_modes": _more_modes(dataset),
        "scan": figures.scan_figures(dataset, covered),
        "scan_words": _scan_words(covered),
        "patterns": _slides(dataset, shown, patterns, unit, scale),
        "unit": unit,
        "key": figures.pattern_key(scale, unit),
        "pattern_words": _pattern_words(dataset, shown),
        "totals": figures.totals_figure(
            totals, dose.get("requested"), dose.get("expected", {}).get("mean")
        ),
        "totals_words": f"{counted}; mean {totals.mean():.6g}, from {totals.min():.6g} to "
        f"{totals.max():.6g}.",
        "pixels": figures.pixels_figure(good, unit),
        "pixels_words": f"Good pixels of the shown patterns; {np.mean(good == 0):.2%} of them hold "
        "nothing.",
        "profile": figures.profile_figure(figures.radial_profile(masked), unit),
        "chain": _chain(dataset, float(totals.mean())),
        "mask": None if dataset.mask is None else figures.mask_figure(dataset.mask),
        "mask_words": ""
        if dataset.mask is None
        else f"{(~dataset.mask).sum():,} of {dataset.mask.size:,} pixels are bad.",
        "times": [(stage, f"{value:.3g}") for stage, value in seconds.items()],
        "provenance": _provenance(dataset),
        "command": command,
        "scenario": dataset.scenario.to_toml() if dataset.scenario else None,
    }
    wanted = ("object", "probe", "scan", "patterns", "photons", "scaling", "detector", "time")
    there = {"scaling": said["chain"], "detector": said["mask"], "time": said["times"]}
    said["parts"] = [
        *((one["anchor"], one["title"]) for one in said["results"]),
        *((part, part.capitalize()) for part in wanted if there.get(part, True)),
        ("provenance", "Provenance"),
    ]
    return said


# --- in words ---


def _sentences(dataset: Dataset, covered: npt.NDArray[np.int32]) -> list[str]:
    H, W = dataset.projection.shape
    slices = f" in {len(dataset.object)} slices" if dataset.object.ndim == 3 else ""
    modes = "one mode" if len(dataset.probe) == 1 else f"{len(dataset.probe)} modes"
    first = (
        f"A probe of {dataset.N} x {dataset.N} pixels in {modes} scans an object of {H} x {W} "
        f"pixels{slices} in {dataset.n_patterns:,} positions. Each pattern holds "
        f"{DOMAINS[dataset.domain].rpartition(',')[0]}."
    )
    geometry = geometry_text(asdict(dataset.geometry)) if dataset.geometry else ""
    return [first, f"Geometry: {geometry}."] if geometry else [first]


def _facts(dataset: Dataset, totals: npt.NDArray[np.float64]) -> list[tuple[str, str]]:
    dose = dataset.provenance.get("dose", {})
    requested = dose.get("requested")
    photons = dataset.intensity_scale is not None or dataset.domain == "count_intensity"
    facts = [
        ("patterns", f"{dataset.n_patterns:,} of {dataset.N} x {dataset.N}"),
        (
            "photons requested",
            "not given" if requested is None else f"{requested:.6g} {dose['unit']}",
        ),
        ("mean measured" if photons else "mean intensity", f"{totals.mean():.6g}"),
    ]
    if dataset.intensity_scale is not None:
        facts.append(("intensity scale s", f"{dataset.intensity_scale:.8g}"))
    if dataset.scenario is not None:
        facts.append(("seed of the photons", str(dataset.scenario.seeds.to_dict()["photons"])))
    facts.append(("noise", "photons drawn" if dataset.provenance.get("noise", True) else "none"))
    return facts


def _object_words(dataset: Dataset) -> str:
    amplitude = np.abs(dataset.projection)
    thick = "The product of all slices. " if dataset.object.ndim == 3 else ""
    return f"{thick}Amplitude from {amplitude.min():.4g} to {amplitude.max():.4g}."


def _scan_words(covered: npt.NDArray[np.int32]) -> str:
    lit = covered[covered > 0]
    if not lit.size:
        return "No position lights a pixel of the object."
    return (
        f"{np.median(lit):.0f} patterns light a pixel in the median, {lit.max()} at most; "
        f"{np.mean(lit == 1):.1%} of the lit pixels are seen only once, and "
        f"{covered.size - lit.size:,} of {covered.size:,} pixels never. A pixel is lit where the "
        "probe has a tenth of its largest intensity."
    )


def _pattern_words(dataset: Dataset, shown: npt.NDArray[np.int64]) -> str:
    step = math.ceil(dataset.N / 256)
    blocks = f" Each pixel shown is the sum of {step} x {step}." if step > 1 else ""
    return (
        f"{len(shown)} of {dataset.n_patterns:,} patterns on one log scale, evenly spaced over the "
        f"scan; the zero frequency is in the centre, black pixels hold nothing.{blocks}"
    )


def _result(result: Result, number: int) -> dict[str, Any]:
    import base64

    pictures = [
        ("data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(), words)
        for path, words in result.pictures
    ]
    return vars(result) | {"anchor": f"result-{number}", "pictures": pictures}


# --- in pictures ---


def _modes(dataset: Dataset) -> list[dict[str, Any]]:
    shares = mode_fractions(dataset.probe)
    return [
        {
            "name": f"mode {m + 1}, {share:.2%} of the power" if len(shares) > 1 else "one mode",
            "figures": figures.mode_figures(mode),
        }
        for m, (mode, share) in enumerate(zip(dataset.probe[:_SHOWN_MODES], shares, strict=False))
    ]


def _more_modes(dataset: Dataset) -> str:
    hidden = len(dataset.probe) - _SHOWN_MODES
    added = 0 if dataset.eigenprobes is None else len(dataset.eigenprobes)
    return " ".join(
        text
        for number, text in (
            (hidden, f"{hidden} more modes are not shown."),
            (added, f"{added} eigenprobes let the first mode vary from pattern to pattern."),
        )
        if number > 0
    )


def _patterns(
    dataset: Dataset,
) -> tuple[npt.NDArray[np.int64], str, npt.NDArray[np.float64]]:
    """Numbers of the patterns that are shown, the unit of a pixel, and the patterns (n, N, N)."""
    most = max(1, min(_SHOWN, _SHOWN_PIXELS // dataset.N**2))
    shown = np.unique(np.linspace(0, dataset.n_patterns - 1, most).astype(np.int64))
    patterns, units = zip(*(light(dataset, int(b)) for b in shown), strict=True)
    return shown, units[0], np.stack(patterns)


def _slides(
    dataset: Dataset,
    shown: npt.NDArray[np.int64],
    patterns: npt.NDArray[np.float64],
    unit: str,
    scale: Any,
) -> list[dict[str, str]]:
    slides = []
    for b, pattern in zip(shown, patterns, strict=True):
        x, y = dataset.positions[b]
        good = pattern if dataset.mask is None else pattern[dataset.mask]
        slides.append(
            {
                "address": figures.pattern_png(figures.binned(pattern), dataset.mask, scale),
                "words": f"pattern {b} at x = {x:.2f}, y = {y:.2f}: {good.sum():.6g} {unit}, "
                f"{good.max():.6g} in the brightest pixel",
            }
        )
    return slides


def _totals(dataset: Dataset) -> tuple[npt.NDArray[np.float64], str]:
    """Photons of each pattern, or of some where they would all have to be read, and in words."""
    n = dataset.n_patterns
    if not dataset.is_lazy or dataset.statistics is not None or n <= _COUNTED:
        return dataset.photons(), f"All {n:,} patterns"
    chosen = np.unique(np.linspace(0, n - 1, _COUNTED).astype(np.int64))
    parts = [dataset[int(b) : int(b) + 1].photons() for b in chosen]
    return np.concatenate(parts), f"{len(chosen):,} of {n:,} patterns"


# --- in numbers ---


def _chain(dataset: Dataset, mean_photons: float) -> list[tuple[str, str, str]]:
    """Steps of the scaling; none where the file does not say s, or there is no light."""
    s, dose = dataset.intensity_scale, dataset.provenance.get("dose", {})
    if s is None or not mean_photons:
        return []
    energy = mean_photons / s**2
    g = normalise_gain(energy, dataset.N)
    expected = dose.get("expected", {}).get("mean")
    rows = [
        ("mean energy of a pattern before dose", "E = mean over patterns of the sum of I", energy),
        ("requested dose", "n", dose.get("requested")),
        ("intensity scale", "s; photons expected in a pixel are s² I", s),
        ("expected photons in a mean pattern", "mean of s² E", expected),
        ("measured photons in a mean pattern", "mean of the sum of k", mean_photons),
        ("stored amplitude", "A = √k / s", "for a pixel with k photons"),
        ("gain of the normalise stage", "g = (N/2) / √E", g),
        (
            "input of a network",
            "s g A",
            f"a mean pattern holds {(s * g) ** 2 * energy:.8g} photons",
        ),
    ]
    return [
        (step, formula, value if isinstance(value, str) else f"{value:.10g}")
        for step, formula, value in rows
        if value is not None
    ]


def _provenance(dataset: Dataset) -> list[tuple[str, str]]:
    told = dataset.provenance
    n = min(_HASHED, dataset.n_patterns)
    rows = [
        ("made by", f"ptycho_fast {told['version']}" if "version" in told else "another program"),
        ("backend", told.get("backend")),
        ("values", DOMAINS[dataset.domain]),
        ("type of a pixel", dataset.diffraction.dtype.name),
        (f"SHA-256 of the first {n} patterns", fingerprint(dataset.diffraction[:n])),
    ]
    return [(name, str(value)) for name, value in rows if value is not None]
