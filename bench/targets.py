"""What the project set out to reach, and whether it did: ratios within one run."""

from collections.abc import Iterator
from typing import Any

from bench.contenders import baseline
from bench.measure import Row, best_ratio, ratio
from bench.objects import PATTERNS_NAME

NOISE_FREE = ("diffract", None)
NOISY = (("observe", 1e9), ("observe", 1e6))

# Required, and hoped for, by patch side, on one thread
AGAINST_NUMPY = {64: (25, 40), 128: (15, 25), 256: (12, 20)}
AGAINST_NUMPY_NOISY = {64: (20, 30), 128: (18, 30), 256: (15, 30)}
AGAINST_LIBRARY = {64: (2, None), 128: (1.5, None), 256: (1.5, None)}
AGAINST_LIBRARY_NOISY = {N: (8, None) for N in (64, 128, 256)}
NUMBA_AGAINST_NUMPY_NOISY = {N: (4, None) for N in (64, 128, 256)}
LINEAR = {N: (0.85, None) for N in (64, 128, 256)}
# By mean of the pixels
AGAINST_GENERATOR = {0.01: (6, None)} | {mean: (12, 20) for mean in (1.0, 10.0, 100.0, 1e4, 1e6)}
# Share of the kinds of objects that are made in the time of a thousand patterns
QUICK_KINDS = 0.5, None

# Of the plain kernel's speed per transform, by part of the physics
PER_TRANSFORM = {
    "modes, M = 4": (0.6, None),
    "fly scan, S = 4": (0.6, None),
    "near field": (0.5, None),
    "multislice, L = 3": (0.5, None),
}
DETECTOR = (0.6, None)  # of the plain kernel's speed, noisy
DETECTOR_ADDS = (1.0, None)  # photon stages over what all parts add to one
AGAINST_LOOP = {N: (15, None) for N in (64, 128, 256)}


MILLION = 10**6
SECONDS_HDF5, SECONDS_NPZ = 30, 1.5  # of a million patterns, and of 10,000, on two cores
MEMORY = 2**29  # bytes over the interpreter's own
SLOWEST = 1.25  # times the slowest of making, compressing and writing


def find(rows: list[Row], **wanted: Any) -> list[Row]:
    """Rows that say so."""
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def best_library(rows: list[Row]) -> Row | None:
    """The fastest of the rows that are of library pipelines."""
    libraries = find(rows, kind="library")
    return min(libraries, key=lambda row: row["us_per_pattern"]) if libraries else None


def _at_dose(dose: float | None) -> str:
    return f", {dose:.0e} photons" if dose else ""


def verdict(what: str, at: str, target: tuple[float, float | None], measured: float) -> Row:
    """A target beside what was measured."""
    required, hoped = target
    return {
        "target": what, "at": at, "required": required, "hoped": hoped,
        "measured": measured, "met": measured >= required,
    }  # fmt: skip


def judge(
    rows: list[Row], scaling: list[Row], poisson: list[Row], kinds: list[Row]
) -> list[dict[str, Any]]:
    """Every target that this run measured."""
    mine = baseline()

    def by_stage(what: str, targets: dict[int, Any], stages: Any, pair: Any) -> Iterator[Row]:
        for N, target in targets.items():
            for stage, dose in stages:
                if not (here := find(rows, N=N, stage=stage, photons=dose)):
                    continue
                slower, faster = pair(here)
                if slower and faster:
                    name = f" ({slower['contender']})" if slower["kind"] == "library" else ""
                    at = f"N = {N}{_at_dose(dose)}{name}"
                    yield verdict(what, at, target, ratio(slower, faster))

    def named(here: list[Row], name: str) -> Row | None:
        return next(iter(find(here, contender=name)), None)

    def numpy(here: list[Row]) -> Any:
        return named(here, "numpy"), named(here, mine)

    def tuned(here: list[Row]) -> Any:
        return named(here, "numpy, tuned"), named(here, mine)

    def library(here: list[Row]) -> Any:
        return best_library(here), named(here, mine)

    def fallback(here: list[Row]) -> Any:
        return named(here, "numpy"), named(here, "numba")

    def loop(here: list[Row]) -> Any:
        return named(here, "ptychodus loop"), named(here, mine)

    verdicts = [
        *by_stage("noise-free, times NumPy", AGAINST_NUMPY, [NOISE_FREE], numpy),
        *by_stage("noisy, times NumPy", AGAINST_NUMPY_NOISY, NOISY, numpy),
        *by_stage("noise-free, times tuned NumPy", AGAINST_NUMPY, [NOISE_FREE], tuned),
        *by_stage("noisy, times tuned NumPy", AGAINST_NUMPY_NOISY, NOISY, tuned),
        *by_stage("noise-free, times best library", AGAINST_LIBRARY, [NOISE_FREE], library),
        *by_stage("noisy, times best library", AGAINST_LIBRARY_NOISY, NOISY, library),
        *by_stage("noise-free, times the loop of ptychodus", AGAINST_LOOP, [NOISE_FREE], loop),
        *by_stage("noisy, times the loop of ptychodus", AGAINST_LOOP, NOISY, loop),
        *by_stage("numba noisy, times NumPy", NUMBA_AGAINST_NUMPY_NOISY, NOISY, fallback),
    ]
    for mean, target in AGAINST_GENERATOR.items():
        here = find(poisson, mean=mean)
        slower, faster = named(here, "Generator.poisson"), named(here, mine)
        if slower and faster:
            measured = ratio(slower, faster)
            verdicts.append(verdict("photons, times Generator", f"mean {mean:g}", target, measured))
    for N, target in LINEAR.items():
        for stage, dose in (NOISE_FREE, *NOISY):
            here = find(scaling, N=N, stage=stage, photons=dose)
            one, many = named(here, "one thread"), named(here, mine)
            if one and many:
                at = f"N = {N}, {many['threads']} threads{_at_dose(dose)}"
                measured = ratio(one, many) / many["threads"]
                verdicts.append(verdict("all threads, of linear", at, target, measured))
    return [*verdicts, judge_kinds(kinds)]


