"""The problem, all who solve it, and the check that each of them solves it right."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

import ptycho_fast
from bench import library_pipelines
from bench.numpy_pipeline import NumpyPipeline, TunedNumpyPipeline
from bench.pipeline import Array, Pipeline
from bench.serial_loop import SerialLoopPipeline
from bench.translation import TranslationPipeline

DOSES = (1e3, 1e6, 1e9)  # mean photons per pattern
TOLERANCE = 2e-6  # of patches, and of amplitudes relative to their norm


@dataclass(frozen=True)
class Case:
    """One problem; `scales` are intensity scales by dose."""

    obj: Array
    probe: Array
    positions: Array
    scales: dict[float, float]

    @property
    def N(self) -> int:
        """Patch side."""
        return self.probe.shape[-1]


class PtychoFast(Pipeline):
    """A backend of this project, through its public functions."""

    kind = "ptycho_fast"

    def __init__(self, obj: Array, probe: Array, threads: int, backend: str) -> None:
        super().__init__(obj, probe, threads)
        self.options: dict[str, Any] = {"backend": backend, "threads": threads}
        if backend == "reference":
            self.slow = True

    def extract_patches(self, positions: Array, out: Array) -> Array:
        """See `Pipeline`."""
        return ptycho_fast.extract_patches(self.obj, positions, self.N, out=out, **self.options)

    def diffract(self, positions: Array, out: Array) -> Array:
        """See `Pipeline`."""
        return ptycho_fast.diffract(self.obj, self.probe, positions, out=out, **self.options)

    def sample_photons(self, rates: Array, out: Array) -> Array:
        """See `Pipeline`."""
        return ptycho_fast.sample_photons(rates, seed=1, out=out, **self.options)

    def observe(self, positions: Array, scale: float, out: Array) -> Array:
        """See `Pipeline`."""
        return ptycho_fast.observe(
            self.obj, self.probe, positions, scale=scale, seed=1, out=out, **self.options
        )


def make_case(N: int, n_patterns: int) -> Case:
    """A random complex object, an asymmetric disk-like probe, positions well within the object."""
    rng = np.random.default_rng(N)
    H, W = 4 * N, 5 * N
    obj = (rng.uniform(0.5, 1, (H, W)) * np.exp(1j * rng.uniform(-1, 1, (H, W)))).astype("c8")
    y, x = np.mgrid[:N, :N] - N / 2
    probe = np.exp(-(x**2 + y**2) / (N / 5) ** 2 + 1e-3j * (x**2 + x * y)).astype("c8")[None]
    positions = rng.uniform([N, N], [W - N, H - N], (n_patterns, 2))
    energy = float((np.abs(probe) ** 2).sum()) * float((np.abs(obj) ** 2).mean())
    return Case(obj, probe, positions, {dose: (dose / energy) ** 0.5 for dose in DOSES})


def make_contenders(case: Case, threads: int) -> tuple[dict[str, Pipeline], dict[str, str]]:
    """All that are there, the baseline of all ratios first; and why the others are not."""
    arrays = case.obj, case.probe
    there: dict[str, Pipeline] = {}
    missing = {}
    for name, status in ptycho_fast.backends().items():
        if name == "cuda":  # has a benchmark of its own
            continue
        if status.available:
            there[name] = PtychoFast(*arrays, threads, name)
        else:
            missing[name] = status.reason
    for name in library_pipelines.FFTS:
        try:
            there[f"numba + {name}"] = library_pipelines.LibraryPipeline(*arrays, threads, name)
        except ImportError as error:
            missing[f"numba + {name}"] = str(error)
    there["numpy"] = NumpyPipeline(*arrays)
    there["numpy, tuned"] = TunedNumpyPipeline(*arrays)
    there["translate"] = TranslationPipeline(*arrays)
    there["ptychodus loop"] = SerialLoopPipeline(*arrays)
    return there, missing


def baseline() -> str:
    """The best backend of this project: ratios are times its time."""
    return next(name for name, status in ptycho_fast.backends().items() if status.available)


def count(contender: Pipeline, batch: int, pixels: int) -> int:
    """Patterns that a contender is timed on.

    This project's functions check object and probe once a call, so they get the whole batch, as in
    a real run; the others check nothing, and their time per pattern does not depend on the batch.
    """
    if contender.slow:
        return 2
    return (
        batch if contender.kind == "ptycho_fast" else min(batch, max(2, pixels // contender.N**2))
    )


class Buffers:
    """Results of the batch, written once so that no page of them is new to a contender."""

    def __init__(self, n_patterns: int, N: int) -> None:
        shape = (n_patterns, N, N)
        self.patches = np.full(shape, 1, np.complex64)
        self.intensity = np.full(shape, 1, np.float32)
        self.counts = np.full(shape, 1, np.uint32)


def check(case: Case, contenders: dict[str, Pipeline], buffers: Buffers) -> None:
    """Assert the reference's patches and amplitudes, and counts that scatter as Poisson's do.

    The first 21 patterns are compared, which end within a chunk. Counts of four patterns are judged
    by their sum, and by the mean square of (count - rate) / sqrt(rate) where rates are at least 5,
    within six deviations. Whoever interpolates otherwise is judged at whole pixels.
    """
    reference = contenders["reference"]
    truths = {}
    for whole in (False, True):
        positions = np.round(case.positions[:21]) if whole else case.positions[:21]
        n = len(positions)
        patches = reference.extract_patches(positions, np.empty_like(buffers.patches[:n]))
        truth = reference.diffract(positions, np.empty_like(buffers.intensity[:n]))
        truths[whole] = positions, patches, truth
    for name, contender in contenders.items():
        positions, patches, truth = truths[contender.whole_pixels]
        n = 2 if contender.slow else len(positions)
        mine = contender.extract_patches(positions[:n], buffers.patches[:n])
        assert np.abs(mine - patches[:n]).max() < TOLERANCE, f"{name}: wrong patches"
        a = np.sqrt(contender.diffract(positions[:n], buffers.intensity[:n]))
        b = np.sqrt(truth[:n])
        assert np.linalg.norm(a - b) < TOLERANCE * np.linalg.norm(b), f"{name}: wrong intensities"
        few = min(n, 4)
        for dose, scale in case.scales.items():
            rates = np.float32(scale**2) * truth[:few]
            observed = contender.observe(positions[:few], scale, buffers.counts[:few])
            check_counts(f"{name}, observe at {dose:g}", observed, rates)
            sampled = contender.sample_photons(rates, buffers.counts[:few])
            check_counts(f"{name}, sample_photons at {dose:g}", sampled, rates)


def check_counts(what: str, counts: Array, rates: Array) -> None:
    """Assert the sum and the scatter of Poisson counts."""
    counts, rates = counts.astype(np.float64), rates.astype(np.float64)
    total = rates.sum()
    off = abs(counts.sum() - total)
    assert off < 6 * total**0.5 + 1e-6 * total, f"{what}: {counts.sum()} photons, not {total}"
    bright = rates >= 5
    if bright.any():
        scatter = ((counts[bright] - rates[bright]) ** 2 / rates[bright]).mean()
        allowed = 6 * (2.2 / bright.sum()) ** 0.5
        assert abs(scatter - 1) < allowed + 1e-3, f"{what}: variance is {scatter} of Poisson's"


def report_missing(missing: dict[str, str]) -> None:
    """Say who was left out, and why."""
    for name, reason in missing.items():
        sys.stderr.write(f"left out: {name}: {reason}\n")
