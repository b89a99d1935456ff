"""What a run will need: memory, disk and time, known before its patterns are made."""

import dataclasses
import math
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from ptycho_fast.backend import choose
from ptycho_fast.errors import DataWarning
from ptycho_fast.experiment import Experiment
from ptycho_fast.formats import format_of
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.work import MEMORY
from ptycho_fast.machine import memory_available
from ptycho_fast.progress import StageClock
from ptycho_fast.scenario import Scenario
from ptycho_fast.simulation import dataset_of
from ptycho_fast.simulator import Simulator
from ptycho_fast.terminal import bytes_text
from ptycho_fast.threads import thread_count

_FIXED = 8 * 2**20  # bytes: buffers, Python's own
_PER_THREAD = 16 * 2**20  # bytes: patterns that it makes, and that wait for the file
_PER_POSITION = 256  # bytes: true and nominal position, energy, photons, split, with copies
_DRAWN_PIXEL = 64  # bytes per object pixel while it is drawn
_ENERGY_PIXEL = 96  # bytes per object pixel, with half a patch on each side, for the energies

_SAMPLE_SECONDS = 1.0  # for making the patterns that are measured
_SAMPLE_PIXELS = 2**24  # at most, in those patterns; in memory they are as large as they get


@dataclass(frozen=True)
class Needs:
    """What a run takes.

    Attributes
    ----------
    memory : int
        Bytes at the worst moment.
    file : int
        Bytes of the data set's file.
    """

    memory: int
    file: int

    @classmethod
    def of_scenario(
        cls, scenario: Scenario, out: Path, save: dict[str, Any], memory: int = MEMORY
    ) -> Self:
        """What is known from the scenario alone; the truth may be more.

        Parameters
        ----------
        scenario : Scenario
            The description.
        out : Path
            The file to make.
        save : dict
            Format and options of `Dataset.save`.
        memory : int
            Bytes that patterns on their way to the file may take.
        """
        n_patterns = scenario.scan.n_patterns or 0  # a file is not opened yet
        side = getattr(scenario.object, "size", None) or 0
        slices = scenario.object.slices or 1
        shape = (slices, side, side) if slices > 1 else (side, side)
        return cls._of(n_patterns, scenario.N, shape, _DRAWN_PIXEL, out, save, memory)

    @classmethod
    def of_experiment(
        cls, experiment: Experiment, out: Path, save: dict[str, Any], memory: int = MEMORY
    ) -> Self:
        """The same when object and positions are made."""
        e = experiment
        drawn = _DRAWN_PIXEL if hasattr(e.scenario.object, "size") else 0
        others = {
            "probe": e.probe, "mask": e.mask, "path": e.path, "dose_factors": e.dose_factors,
            "weights": e.weights, "eigenprobes": e.eigenprobes,
        }  # fmt: skip
        return cls._of(e.n_patterns, e.N, e.object.shape, drawn, out, save, memory, **others)

    @classmethod
    def _of(
        cls,
        n_patterns: int,
        N: int,
        shape: tuple[int, ...],
        drawn: int,
        out: Path,
        save: dict[str, Any],
        memory: int,
        **others: Any,
    ) -> Self:
        (H, W), patches, stored = shape[-2:], save["patches"], math.prod(shape)
        name = save.get("format")
        if stored > H * W:  # the slices, and their product
            stored += H * W
        file_format = format_of(out, name)
        options = {key: save[key] for key in save if key not in ("patches", "format")}
        frames = (n_patterns, N, N)
        contents = Contents(
            object=_unmade(shape, np.complex64),
            positions=_unmade((n_patterns, 2), np.float64),
            positions_nominal=_unmade((n_patterns, 2), np.float64),
            diffraction=_unmade(frames, np.float32),
            domain="normalized_amplitude",
            patches=_unmade(frames, np.complex64) if patches else None,
            **{"probe": _unmade((1, N, N), np.complex64), **others},
        )
        file = file_format.load().file_size(contents, **file_format.options(options))
        arrays = sum(array.nbytes for array in others.values() if array is not None)
        # Patterns pass block by block, some for each thread.
        passing = min(memory, n_patterns * N**2 * 4, thread_count(None) * _PER_THREAD)
        if patches:  # as much again, and a block that waits for its file
            passing += passing + _PER_THREAD
        pixels = 8 * stored + arrays + passing
        preparing = max(drawn * H * W + 8 * stored, _ENERGY_PIXEL * (H + N) * (W + N))
        return cls(max(pixels, preparing) + n_patterns * _PER_POSITION + _FIXED, file)

    def require(self, out: Path, beside: Mapping[Path, int] | None = None) -> None:
        """Raise if memory or disk are too small.

        Parameters
        ----------
        out : Path
            The data set's file.
        beside : mapping, optional
            Bytes of other files that the run makes, perhaps on other disks.

        Raises
        ------
        MemoryError, OSError
            The message has both numbers.
        """
        available = memory_available()
        if available is not None and self.memory > available:
            raise MemoryError(
                f"about {bytes_text(self.memory)} needed for a file of {bytes_text(self.file)}, "
                f"{bytes_text(available)} available; lower scan.n_patterns, N or object.size"
            )
        on_disk: dict[int, dict[Path, int]] = {}
        for path, size in {out: self.file, **(beside or {})}.items():
            disk = os.stat(path.absolute().parent).st_dev
            on_disk.setdefault(disk, {})[path] = size
        for files in on_disk.values():
            free = shutil.disk_usage(next(iter(files)).absolute().parent).free
            if (size := sum(files.values())) > free:
                need = "the file needs" if len(files) == 1 else "the files need"
                raise OSError(
                    f"{', '.join(map(str, files))}: {need} {bytes_text(size)}, the disk has "
                    f"{bytes_text(free)} free"
                )


