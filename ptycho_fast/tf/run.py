"""One training from data to report, in a folder of its own.

===================  =============================================================
``data.npz``         the data set, where it was simulated
``model-*.keras``    the network after the last epoch, with ``state.json``
``history.json``     values of every epoch
``run_metadata.json``  diagnostics, score, configuration
``summary.md``       the same as tables, for people
``prediction.npz``   stitched object and where windows cover it
``refined.npz``      the objects that were refined from it and from a flat start
``scores.json``      score by epoch and time, where asked for
``amplitude.png``    truth, network and refined object; ``phase.png`` where it varies
``difference.png``   how far they are off, ``frc.png`` up to which detail they are right
``loss.png``         by epoch, and ``score.png`` beside ``scores.json``
===================  =============================================================
"""

import hashlib
import json
import math
import platform
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ptycho_fast import checks, quality
from ptycho_fast.campaign import Campaign
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.data.source import DATA_SUFFIXES
from ptycho_fast.data.symmetry import require_symmetric
from ptycho_fast.errors import DataWarning
from ptycho_fast.files import written_aside
from ptycho_fast.machine import memory_available
from ptycho_fast.scenario import Scenario
from ptycho_fast.tf import pictures, summary
from ptycho_fast.version import __version__

from .comparison import TITLES, Found, compared, refinements
from .diagnostics import SCORES, diagnose, training_summary
from .inference import predict
from .model import PtychoNet
from .recipes import Recipe
from .streams import Feed
from .train import Trainer, Watcher

_REQUEST, _SCORES = "request.json", "scores.json"
_PICTURES = (
    "amplitude.png", "phase.png", "difference.png", "frc.png", "loss.png", "score.png",
)  # fmt: skip
_MAY_CHANGE = ("recipe.spec.epochs", "recipe.spec.minutes", "recipe.refine")  # when a run goes on
_FILES = (
    "data.npz", "model-*.keras", "state.json", "history.json", "run_metadata.json", "summary.md",
    "prediction.npz", "refined.npz", _REQUEST, _SCORES, *_PICTURES,
)  # fmt: skip


def check_free(folder: Path, *, force: bool) -> None:
    """Raise FileExistsError if a folder holds files, unless `force` allows to remove a run's."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder}: is a file, expected a folder")
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder}: is not empty; --force starts anew, --resume goes on")


def claim(folder: Path, *, force: bool) -> None:
    """Make the folder of a run; `force` removes the files of an earlier one, and no others."""
    check_free(folder, force=force)
    for pattern in _FILES:
        for file in folder.glob(pattern):
            file.unlink()
    folder.mkdir(parents=True, exist_ok=True)


def request(source: str, recipe: Recipe, scenario: Scenario | None, seed: int) -> dict[str, Any]:
    """What makes a run what it is, as plain JSON types.

    Parameters
    ----------
    source : str
        Name of the scenario, or path of the data set.
    recipe : Recipe
        The recipe.
    scenario : Scenario, optional
        The description of the data.
    seed : int
        Of weights and order.

    Returns
    -------
    dict
        The arguments, and under ``inputs`` the SHA-256 sums of the files that are read, by path:
        the data set, or else the scenario's object and probe.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    described = scenario.to_dict() if scenario else None
    if source.endswith(DATA_SUFFIXES):
        files = [source]
    else:
        tables = [table for table in (described or {}).values() if isinstance(table, dict)]
        files = [table["file"] for table in tables if table.get("file")]
    asked = {
        "source": source,
        "scenario": described,
        "recipe": asdict(recipe),
        "seed": seed,
        "inputs": {path: _sum(path) for path in files},
    }
    return json.loads(json.dumps(asked))