def judge_kinds(kinds: list[Row]) -> Row:
    """Whether enough kinds of objects are made within the time of the patterns."""
    made = [row for row in kinds if row["kind"] != PATTERNS_NAME]
    slower = [row["kind"] for row in made if row["of_patterns"] > 1]
    at = f"slower: {', '.join(slower) or 'none'}"
    share = 1 - len(slower) / len(made)
    return verdict(f"objects within {PATTERNS_NAME}", at, QUICK_KINDS, share)


def judge_physics(rows: list[Row]) -> Iterator[Row]:
    """Every target of `bench.physics` but for objects."""
    for N in dict.fromkeys(row["N"] for row in rows):
        here = {row["part"]: row for row in find(rows, N=N)}
        at, noisy = f"N = {N}", f"N = {N}{_at_dose(1e6)}"
        for name, target in PER_TRANSFORM.items():
            speed = here[name]["transforms"] / best_ratio(here[name], here["plain"])
            yield verdict(f"{name}, of plain per transform", at, target, speed)
        speed = 1 / best_ratio(here["observe, detector"], here["observe"])
        yield verdict("detector, of plain", noisy, DETECTOR, speed)
        added = best_ratio(here["photons, detector"], here["photons"]) - 1
        yield verdict("photon stages to what the detector adds", at, DETECTOR_ADDS, 1 / added)
        for what, at_dose, slower, faster in (
            ("noise-free, times the loop of ptychodus", at, "loop", "plain"),
            ("noisy, times the loop of ptychodus", noisy, "loop, noisy", "observe"),
        ):
            times = best_ratio(here[slower], here[faster])
            yield verdict(what, at_dose, AGAINST_LOOP.get(N, (15, None)), times)


def judge_files(rows: list[Row], alone: Row, cores: int) -> list[Row]:
    """Files: time of a million patterns and of 10,000, memory, and time over the slowest part.

    Each as the limit over what was measured, so that more is better, and 1 is asked for. Making and
    compressing, each alone, take all cores, so that no run can take less than both together. What
    the cores do is judged by their time, which other work on the machine disturbs little.
    """
    (h5,), (npz,) = find(rows, file=".h5"), find(rows, file=".npz")
    at = f"{h5['patterns']:,} patterns"
    streaming = h5["streaming_seconds"]
    million = h5["seconds"] + streaming * (MILLION / h5["patterns"] - 1)
    largest = max(alone[name] for name in ("making", "compressing", "writing"))
    both = max(alone["making"] + alone["compressing"], alone["writing"])
    busy = h5["cpu_seconds"] / (h5["seconds"] * cores)
    return [
        verdict("30 s over the time of a million, HDF5", at, (1, None), SECONDS_HDF5 / million),
        verdict("512 MiB over the memory taken", at, (1, None), MEMORY / h5["memory_bytes"]),
        verdict(
            "1.5 s over the time, NPZ",
            f"{npz['patterns']:,} patterns", (1, None), SECONDS_NPZ / npz["seconds"],
        ),
        verdict(
            "1.25 of the slowest part over the time", at, (1, None),
            SLOWEST * largest / streaming,
        ),
        verdict(
            "1.25 of making + compressing, or writing, over the time", at, (1, None),
            SLOWEST * both / streaming,
        ),
        verdict("share of the cores' time in use", at, (0.8, 0.95), busy),
    ]  # fmt: skip
