"""The data card of a data set: what it is, and how to make it again, on a page of Markdown."""

import hashlib
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ptycho_fast.data.dataset import Dataset
from ptycho_fast.formats import Format
from ptycho_fast.formats.contents import DOMAINS
from ptycho_fast.optics import geometry_text
from ptycho_fast.probes.modes import mode_fractions
from ptycho_fast.summary import bytes_in, scenario_lines, spread_text
from ptycho_fast.terminal import bytes_text
from ptycho_fast.version import __version__

_BLOCK = 2**24  # bytes


def facts_of(dataset: Dataset) -> dict[str, Any]:
    """What is known of a data set, as plain JSON types; no pattern is read.

    Parameters
    ----------
    dataset : Dataset
        The data set.
    """
    one, provenance = dataset, dataset.provenance
    return {
        "patterns": len(one),
        "N": one.N,
        "dtype": one.diffraction.dtype.name,
        "domain": one.domain,
        "shapes": {
            "object": list(one.object.shape),
            "probe": list(one.probe.shape),
            "positions": list(one.positions.shape),
        },
        "mode_fractions": mode_fractions(one.probe).tolist(),
        "eigenprobes": 0 if one.eigenprobes is None else len(one.eigenprobes),
        "good_pixels": 1.0 if one.mask is None else float(one.mask.mean()),
        "intensity_scale": one.intensity_scale,
        "geometry": asdict(one.geometry) if one.geometry else {},
        "dose": provenance.get("dose"),
        "noise": provenance.get("noise"),
        "version": provenance.get("version"),
        "backend": provenance.get("backend"),
        "part": provenance.get("part"),
        "campaign": provenance.get("campaign"),
        "scenario": one.scenario.to_dict() if one.scenario else None,
    }


def lines_of(facts: dict[str, Any], dataset: Dataset) -> Iterator[tuple[str, str]]:
    """The facts of a data set as label and text of each line."""
    yield "patterns", f"{facts['patterns']} of {facts['N']} x {facts['N']} pixels"
    yield "domain", f"{facts['domain']}: {DOMAINS[facts['domain']].rpartition(',')[0]}"
    yield "stored as", facts["dtype"]
    yield "object", " x ".join(map(str, facts["shapes"]["object"]))
    shares, more = facts["mode_fractions"], facts["eigenprobes"]
    added = f", {more} eigenprobes" if more else ""
    yield "probe modes", f"{len(shares)}: {', '.join(f'{s:.2%}' for s in shares)}{added}"
    if text := geometry_text(facts["geometry"]):
        yield "geometry", text
    if facts["good_pixels"] < 1:
        yield "mask", f"{1 - facts['good_pixels']:.2%} of the pixels are bad"
    if facts["part"]:
        part = facts["part"]
        yield "part", f"patterns {part.get('first')} to {part.get('last')} of {part.get('of')}"
    dose = facts["dose"] or {}
    if "requested" in dose:
        number = "" if dose["requested"] is None else f"{dose['requested']:.6g} "
        yield "dose requested", f"{number}{dose.get('unit', '')}"
    if "measured" in dose:
        yield "dose measured", spread_text(dose["measured"])
    if facts["version"] is not None:
        yield "version", version_text(facts["version"])
    if facts["backend"] is not None:
        yield "backend", str(facts["backend"])
    if dataset.scenario is None:
        yield "scenario", "none"
    else:
        yield from scenario_lines(dataset.scenario)


def version_text(version: object) -> str:
    """The version that made a file, and this one if it is another."""
    return str(version) if version == __version__ else f"{version}; this is {__version__}"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file; of a folder that of all names and files in it, in the order of the names.

    Parameters
    ----------
    path : Path
        Read once, block by block.

    Returns
    -------
    str
        64 hexadecimal digits; of a file those that ``sha256sum`` prints.
    """
    digest = hashlib.sha256()
    if not path.is_dir():
        _add(path, digest)
        return digest.hexdigest()
    for one in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(one.relative_to(path).as_posix().encode() + b"\0")
        _add(one, digest)
    return digest.hexdigest()


def _add(file: Path, digest: Any) -> None:
    with open(file, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)


def card(
    dataset: Dataset,
    file: Path,
    file_format: Format,
    command: str | None = None,
    *,
    inside: bool = False,
) -> str:
    """The data card of a file.

    Parameters
    ----------
    dataset : Dataset
        What the file holds.
    file : Path
        The file, or the folder, of which the hash is taken.
    file_format : Format
        Its format.
    command : str, optional
        The command that made it, if that is known.
    inside : bool
        Whether the file will hold the card: then it has neither its hash nor its size, and not its
        name, so that the bytes of the file do not depend on the name.

    Returns
    -------
    str
        Markdown. With the version that it names, what it says under "Make it again" gives the same
        patterns, bit for bit.
    """
    if inside:
        name = dataset.scenario.name if dataset.scenario else "data"
        file = Path(f"{name}{file_format.suffix}")
    lines = [("format", f"{file_format.title} ({file_format.name})")]
    if not inside:
        lines += [
            ("size", f"{bytes_text(bytes_in(file))} ({bytes_in(file)} bytes)"),
            ("SHA-256", f"`{sha256_of(file)}`"),
        ]
    lines += [
        *lines_of(facts_of(dataset), dataset),
    ]
    rows = "".join(f"| {label} | {_cell(text)} |\n" for label, text in lines)
    return (
        f"# {file.name}\n\n"
        "Simulated ptychography data: object, probe, scan and diffraction patterns.\n\n"
        f"| | |\n| --- | --- |\n{rows}\n"
        f"## Make it again\n\n{_again(dataset, file, file_format, command, inside)}\n"
        "## Licence\n\nNot stated. Whoever publishes these data names it here.\n"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def kept_card(file: Path, file_format: Format) -> str | None:
    """The card that a file holds; None where it holds none.

    Raises
    ------
    OSError, ValueError, RuntimeError
        The file cannot be read.
    """
    read = getattr(file_format.load(), "card", None)
    return None if read is None else read(file)


def _again(
    dataset: Dataset, file: Path, file_format: Format, command: str | None, inside: bool
) -> str:
    scenario, version = dataset.scenario, dataset.provenance.get("version")
    if scenario is None:
        return "The file has no scenario: these data cannot be made again.\n"
    texts = [f"With ptycho_fast {version}. " if version else ""]
    given = [
        table
        for table in ("object", "probe", "scan")
        if getattr(getattr(scenario, table), "kind", None) in ("given", "file")
    ]
    if given:
        texts.append(f"What is read or was handed over is needed, too: {' and '.join(given)}. ")
    if command is not None:
        texts.append(f"The command that made the file:\n\n```sh\n{command}\n```\n\nOr save")
    else:
        texts.append("Save")
    words = ["ptycho-fast", "simulate", "again.toml", "--out", file.name]
    words += ["--format", file_format.name]
    if inside or kept_card(file, file_format) is not None:
        words.append("--card")  # a part of the file's bytes
    texts.append(
        f" this as `again.toml`\n\n```toml\n{scenario.to_toml()}```\n\nand run\n\n"
        f"```sh\n{shlex.join(words)}\nptycho-fast info {shlex.quote(file.name)} --verify\n```\n"
    )
    return "".join(texts)