def _sum(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_request(folder: Path, asked: dict[str, Any]) -> None:
    """Raise an error unless the run in a folder is the one that is asked for.

    Its length and the passes of its refinement may be others.

    Raises
    ------
    FileNotFoundError
        There is no run in the folder.
    ValueError
        It is another run, or a file that it reads has changed; the message names the difference.
    """
    path = folder / _REQUEST
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: no run to go on with ({_REQUEST} is missing)")
    kept, asked = json.loads(path.read_text()), dict(asked)
    sums, now = kept.pop("inputs", {}), asked.pop("inputs")  # older runs did not keep them
    kept["recipe"] = {"held_out": 0, "projections": 0} | kept["recipe"]  # nor these
    if kept["scenario"]:  # perhaps of an older schema
        kept["scenario"] = json.loads(json.dumps(Scenario.from_dict(kept["scenario"]).to_dict()))
    before, after = _flat(kept), _flat(asked)
    for key in [*before, *(after.keys() - before.keys())]:
        if key not in _MAY_CHANGE and before.get(key) != after.get(key):
            raise ValueError(
                f"{folder}: {key} was {before.get(key)!r} and is {after.get(key)!r}; --resume goes "
                "on with the same run, --force starts another"
            )
    for file in now:
        if sums.get(file, now[file]) != now[file]:
            expected = f"those that the run in {folder} began with; --force starts another run"
            raise ValueError(checks.wrong(file, "other contents", expected))


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= (
            _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        )
    return flat


# --- memory ---


def memory_needed(data_shape: tuple[int, ...], model: PtychoNet, batch_size: int) -> int:
    """Rough number of bytes for a training: patterns, weights, maps of a step, TensorFlow."""
    patterns = 4 * 4 * math.prod(data_shape)  # counts, amplitudes, gathered groups twice
    weights = 4 * 4 * model.count_params()  # with gradients and two moments
    maps = batch_size * model.map_values()
    fields = batch_size * model.gridsize**2 * (model.canvas**2 + 6 * model.N**2)
    return patterns + weights + 4 * 3 * maps + 8 * 4 * fields + 700 * 2**20


def require_memory(needed: int) -> None:
    """Raise MemoryError if there is less memory than a training needs."""
    available = memory_available()
    if available is not None and needed > available:
        raise MemoryError(
            f"about {needed / 1e9:.2g} GB needed, {available / 1e9:.2g} GB available; take a "
            "smaller --batch-size, --filters or scan.n_patterns"
        )


# --- the run ---


def execute(
    source: Dataset | Campaign,
    recipe: Recipe,
    folder: Path,
    *,
    asked: dict[str, Any],
    seed: int = 42,
    backend: str = "auto",
    resume: bool = False,
    force: bool = False,
    keep_data: bool = False,
    score_every: int = 0,
    score_at: Sequence[float] = (),
    draw: bool = True,
    watcher: Watcher | None = None,
) -> dict[str, Any]:
    """Train, predict the test part, compare with the truth, and write it all down.

    Parameters
    ----------
    source : Dataset or Campaign
        The data; a campaign for a recipe that renews experiments.
    recipe : Recipe
        What to do with them.
    folder : Path
        Folder of the run.
    asked : dict
        Of `request`; kept, so that `check_request` can tell whether a run may go on.
    seed : int
        Of weights and order.
    backend : str
        Of the simulator.
    resume : bool
        Go on from the folder's checkpoint.
    force : bool
        Remove an earlier run.
    keep_data : bool
        Write the data set to the folder; of a recipe without end that of its test part.
    score_every : int
        Compare with the truth after every so many epochs, for a curve over time; 0 for never.
    score_at : sequence of float
        Compare after the first epoch that ends when these minutes of training are over.
    draw : bool
        Make the pictures.
    watcher : Watcher, optional
        Called after every step and epoch.

    Returns
    -------
    dict
        What ``run_metadata.json`` holds.
    """
    start = time.perf_counter()
    # One thread makes data, whatever else it does: the other cores train.
    train, test = recipe.feeds(source, seed=seed, backend=backend, threads=1)
    judged = recipe.judged(train, test)
    if recipe.both_twins:
        for feed in (test, *judged):
            require_symmetric(feed.source.probe)
    data = test.data if recipe.renew else train.data
    if resume:
        trainer = Trainer.resume(folder, recipe.spec.epochs, recipe.spec.minutes)
    else:
        model = recipe.network(train, test, *judged, seed=seed)
        require_memory(memory_needed(data.diffraction.shape, model, recipe.spec.batch_size))
        claim(folder, force=force)
        _write_json(folder / _REQUEST, asked)
        if keep_data:
            data.save(folder / "data.npz", force=True, modes="first")
        trainer = Trainer(model, recipe.spec, folder)
    scores = _read_scores(folder, trainer.epoch)
    if recipe.projections and not resume:  # the first object, which no training made
        scores.append(_scored(trainer, recipe, judged))
        _write_json(folder / _SCORES, scores)
    for _ in trainer.epochs(train, watcher, renew=recipe.renew):
        if (score_every and trainer.epoch % score_every == 0) or _due(score_at, scores, trainer):
            scores.append(_scored(trainer, recipe, judged))
            _write_json(folder / _SCORES, scores)
    trainer.model.set_probe(test.source.probe)
    if draw and len(scores) > 1:
        pictures.scores({recipe.name: scores}, folder / "score.png")
    untrained = next((one for one in scores if one["epoch"] == 0), None)
    how: dict[str, Any] = {"draw": draw, "watcher": watcher, "untrained": untrained}
    return report(trainer.model, recipe, train, test, trainer.history, folder, asked, start, **how)


def _due(minutes: Sequence[float], scores: Sequence[dict[str, Any]], trainer: Trainer) -> bool:
    """Whether one of some minutes is over, and no score was made since."""
    last = max((s["seconds"] for s in scores), default=0.0)
    return any(last < 60 * minute <= trainer.seconds for minute in minutes)


def _scored(trainer: Trainer, recipe: Recipe, judged: Sequence[Feed]) -> dict[str, Any]:
    """How good the network's objects are now, in the mean, and the seconds of training before."""
    now = []
    for feed in judged:
        trainer.model.set_probe(feed.source.probe)  # its own, where experiments have their own
        predicted = predict(trainer.model, feed, both_twins=recipe.both_twins)
        stitched, covered = SCORES[recipe.stitch](feed, predicted)
        now.append(_numbers(quality.compare(stitched, feed.source.object, covered)))
    mean = {
        name: float(np.mean([one[name] for one in now]))
        for name in now[0]
        if all(one.get(name) is not None for one in now)
    }
    result = {"epoch": trainer.epoch, "seconds": trainer.seconds, **mean}
    return result | ({"objects": now} if recipe.held_out else {})


def _numbers(compared: dict[str, Any]) -> dict[str, float | None]:
    """Of `quality.compare` the numbers of a curve; `frc_crossing` is at most 0.5 per pixel."""
    numbers = {name: compared[name] for name in ("ratio", "pearson_r", "normalised_error")}
    rings = compared["frc"]
    if rings is not None:
        crossing = rings["crossing"]
        numbers["frc_crossing"] = 0.5 if crossing is None else crossing
        numbers["frc_mean"] = rings["mean"]
    return numbers


def _read_scores(folder: Path, epoch: int) -> list[dict[str, float]]:
    """Scores of the finished epochs of a resumed run."""
    if not (folder / _SCORES).is_file():
        return []
    return [s for s in json.loads((folder / _SCORES).read_text()) if s["epoch"] <= epoch]


def report(
    model: PtychoNet,
    recipe: Recipe,
    train: Feed,
    test: Feed,
    history: list[dict[str, float]],
    folder: Path,
    asked: dict[str, Any],
    start: float,
    *,
    draw: bool,
    watcher: Watcher | None = None,
    untrained: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Predict the test part, refine it, and write the report of a training.

    The report is complete before the refinement begins, and written again after it.
    """
    prediction = predict(model, test, both_twins=recipe.both_twins)
    metadata = diagnose(model, test, prediction, undo_gain=recipe.undo_gain)
    spec = recipe.spec
    metadata |= {
        "training": training_summary(history, spec.batch_size, len(train), spec.learning_rate),
        "request": asked,
        "versions": {
            "ptycho_fast": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "data": train.data.provenance,
        "network": {"parameters": model.count_params(), **model.settings},
        "stitched_by": recipe.stitch,
        "untrained": untrained,
    }
    stitched, covered = SCORES[recipe.stitch](test, prediction)
    with written_aside(folder / "prediction.npz", force=True) as file:
        np.savez_compressed(file, stitched=stitched.astype(np.complex64), covered=covered)
    _write_json(folder / "history.json", history)
    found = {
        "network": Found(object=stitched, seconds=sum(values["seconds"] for values in history))
    }

    def write(passes: int, *, draw: bool) -> dict[str, Any]:
        results = compared(found, covered, test.data)
        metadata["refinement"] = {"passes": passes, **results}
        metadata["pictures"] = _draw(found, metadata, history, test, folder) if draw else []
        metadata["seconds"] = time.perf_counter() - start
        _write_json(folder / "run_metadata.json", metadata)
        with written_aside(folder / "summary.md", force=True) as file:
            file.write(summary.markdown(metadata).encode())
        return metadata

    if not recipe.refine:
        return write(0, draw=draw)
    write(0, draw=False)
    how = recipe.refine, asked["seed"], watcher or Watcher()
    with _refinement_left_out(folder):
        found |= dict(refinements(found["network"], covered, test.data, *how))
        with written_aside(folder / "refined.npz", force=True) as file:
            refined, flat = (found[name].object for name in ("refined", "flat"))
            np.savez_compressed(file, covered=covered, refined=refined, flat=flat)
    return write(recipe.refine if len(found) > 1 else 0, draw=draw)


@contextmanager
def _refinement_left_out(folder: Path) -> Iterator[None]:
    """Data that cannot be refined are no reason to lose the network; an interruption says so."""
    try:
        yield
    except ValueError as error:
        warnings.warn(f"refinement left out: {error}", DataWarning, stacklevel=3)
    except KeyboardInterrupt as error:
        error.add_note(
            f"the training was over: {folder} keeps the network and its report, --resume refines "
            "again"
        )
        raise


def _draw(
    found: dict[str, Found],
    metadata: dict[str, Any],
    history: list[dict[str, float]],
    test: Feed,
    folder: Path,
) -> list[str]:
    """Make the pictures of a report; gives their names in the order of the summary."""
    columns = metadata["refinement"]["columns"]
    with np.load(folder / "prediction.npz") as prediction:
        covered = prediction["covered"]
    panels = {
        f"{TITLES[name]}: r {summary.number(columns[name]['pearson_r'])}, "
        f"ratio {summary.number(columns[name]['ratio'])}": one.object
        for name, one in found.items()
        if name != "flat"  # looks like the other one
    }
    names = pictures.objects(test.data.projection, panels, covered, folder)
    rings = {TITLES[name]: columns[name]["frc"] for name in columns if columns[name]["frc"]}
    if rings:
        pictures.ring_correlations(rings, folder / "frc.png")
        names.append("frc.png")
    pictures.losses(history, folder / "loss.png")
    names.append("loss.png")
    return names + [name for name in ("score.png",) if (folder / name).is_file()]


def _write_json(path: Path, value: Any) -> None:
    with written_aside(path, force=True) as file:
        file.write((json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
