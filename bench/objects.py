"""Times of objects: one of every kind, beside a thousand patterns of it.

Who makes a data set for each object waits for the object, too. So the times are set against those
of 1000 patterns of 64 x 64 pixels with photons, measured in the same rounds.
"""

import itertools
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import ptycho_fast
from bench.contenders import DOSES, baseline, make_case
from bench.measure import Row, Work, in_turn, ratio
from ptycho_fast import objects, optics
from ptycho_fast.scenario import ObjectSpec

PATTERNS = 1000
SIZE, PATTERN_SIDE = 256, 64  # pixels
PATTERNS_NAME = f"{PATTERNS} patterns"


def measure_objects(rounds: int) -> list[Row]:
    """Check, then time every kind at 256 x 256 pixels, one thread; each run has another seed."""
    with tempfile.TemporaryDirectory() as folder:
        works: dict[str, Work] = {PATTERNS_NAME: (_patterns(), 1)}
        for kind in objects.KINDS.listed:
            work = _object(kind, Path(folder))
            shape = work().shape
            if shape != (SIZE, SIZE):
                raise AssertionError(f"{kind}: wrong shape {shape}")
            works[kind] = work, 1
        for work, _ in works.values():
            work()  # once without the clock
        times = in_turn(works, rounds)
    patterns = {"seconds": times[PATTERNS_NAME]}
    return [
        {
            "kind": kind,
            "size": SIZE,
            "ms": 1e3 * statistics.median(seconds),
            "of_patterns": ratio({"seconds": seconds}, patterns),
            "seconds": seconds,
        }
        for kind, seconds in times.items()
    ]


def _patterns() -> Callable[[], Any]:
    case = make_case(PATTERN_SIDE, PATTERNS)
    counts = np.empty((PATTERNS, PATTERN_SIDE, PATTERN_SIDE), np.uint32)
    return lambda: ptycho_fast.observe(
        case.obj, case.probe, case.positions, scale=case.scales[DOSES[-1]], seed=1,
        backend=baseline(), threads=1, out=counts,
    )  # fmt: skip


def _object(kind: str, folder: Path) -> Callable[[], Any]:
    keys: dict[str, Any] = {"size": SIZE}
    if kind == "refractive":
        keys |= {"delta": 5e-5, "beta": 5e-6}
    elif kind == "image_folder":
        rng = np.random.default_rng(0)
        for i in range(8):
            noise = rng.integers(0, 256, (2 * SIZE, 2 * SIZE), dtype=np.uint8)
            Image.fromarray(noise).save(folder / f"{i}.png")
        keys["folder"] = str(folder)
    elif kind == "file":
        np.save(folder / "object.npy", np.ones((SIZE, SIZE), np.complex64))
        keys = {"file": str(folder / "object.npy")}
    spec, seeds = ObjectSpec(kind=kind, **keys), itertools.count()
    beam = {"radiation": "electron" if kind == "weak_phase" else "photon", "energy_ev": 1e5}
    geometry = optics.make_geometry(PATTERN_SIDE, object_pixel_m=1e-9, **beam)
    return lambda: objects.make_object(spec, next(seeds), geometry=geometry)
