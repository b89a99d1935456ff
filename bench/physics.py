"""``python -m bench.physics``: what each part of the physics costs, as ratios within one run.

Every exposure and the detector are checked against the reference before they are timed. A
speed per transform is that of the plain kernel (one mode, one position, one slice, far field) over
that of the part, each divided by its number of transforms; all on one thread, noise-free. Times
are those of the CPU, and ratios those of the quickest rounds: what else the machine does disturbs
them least.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import ptycho_fast
from bench import report
from bench.contenders import TOLERANCE, Case, check_counts, make_case
from bench.measure import Row, in_turn
from bench.objects import measure_objects
from bench.pipeline import Array
from bench.serial_loop import SerialLoopPipeline
from bench.targets import judge_kinds, judge_physics
from ptycho_fast import detector, optics
from ptycho_fast.detector import Response
from ptycho_fast.scenario import DetectorSpec

SHORTEST = 5e-3  # seconds of a round: many short ones, of which some are not disturbed
DOSE = 1e6  # mean photons of a pattern
ALL_PARTS = {  # of the detector, but for those that make more pixels of the transform
    "quantum_efficiency": 0.9,
    "source_blur": 0.5,
    "point_spread": 0.5,
    "dead_time_s": 1e-7,
    "exposure_time_s": 1e-2,
    "dark_counts": 0.1,
    "gain": 5.0,
    "readout_noise": 2.0,
    "offset": 20.0,
    "saturation": 65535,
    "quantisation": 1.0,
    "dead_pixels": 0.001,
    "hot_pixels": 0.001,
    "module_shape": [40, 40],
    "module_gap": [2, 2],
    "beam_stop_radius": 3.0,
}


@dataclass(frozen=True)
class Part:
    """An exposure: the keywords of `diffract`, and how many transforms a pattern takes."""

    probe: Array
    positions: Array
    keywords: dict[str, Any]
    transforms: int
    obj: Array | None = None


def make_parts(case: Case, n: int) -> dict[str, Part]:
    """The plain exposure first, then one for each part of the physics."""
    rng = np.random.default_rng(1)
    N, probe, positions = case.N, case.probe, case.positions[:n]
    transfer = optics.transfer_function(N, 1e-7, 1e-10, 0.3 * N * 1e-4).astype(np.complex64)
    modes = np.concatenate([probe * np.float32(0.8**m) for m in range(4)])
    modes *= np.exp(1j * rng.uniform(-1, 1, modes.shape)).astype(np.complex64)
    way = np.stack([positions + np.array([d, 0.3 * d]) for d in (-1.5, -0.5, 0.5, 1.5)], axis=1)
    slices = np.stack([case.obj, case.obj[::-1], case.obj[:, ::-1]])
    blur = detector.spread_kernel(0.8, N)
    return {
        "plain": Part(probe, positions, {}, 1),
        "modes, M = 4": Part(modes, positions, {}, 4),
        "fly scan, S = 4": Part(probe, way, {}, 4),
        "near field": Part(probe, positions, {"near": transfer}, 2),
        "multislice, L = 3": Part(probe, positions, {"between": transfer}, 5, obj=slices),
        "blur": Part(probe, positions, {"spread": blur}, 1),
        "weights and eigenprobes": Part(
            np.concatenate([probe, 0.1j * probe]),
            positions,
            {"modes": 1, "weights": rng.uniform(0.5, 1, (n, 2)).astype(np.float32)},
            1,
        ),
        "boundary": Part(probe, positions, {"boundary": "edge"}, 1),
    }


def diffract(case: Case, part: Part, n: int, backend: str, out: Array) -> Array:
    """Intensities of the first patterns."""
    keywords = dict(part.keywords)
    if "weights" in keywords:
        keywords["weights"] = keywords["weights"][:n]
    obj = case.obj if part.obj is None else part.obj
    return ptycho_fast.diffract(
        obj, part.probe, part.positions[:n], backend=backend, threads=1, out=out[:n], **keywords
    )


def measure(N: int, rounds: int, backend: str, pixels: int = 2**20) -> list[Row]:
    """Check, then time every part for one patch side."""
    n = max(8, pixels // N**2)
    case = make_case(N, n)
    out = np.ones((n, N, N), np.float32)
    counts, signals = (np.ones((n, N, N), dtype) for dtype in (np.uint32, np.int32))
    parts = make_parts(case, n)
    for name, part in parts.items():
        truth = diffract(case, part, 2, "reference", np.empty_like(out))
        mine = diffract(case, part, 2, backend, np.empty_like(out))
        off = np.linalg.norm(np.sqrt(mine) - np.sqrt(truth)) / np.linalg.norm(np.sqrt(truth))
        assert off < 2 * TOLERANCE, f"{name}: wrong intensities, off by {off:.1e}"

    spec = DetectorSpec(**ALL_PARTS)
    response = detector.response(spec, N, seed=1)
    spread = detector.spread_kernel(detector.spread(spec), N)
    scale = case.scales[DOSE] * 0.9**0.5
    rates = diffract(case, parts["plain"], n, backend, out) * np.float32(scale**2)
    check_detector(rates[:2], response, backend)

    keywords: dict[str, Any] = {"scale": scale, "seed": 1, "backend": backend, "threads": 1}
    arrays = case.obj, case.probe, parts["plain"].positions
    loop = SerialLoopPipeline(case.obj, case.probe)
    few = min(n, 8)
    check_loop(case, loop, backend)
    works: dict[str, tuple[Callable[[], Any], int]] = {
        name: ((lambda part=part: diffract(case, part, n, backend, out)), n)
        for name, part in parts.items()
    }
    works |= {
        "observe": (lambda: ptycho_fast.observe(*arrays, out=counts, **keywords), n),
        "observe, detector": (
            lambda: ptycho_fast.observe(
                *arrays, out=signals, output="signal", detector=response, spread=spread, **keywords
            ),
            n,
        ),
        "observe, detector without blur": (
            lambda: ptycho_fast.observe(
                *arrays, out=signals, output="signal", detector=response, **keywords
            ),
            n,
        ),
        "photons": (
            lambda: ptycho_fast.sample_photons(
                rates, seed=1, out=counts, backend=backend, threads=1
            ),
            n,
        ),
        "photons, detector": (
            lambda: ptycho_fast.sample_photons(
                rates, seed=1, out=signals, detector=response, backend=backend, threads=1
            ),
            n,
        ),
        "loop": (lambda: loop.diffract(arrays[2][:few], out[:few]), few),
        "loop, noisy": (lambda: loop.observe(arrays[2][:few], scale, counts[:few]), few),
    }
    for work, _ in works.values():
        work()  # once without the clock
    return [
        {
            "N": N,
            "part": name,
            "transforms": parts[name].transforms if name in parts else 1,
            "us_per_pattern": 1e6 * statistics.median(seconds),
            "seconds": seconds,
        }
        for name, seconds in in_turn(
            works, rounds, shortest=SHORTEST, clock=time.process_time
        ).items()
    ]


def check_detector(rates: Array, response: Response, backend: str) -> None:
    """Assert the reference's signals, and the mean of the good pixels where nothing is lost.

    Noise in single precision may put one in a thousand on the other side of a rounding.
    """
    mine, truth = (
        ptycho_fast.sample_photons(rates, seed=1, detector=response, backend=name, threads=1)
        for name in (backend, "reference")
    )
    assert (mine != truth).mean() < 1e-3, "detector: other signals than the reference's"
    linear = replace(response, dead_time=0.0, ceiling=0.0, dark=None, dark_least=0, readout=0.0)
    signals = ptycho_fast.sample_photons(
        rates, seed=1, detector=linear, dtype=np.float32, backend=backend, threads=1
    )
    good = np.broadcast_to(linear.pixels == 0, rates.shape)
    check_counts("detector", ((signals - linear.offset) / linear.gain)[good], rates[good])


def check_loop(case: Case, loop: SerialLoopPipeline, backend: str) -> None:
    """Assert the loop's intensities at whole pixels, where it says the same as this project."""
    whole = np.round(case.positions[:2])
    shape = (2, case.N, case.N)
    theirs = np.sqrt(loop.diffract(whole, np.empty(shape)))
    mine = np.sqrt(ptycho_fast.diffract(case.obj, case.probe, whole, backend=backend, threads=1))
    assert np.linalg.norm(theirs - mine) < TOLERANCE * np.linalg.norm(mine), "loop: wrong"


def parse() -> argparse.Namespace:
    """Options of the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.physics", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256], metavar="N")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--backend", default="native")
    parser.add_argument("--quick", action="store_true", help="small batches, three rounds")
    report.output_options(parser)
    return parser.parse_args()


def main() -> None:
    """Run, print and keep."""
    options = parse()
    rounds, pixels = (3, 2**16) if options.quick else (options.rounds, 2**20)
    console, watch = report.begin(110)
    rows = [row for N in options.sizes for row in measure(N, rounds, options.backend, pixels)]
    made = measure_objects(min(rounds, 9))
    verdicts = [*judge_physics(rows), judge_kinds(made)]
    report.physics(console, rows)
    report.objects(console, made)
    report.targets(console, verdicts)
    figures = {
        "backend": options.backend,
        "rounds": rounds,
        "physics": rows,
        "objects": made,
        "targets": verdicts,
    }
    report.end("physics", watch, options, figures)


if __name__ == "__main__":
    main()
