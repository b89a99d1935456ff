"""What a refinement leaves in a folder, and objects to start one from.

==================  ==================================================================
``object.npz``      object and probe, as ``--from``, ``--start`` and ``read_truth`` take them
``report.json``     score, history, request
``summary.md``      the same in words, with the pictures
``amplitude.png``,  truth (where the data have one) and what was found
``phase.png``
``difference.png``  of the amplitudes
``loss.png``        loss by pass
``rings.png``       Fourier ring correlation with the truth
``probe.png``       the probe, where it was found too
==================  ==================================================================
"""

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ptycho_fast import checks, quality
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.files import written_aside
from ptycho_fast.formats.numpy_files import open_arrays
from ptycho_fast.formats.truth import read_plane
from ptycho_fast.version import __version__

from . import pictures
from .refine import UNFINISHED, Refinement, counted, still_falling

_FILES = (
    "object.npz", "report.json", "summary.md",
    "amplitude.png", "phase.png", "difference.png", "loss.png", "rings.png", "probe.png",
)  # fmt: skip


def claim(folder: Path, *, force: bool) -> None:
    """Refuse a folder that holds files; `force` allows to replace those of a refinement.

    Raises
    ------
    FileExistsError
        There is something in the folder, or it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder}: is a file, expected a folder")
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder}: is not empty; force=True replaces what is there")


def object_to_start(
    start: str | os.PathLike[str], shape: tuple[int, ...]
) -> npt.NDArray[np.complex64]:
    """The object of a file, NaN where it is not known.

    Parameters
    ----------
    start : path-like
        ``prediction.npz`` of a training, ``object.npz`` of a refinement, or any file with an
        object.
    shape : (int, int)
        The shape that it must have.

    Raises
    ------
    FileNotFoundError, ValueError, RuntimeError
        It cannot be read, holds no object, or one of another shape.
    """
    stitched = _stitched(start)
    if stitched is not None:
        obj, name = stitched, f"{start}: stitched"
    else:
        obj, name = read_plane(start, "object")
    obj = obj[0] if obj.ndim == 3 and len(obj) == 1 else obj
    if obj.shape != shape:
        raise ValueError(checks.wrong(name, f"shape {obj.shape}", f"{shape}, that of the data"))
    return obj


def _stitched(path: str | os.PathLike[str]) -> npt.NDArray[np.complex64] | None:
    """What a training predicted, where its windows cover; None of another file."""
    if Path(path).suffix != ".npz" or not Path(path).is_file():
        return None
    with open_arrays(path) as file:
        if not {"stitched", "covered"} <= set(file.keys):
            return None
        return np.where(file.read("covered"), file.read("stitched"), np.complex64(np.nan))


def write(
    found: Refinement,
    data: Dataset,
    folder: Path,
    *,
    request: Mapping[str, Any],
    numbers: npt.NDArray[np.int64],
    draw: bool = True,
) -> dict[str, Any]:
    """Compare what was found with what is known, and write it all down.

    Parameters
    ----------
    found : Refinement
        The object and the probe.
    data : Dataset
        What they were found from.
    folder : Path
        Where to; it is made.
    request : mapping
        What was asked for, plain JSON types.
    numbers : (n,) int64
        The patterns that were used.
    draw : bool
        Whether to make pictures.

    Returns
    -------
    dict
        What ``report.json`` holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    joint = request["probe"] == "joint"
    truth = data.projection if _has_contrast(data.projection) else None
    report: dict[str, Any] = {
        "request": dict(request),
        "patterns": len(numbers),
        "stopped": found.stopped,
        "passes": len(found.history),
        "seconds": found.seconds,
        "misfit": found.history[-1]["misfit"] if found.history else None,
        "covered_pixels": int(found.covered.sum()),
        "lit_twice": float((found.coverage > 1).sum() / found.covered.sum()),
        "score": None,
        "photon_limit": None,
        "history": found.history,
        "versions": {
            "ptycho_fast": __version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    obj = found.object
    if truth is not None:
        pixel = data.geometry.object_pixel_m if data.geometry else None
        report["score"] = quality.compare(
            obj, truth, found.covered, found.coverage, pixel_m=pixel, probe_found=joint
        )
        report["photon_limit"] = None if joint else _photon_limit(data, numbers, found.covered)
    _write_object(found, data, numbers, folder / "object.npz", report)
    if draw:
        report["pictures"] = _draw(found, truth, folder, report, joint=joint)
    with written_aside(folder / "report.json", force=True) as file:
        file.write((json.dumps(report, indent=2, allow_nan=False) + "\n").encode())
    with written_aside(folder / "summary.md", force=True) as file:
        file.write(summary(report).encode())
    return report


def _has_contrast(obj: npt.NDArray[np.complex64]) -> bool:
    """Whether an object is more than a place holder."""
    return bool(np.ptp(obj.real) > 0 or np.ptp(obj.imag) > 0)


def _photon_limit(
    data: Dataset, numbers: npt.NDArray[np.int64], covered: npt.NDArray[np.bool_]
) -> float | None:
    if data.intensity_scale is None or not counted(data):
        return None
    lit = quality.illumination(data.positions[numbers], data.probe, data.projection.shape)
    return quality.photon_limit(data.projection, data.intensity_scale**2 * lit, covered)


def _write_object(
    found: Refinement,
    data: Dataset,
    numbers: npt.NDArray[np.int64],
    path: Path,
    report: Mapping[str, Any],
) -> None:
    about = {
        "made_by": f"ptycho_fast {__version__}",
        "request": report["request"],
        "stopped": report["stopped"],
        "geometry": asdict(data.geometry) if data.geometry else None,
    }
    x, y = data.positions[numbers].T
    arrays: dict[str, Any] = {
        "objectGuess": found.object, "probeGuess": found.probe[0], "xcoords": x, "ycoords": y,
        "covered": found.covered, "coverage": found.coverage,
        "_metadata": np.array(json.dumps(about)),
    }  # fmt: skip
    if len(found.probe) > 1:
        arrays["probe_modes"] = found.probe
    with written_aside(path, force=True) as file:
        np.savez_compressed(file, **arrays)


def _draw(
    found: Refinement,
    truth: npt.NDArray[np.complex64] | None,
    folder: Path,
    report: Mapping[str, Any],
    *,
    joint: bool,
) -> list[str]:
    obj = found.object
    if truth is None:
        names = pictures.alone(obj, found.covered, "refined", folder)
    else:
        obj = quality.aligned(obj, truth, found.covered) if joint else obj
        names = pictures.objects(truth, {"refined": obj}, found.covered, folder)
    if found.history:
        pictures.passes(found.history, folder / "loss.png")
        names.append("loss.png")
    if report["score"] and report["score"]["frc"]:
        pictures.ring_correlations({"refined": report["score"]["frc"]}, folder / "rings.png")
        names.append("rings.png")
    if joint:
        pictures.probe(found.probe, folder / "probe.png")
        names.append("probe.png")
    return names


# --- in words ---


def summary(report: Mapping[str, Any]) -> str:
    """``summary.md``: a verdict, a table, the pictures."""
    request = report["request"]
    table = [f"| {name} | {value} |" for name, value in lines(report)]
    shown = [f"![{name.partition('.')[0]}]({name})\n" for name in report.get("pictures", [])]
    parts = [
        f"# {request['source']}, refined",
        "",
        *verdict(report),
        "",
        "| | |",
        "| --- | --- |",
        *table,
        "",
        *_by_coverage(report),
        *shown,
    ]
    return "\n".join(parts)


def verdict(report: Mapping[str, Any]) -> Iterator[str]:
    """Sentences: how it ended, whether it is right, what limits it."""
    ended = {
        "passes": f"The refinement made all its {report['passes']} passes.",
        "settled": "The refinement ended early, where no object explains the patterns better.",
        "diverged": "The refinement diverged: this is the object of the best pass before; "
        "a smaller learning rate helps.",
        "interrupted": "The refinement was interrupted: this is the object so far.",
    }
    yield ended[report["stopped"]]
    fall = still_falling(report["history"])
    if report["stopped"] == "passes" and fall > UNFINISHED:
        yield f"The misfit was still falling by {fall:.0%} in a pass: more passes help."
    score = report["score"]
    if score is None:
        yield "The data have no object to compare it with."
    elif score["pearson_r"] is None:
        yield f"Its error is {score['normalised_error']:.3g} of the truth, which has one amplitude."
    else:
        yield (
            f"Its amplitude is {score['ratio']:.4f} times that of the data's object, with "
            f"r = {score['pearson_r']:.4f}; the error is {score['normalised_error']:.3g} of it."
        )
    if report["photon_limit"]:
        yield f"Photon noise alone allows {report['photon_limit']:.2g}."
    if report["lit_twice"] < 0.75:
        yield (
            f"Only {report['lit_twice']:.0%} of it is lit by two patterns or more; elsewhere a "
            "pattern alone often does not tell an object from its twin."
        )
    yield "Refinement uses the very patterns that it explains."


def lines(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Label and text of each number."""
    seconds, passes = report["seconds"], report["passes"]
    yield "patterns", str(report["patterns"])
    yield "passes", f"{passes} in {seconds:.1f} s, {report['stopped']}"
    if report["misfit"] is not None:
        yield "misfit", f"{report['misfit']:.3g} of the light"
    yield "covered", f"{report['covered_pixels']} pixels, {report['lit_twice']:.0%} at least twice"
    score = report["score"]
    if score is None:
        return
    yield "amplitude ratio", f"{score['ratio']:.4f}"
    yield "Pearson r", "-" if score["pearson_r"] is None else f"{score['pearson_r']:.4f}"
    limit = report["photon_limit"]
    allowed = f"; photon noise allows {limit:.2g}" if limit else ""
    yield "error", f"{score['normalised_error']:.3g}{allowed}"
    yield "phase error", f"{score['phase']['rmse']:.3g} rad rms"
    yield "resolution", resolution(score["frc"])


def resolution(frc: Mapping[str, Any] | None) -> str:
    """Where the Fourier ring correlation crosses the half-bit curve, in words."""
    if frc is None:
        return "-, the covered region is too small"
    if frc["crossing"] is None:
        text = "all frequencies up to 0.5 cycles/pixel"
    else:
        text = f"{frc['crossing']:.3g} cycles/pixel"
    return text if frc["resolution_m"] is None else f"{text}, {frc['resolution_m']:.3g} m"


def _by_coverage(report: Mapping[str, Any]) -> Sequence[str]:
    classes = (report["score"] or {}).get("by_coverage")
    if not classes:
        return []
    rows = [
        f"| {name} | {one['pixels']} | "
        + ("-" if one["pearson_r"] is None else f"{one['pearson_r']:.4f}")
        + f" | {one['normalised_error']:.3g} |"
        for name, one in classes.items()
    ]
    head = ["| lit by patterns | pixels | Pearson r | error |", "| --- | --- | --- | --- |"]
    return [*head, *rows, ""]
