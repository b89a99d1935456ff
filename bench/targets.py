"""What the project set out to reach, and whether it did: ratios within one run."""

from collections.abc import Iterator
from typing import Any

import ptycho_fast
from bench.contenders import baseline
from bench.measure import CONSTANT, HOT, Row, best_ratio, ratio
from bench.objects import PATTERNS_NAME

NOISE_FREE = ("diffract", None)
NOISY = ("observe", 1e6)

# Required, and hoped for, by patch side, on one thread
AGAINST_NUMPY = {64: (14, None), 128: (18, None), 256: (16, None)}
AGAINST_NUMPY_NOISY = {64: (14, None), 128: (16, None), 256: (15, None)}
AGAINST_LIBRARY = {N: (2, None) for N in (64, 128, 256)}
AGAINST_LIBRARY_NOISY = {N: (9, None) for N in (64, 128, 256)}
AGAINST_LOOP = {N: (15, None) for N in (64, 128, 256)}
NUMBA_AGAINST_NUMPY_NOISY = {N: (4, None) for N in (64, 128, 256)}
OF_HOT = {N: (round(1 / 1.15, 2), None) for N in (64, 128, 256)}
LINEAR = {64: (0.9, None), 128: (0.85, None), 256: (0.85, None)}
# Of samplers, on real patterns and by the mean of constant rates
AGAINST_GENERATOR = (13, None)
AGAINST_GENERATOR_CONSTANT = {0.01: (6, None), 1.0: (12, None)} | {
    mean: (20, None) for mean in (3.0, 10.0, 100.0, 1e4, 1e6)
}
AGAINST_MKL = {"avx2": (6, None), "avx512": (3, None)}
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


def verdict(
    what: str, at: str, target: tuple[float, float | None], measured: float, of_limit: float = 0.0
) -> Row:
    """A target beside what was measured, and both as shares of the machine's limit, where known."""
    required, hoped = target
    row: Row = {
        "target": what, "at": at, "required": required, "hoped": hoped,
        "measured": measured, "met": measured >= required,
    }  # fmt: skip
    if of_limit:  # who is so many times as fast uses as many times that share
        row |= {"of_limit": of_limit, "required_of_limit": of_limit * required / measured}
    return row


def judge(
    rows: list[Row], scaling: list[Row], poisson: list[Row], kinds: list[Row]
) -> list[dict[str, Any]]:
    """Every target that this run measured."""
    mine = baseline()

    def named(here: list[Row], name: str) -> Row | None:
        return next(iter(find(here, contender=name)), None)

    def by_side(what: str, targets: dict[int, Any], stage: Any, other: Any) -> Iterator[Row]:
        for N, target in targets.items():
            here = find(rows, N=N, stage=stage[0], photons=stage[1])
            slower, faster = other(here), named(here, mine)
            if slower and faster:
                name = f" ({slower['contender']})" if slower["kind"] == "library" else ""
                at = f"N = {N}{_at_dose(stage[1])}{name}"
                times = ratio(slower, faster)
                yield verdict(what, at, target, times, faster.get("of_limit", 0.0))

    def numpy(here: list[Row]) -> Row | None:
        return named(here, "numpy")

    def loop(here: list[Row]) -> Row | None:
        return named(here, "ptychodus loop")

    verdicts = [
        *by_side("noise-free, hot data over a scan", OF_HOT, NOISE_FREE, lambda h: named(h, HOT)),
        *by_side("noise-free, times NumPy", AGAINST_NUMPY, NOISE_FREE, numpy),
        *by_side("noisy, times NumPy", AGAINST_NUMPY_NOISY, NOISY, numpy),
        *by_side("noise-free, times best library", AGAINST_LIBRARY, NOISE_FREE, best_library),
        *by_side("noisy, times best library", AGAINST_LIBRARY_NOISY, NOISY, best_library),
        *by_side("noise-free, times the loop of ptychodus", AGAINST_LOOP, NOISE_FREE, loop),
        *by_side("noisy, times the loop of ptychodus", AGAINST_LOOP, NOISY, loop),
    ]
    for N, target in NUMBA_AGAINST_NUMPY_NOISY.items():
        here = find(rows, N=N, stage=NOISY[0], photons=NOISY[1])
        slower, faster = numpy(here), named(here, "numba")
        if slower and faster:
            at = f"N = {N}{_at_dose(NOISY[1])}"
            verdicts.append(verdict("numba noisy, times NumPy", at, target, ratio(slower, faster)))
    verdicts += judge_photons(poisson)
    for N, target in LINEAR.items():
        for stage, dose in (NOISE_FREE, NOISY):
            here = find(scaling, N=N, stage=stage, photons=dose)
            one, many = named(here, "one thread"), named(here, mine)
            if one and many:
                at = f"N = {N}, {many['threads']} threads{_at_dose(dose)}"
                measured = ratio(one, many) / many["threads"]
                verdicts.append(verdict("all threads, of linear", at, target, measured))
    return [*verdicts, judge_kinds(kinds)] if kinds else verdicts


def judge_photons(rows: list[Row]) -> Iterator[Row]:
    """Samplers of others against this project's, at all rates."""
    wide = "avx512" in ptycho_fast.build_info().get("usable_instruction_sets", ())
    against_mkl = AGAINST_MKL["avx512" if wide else "avx2"]
    for faster in find(rows, contender=baseline()):
        here = find(rows, rates=faster["rates"], mean=faster["mean"])
        constant = faster["rates"] == CONSTANT
        at = f"mean {faster['mean']:g}" if constant else faster["rates"]
        generator = AGAINST_GENERATOR_CONSTANT[faster["mean"]] if constant else AGAINST_GENERATOR
        for name, target in (("Generator.poisson", generator), ("MKL poisson", against_mkl)):
            for slower in find(here, contender=name):
                times = ratio(slower, faster)
                yield verdict(f"photons, times {name}", at, target, times, faster["of_limit"])


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
