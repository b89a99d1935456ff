"""``python -m ptycho_fast.convert IN OUT``: from any format that is read to any that is written."""

import argparse
import dataclasses
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.command import (
    Parser,
    UsageError,
    add_output_flags,
    add_reading_flags,
    examples,
    naming_written,
    reading_of,
    run_command,
    usage_errors,
    whole,
)
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.errors import DataWarning
from ptycho_fast.files import same_file
from ptycho_fast.formats import FORMATS, Format, format_of
from ptycho_fast.formats.patterns import Converted
from ptycho_fast.formats.work import MEMORY, Work, require_memory
from ptycho_fast.summary import bytes_in
from ptycho_fast.terminal import Output, bytes_of, bytes_text, watched

_DTYPES = ("uint16", "uint32", "int32", "float32")
_OPTIONS = ("compression", "modes", "alias")
_SAMPLE = 2  # patterns; some programs cannot read one
_CLOSE = 1e-9  # pixels
_EXAMPLES = (
    ("compressed HDF5", "ptycho-fast convert gs2_ideal.npz gs2_ideal.h5"),
    (
        "photon counts for PtychoPINN",
        "ptycho-fast convert gs2_ideal.npz counts.npz --format pinn-counts",
    ),
    ("the first 100 patterns", "ptycho-fast convert gs2_ideal.npz few.npz --first 0 --last 100"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments, by default those of the process.

    Returns
    -------
    int
        The exit code; see `command.run_command`.
    """
    return run_command(parser(), _run, argv)


def parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    written = [one for one in FORMATS.values() if one.writes]
    parser = Parser(
        prog="ptycho-fast convert",
        description="Convert a data set from one format to another; patterns pass block by block.",
        epilog=examples(*_EXAMPLES)
        + "\n\nFormats that are written:\n"
        + "\n".join(f"  {f.name:16} {', '.join(f.suffixes) or '':14} {f.title}" for f in written),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="IN", help="a data set of any format that is read")
    parser.add_argument("out", metavar="OUT", help="the file to make; its suffix is its format")
    add_reading_flags(parser.add_argument_group("how to read"))
    out = parser.add_argument_group("what to write")
    out.add_argument("--format", metavar="NAME", help="format of OUT, where the suffix is not it")
    out.add_argument("--first", type=whole, metavar="K", help="the first pattern (default: 0)")
    out.add_argument("--last", type=whole, metavar="K", help="the pattern to end before")
    out.add_argument("--dtype", choices=_DTYPES, help="type of the counts in the file")
    out.add_argument(
        "--compression",
        choices=["lz4", "zstd", "portable", "none"],
        help="of HDF5 and Zarr: lz4 (default), smaller and slower, for every reader, or none",
    )
    out.add_argument("--alias", choices=["diffraction"], help="write the patterns there too")
    out.add_argument(
        "--modes", choices=["first", "all"], help="which of several probe modes to write"
    )
    out.add_argument(
        "--memory",
        metavar="BYTES",
        help="that patterns on their way to the file may take (default: 512MiB)",
    )
    out.add_argument("--force", action="store_true", help="replace an existing file")
    add_output_flags(parser, "what was done")
    return parser


def _run(options: argparse.Namespace, output: Output) -> None:
    out = Path(options.out)
    given = {name: getattr(options, name) for name in _OPTIONS}
    given["alias"] = options.alias is not None
    with usage_errors():
        target = format_of(out, options.format)
        if same_file(out, options.source):
            expected = f"another file than {options.source}, which is read meanwhile"
            raise ValueError(checks.wrong("OUT", str(out), expected))
        target.check_target(out, options.force)
        taken = target.options(given)
        memory = bytes_of(options.memory, "--memory") if options.memory else MEMORY
    with naming_written(out), reading_of(options, options.source) as source:
        with usage_errors():
            dataset = _chosen(source, options, target)
            require_memory(memory, dataset.diffraction.shape, dataset.diffraction.dtype)
            size = dataset.check(out, format=target.name, **taken)
            free = shutil.disk_usage(out.absolute().parent).free
            if size > free:
                raise OSError(
                    f"{out}: the file needs {bytes_text(size)}, the disk has {bytes_text(free)} "
                    "free"
                )
            if target.name == "recipe":
                _require_the_same(dataset)
        lost = [] if target.name == "recipe" else lost_in(dataset, out, target, taken)
        if lost:
            output.remark(f"{target.title} does not hold: {', '.join(lost)}")
        with watched(output.for_people) as clock, clock.stage("write", total=len(dataset)):
            work = Work(force=options.force, memory=memory, clock=clock)
            files = dataset.save(out, format=target.name, work=work, **taken)
        facts = {
            "from": str(options.source),
            "files": [str(file) for file in files],
            "format": target.name,
            "patterns": len(dataset),
            "N": dataset.N,
            "left_out": lost,
            "seconds": sum(clock.seconds.values()),
            "file_bytes": sum(bytes_in(file) for file in files),
        }
        output.result(facts, _lines(facts, target))


def _lines(facts: dict[str, Any], target: Format) -> Iterator[tuple[str, str]]:
    yield "from", facts["from"]
    yield "format", f"{target.name}: {target.title}"
    yield "patterns", f"{facts['patterns']} of {facts['N']} x {facts['N']} pixels"
    yield "left out", ", ".join(facts["left_out"]) or "nothing"
    yield "time", f"{facts['seconds']:.3g} s"
    yield "file", f"{', '.join(facts['files'])}, {bytes_text(facts['file_bytes'])}"


def _chosen(source: Dataset, options: argparse.Namespace, target: Format) -> Dataset:
    """The data set as it is to be written, with its dose measured as it passes."""
    B = len(source)
    first = checks.integer(options.first or 0, "--first", 0, B - 1)
    last = B if options.last is None else checks.integer(options.last, "--last", first + 1, B)
    dataset = source if (first, last) == (0, B) else source[first:last]
    if options.dtype is not None:
        if "normalized_amplitude" in target.load().DOMAINS[:1]:
            expected = f"nothing, since {target.name} stores amplitudes, float32"
            raise UsageError(checks.wrong("--dtype", options.dtype, expected))
        dataset = as_type(dataset, options.dtype)
    counted = dataset.domain in ("count_intensity", "detector_signal")
    photons = counted or dataset.intensity_scale is not None
    if photons and "measured" not in dataset.provenance.get("dose", {}):
        return dataset.measuring()
    return dataset


def as_type(dataset: Dataset, dtype: str) -> Dataset:
    """A data set with its counts in another type; counts that do not fit are an error when read.

    Parameters
    ----------
    dataset : Dataset
        With photon counts, or amplitudes that give them back.
    dtype : str
        Such as "uint16".

    Raises
    ------
    ValueError
        The data set has no counts. When patterns are read, a count does not fit.
    """
    wanted, counts = np.dtype(dtype), dataset.counts
    largest = 2**24 if wanted.kind == "f" else int(np.iinfo(wanted).max)

    def cast(first: int, frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if frames.size and (top := int(frames.max())) > largest:
            b = first + int(np.argmax(frames.max(axis=(1, 2)) > largest))
            expected = f"at most {largest}, to be exact in {dtype}; take a wider --dtype"
            raise ValueError(checks.wrong(f"pattern {b}", f"a count of {top}", expected))
        return frames.astype(wanted)

    return dataclasses.replace(
        dataset, diffraction=Converted(counts, cast, wanted), domain="count_intensity"
    )


def _require_the_same(dataset: Dataset) -> None:
    """A recipe is right only if its scenario makes the patterns again."""
    from ptycho_fast.data.verification import made_again

    if dataset.scenario is not None and (
        problems := made_again(dataset, range(min(2, len(dataset))))
    ):
        raise ValueError(f"{problems[0]}; a recipe would make other patterns than the file holds")


# --- what a format does not hold ---


def lost_in(dataset: Dataset, out: Path, target: Format, options: dict[str, Any]) -> list[str]:
    """What a format does not hold of a data set, in words: some patterns are written and read.

    Parameters
    ----------
    dataset : Dataset
        The data set.
    out : Path
        The file that is to be made, for its name.
    target : Format
        The format.
    options : dict
        As `Dataset.save` takes them.

    Returns
    -------
    list of str
        Empty if all is kept, or if the format is not read.
    """
    if not target.reads:
        return []
    n = min(_SAMPLE, len(dataset))
    sample = dataclasses.replace(dataset, statistics=None)[:n]
    if dataset.scenario is not None and dataset.scenario.scan.n_patterns is not None:
        few = dataset.scenario.replace({"scan.n_patterns": n})
        sample = dataclasses.replace(sample, scenario=few)
    from ptycho_fast.data.opening import open

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        place = Path(folder) / out.name
        files = sample.save(place, format=target.name, **options)
        with open(place if place.exists() else files[0], format=target.name) as again:
            return list(_differences(sample, again))


def _differences(before: Dataset, after: Dataset) -> Iterator[str]:
    if before.object.shape != after.object.shape:
        yield "the slices of the object but for their product"
    if len(after.probe) < len(before.probe):
        yield f"{len(before.probe) - len(after.probe)} of {len(before.probe)} probe modes"
    moved = float(np.abs(before.positions - after.positions).max())
    if moved > _CLOSE:
        yield f"positions to better than {moved:.2g} pixels"
    if float(np.abs(before.positions_nominal - after.positions_nominal).max()) > max(_CLOSE, moved):
        yield "nominal positions"
    optional = {
        "mask": "the mask",
        "eigenprobes": "eigenprobes",
        "weights": "weights of probe modes",
        "path": "the path of the fly scan",
        "dose_factors": "the dose of each pattern",
        "geometry": "energy and sizes of pixels",
        "intensity_scale": "the intensity scale",
        "scenario": "the scenario",
    }
    for name, words in optional.items():
        if getattr(before, name) is not None and getattr(after, name) is None:
            yield words
    if before.provenance and not after.provenance:
        yield "version and dose"


if __name__ == "__main__":
    sys.exit(main())