def _unmade(shape: tuple[int, ...], dtype: Any) -> Any:
    """An array that takes no memory, of which only shape and type are looked at."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def remaining_seconds(
    simulator: Simulator,
    out: Path,
    save: dict[str, Any],
    *,
    preview: Path | None = None,
    **run: Any,
) -> dict[str, float]:
    """Seconds by stage that a run will take, measured on some of its patterns.

    A small data set, with positions from all over the scan, goes through all stages, to a file
    beside the one that is asked for. The file is removed again.

    Parameters
    ----------
    simulator : Simulator
        Of the run.
    out : Path
        The file that the run will make.
    save : dict
        Options of `Dataset.save`.
    preview : Path, optional
        The picture that the run will make.
    **run
        Backend, device and threads of `Simulator`.

    Returns
    -------
    dict of str to float
        Stages as `StageClock` names them.
    """
    B, N = simulator.n_patterns, simulator.N
    few = max(1, min(B, 2**16 // simulator.work))
    compiles = choose(simulator.backend)[1].first_call()
    first, again = (_making(simulator, few, run) for _ in range(2))
    if compiles and not choose(simulator.backend)[1].first_call():
        first = again  # compiled now and kept, so the run need not
    per_pattern = again / few
    most = max(few, _SAMPLE_PIXELS // N**2)
    n = int(max(few, min(B, most, _SAMPLE_SECONDS / max(per_pattern, 1e-9))))

    clock = StageClock()
    # A sample is not what its scenario says; the file is otherwise the same.
    dataset = dataclasses.replace(dataset_of(_sample(simulator, n, run), lazy=True), scenario=None)
    prefix = ".ptycho_fast-dry-run-"
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=prefix) as folder:
        with clock.stage("patterns"):
            dataset.save(Path(folder, f"sample{out.suffix}"), **save)
        seconds = {name: value * B / n for name, value in clock.seconds.items()}
        if preview:
            from ptycho_fast.report import preview as report

            start = time.perf_counter()
            report.preview(dataset, Path(folder, f"preview{preview.suffix}"))
            seconds["preview"] = time.perf_counter() - start
    # The first call is longer where it compiles, loads what was compiled, or starts a GPU.
    seconds["patterns"] += max(0.0, first - again)
    return seconds


def _making(simulator: Simulator, n: int, run: dict[str, Any]) -> float:
    """Seconds for making n patterns."""
    clock = StageClock()
    dataset_of(_sample(simulator, n, run), clock)
    return clock.seconds["patterns"]


def _sample(simulator: Simulator, n: int, run: dict[str, Any]) -> Simulator:
    """A simulator of n patterns from all over the scan."""
    e = simulator.experiment
    chosen = np.linspace(0, e.n_patterns - 1, n).astype(np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # what is to say was said about the whole
        return Simulator(e.part(chosen), **run)
