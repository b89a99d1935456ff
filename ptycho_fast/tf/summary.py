"""``summary.md``: whether a run is any good, and why not better, for somebody who was not there."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ptycho_fast.report.published import published_numbers
from ptycho_fast.scenario import Scenario

from .comparison import TITLES
from .refine import UNFINISHED, still_falling

_TITLES = {
    "forward_pass_diagnostics": "Forward-pass diagnostics",
    "intensity_scaler_state": "Intensity scaler",
    "dataset_scale_info": "Scale of the data set",
    "split_intensity_stats": "Training and test half",
    "stage_means": "Mean amplitude by stage",
    "raw_diffraction_test": "Raw diffraction, test half",
    "ground_truth_amplitude": "True amplitude",
    "prediction_scale": "Prediction scale",
    "training": "Training",
}
_TRAINING = (  # of the many numbers of a training those that say something
    "epochs", "batch_size", "groups", "learning_rate", "has_nan", "loss",
    "pred_intensity_loss.last", "saturated_loss.last", "amplitude_mae.last", "amplitude_mae.max",
    "val_loss.last", "val_saturated_loss.last", "deviance.last", "val_deviance.last",
    "dominant_loss", "dominant_share_pct", "seconds", "waiting_pct",
    "making_data_pct_of_cpu", "training_pct_of_cpu",
)  # fmt: skip
_RIGHT, _NEARLY = 0.01, 0.05  # how far the ratio of amplitudes is from 1
_SHARP, _CLEAR, _GAIN = 0.99, 0.95, 0.02  # Pearson r, and how much of it is an achievement
_EXPLAINED = 0.02  # percent above the saturated likelihood; training longer gains nothing
_NO_PHASE = 1e-3  # radians
_WORSE = 1.5  # so many times the error from a flat start, and the network was a bad start
_FLOOR = 1.5  # so many times the noise are explained as well as possible
_NEAR_LIMIT = 3  # errors below so many times the photon limit are due to the photons


def markdown(metadata: Mapping[str, Any]) -> str:
    """The summary of what ``run_metadata.json`` holds.

    Parameters
    ----------
    metadata : mapping
        Of `run.report`. The pictures that it names lie in the folder of the summary.

    Returns
    -------
    str
        Verdict, columns, pictures, what the published ratio is made of, and the published keys
        beside the values of the published run, where there is one on the same data.
    """
    request = metadata["request"]
    described = request["scenario"]
    name = described["name"] if described else request["source"]
    same_data = described and not request["recipe"].get("renew")
    published = published_numbers(Scenario.from_dict(described) if same_data else None)
    return "\n".join(
        [
            f"# {name}, recipe {request['recipe']['name']}",
            "",
            *verdict(metadata),
            "",
            *_columns(metadata),
            "",
            *_pictures(metadata["pictures"]),
            *_decomposition(metadata),
            "",
            *_published(metadata, published),
        ]
    )


# --- the verdict ---


def verdict(metadata: Mapping[str, Any]) -> tuple[str, str, str]:
    """Three sentences: is the scale right, is the picture right, what limits it.

    Parameters
    ----------
    metadata : mapping
        Of `run.report`.

    Returns
    -------
    (str, str, str)
        The sentences.
    """
    return _scale(metadata), _picture(metadata), _limit(metadata)


def _scale(metadata: Mapping[str, Any]) -> str:
    forward, ratio = metadata["forward_pass_diagnostics"], _best(metadata)["ratio"]
    off = abs(ratio - 1)
    how = "right" if off <= _RIGHT else "nearly right" if off <= _NEARLY else "wrong"
    side = "brighter" if ratio > 1 else "darker"
    inside = (
        f"{number(forward['model_exp_log_scale'])} inside the network and "
        f"{number(forward['external_intensity_scale'])} in the data"
    )
    if forward["scale_discrepancy_flag"]:
        return f"**The scale is wrong**: the intensity scale is {inside}."
    return (
        f"**The scale is {how}**: the object is {100 * off:.2g} % {side} than the truth, and the "
        f"intensity scale is {inside}."
    )


def _picture(metadata: Mapping[str, Any]) -> str:
    r, trivial = _best(metadata)["pearson_r"], metadata["score"]["totals_pearson_r"]
    if r is None:
        return "**The picture is empty**: the object is a constant."
    known = ""
    if trivial is not None:
        known = f"; the total of each pattern alone gives {number(trivial)}"
    if r >= _SHARP:
        how = "The picture is right"
    elif r >= _CLEAR:
        how = "The picture is nearly right"
    elif _achieved(r, metadata):
        how = "The picture is blurred"
    else:
        how = "The picture is wrong"
    best = _best(metadata)
    error = _percent(best["normalised_error"])
    return (
        f"**{how}**: its amplitude has r = {number(r)} with the truth{known}; the normalised error "
        f"is {error}{_details(best['frc'], near=r >= _CLEAR)}."
    )


def _details(rings: Mapping[str, Any] | None, *, near: bool) -> str:
    """How fine the details are that the picture has; whether they are right, r has said."""
    if rings is None:
        return ""
    if rings["crossing"] == 0:
        return ", and its coarsest features are wrong"
    size = "a pixel" if rings["crossing"] is None else f"{0.5 / rings['crossing']:.2g} pixels"
    if near:
        return f", and details are right down to {size}"
    return f", though details down to {size} are like those of the truth"


def _limit(metadata: Mapping[str, Any]) -> str:
    return f"**What limits it**: {_reason(metadata)}."


def _reason(metadata: Mapping[str, Any]) -> str:
    recipe, parts = metadata["request"]["recipe"], metadata["decomposition"]
    refinement, best = metadata["refinement"], _best(metadata)
    if refinement["passes"]:
        return _reason_of_refinement(refinement)
    if not recipe["undo_gain"]:
        return (
            f"the gain {number(parts['gain'])} of the normalisation is not undone, and a head of "
            f"kind {recipe['activation']!r} ends at {number(parts['rest'])} of what it should give"
        )
    if metadata["twins"] and _achieved(best["pearson_r"], metadata):
        return (
            "with this probe a pattern does not tell a patch from its twin, the patch turned by "
            "180 degrees, and a network sees one group at a time"
        )
    above = metadata["likelihood"]["above_saturated_pct"]
    if above < _EXPLAINED:
        return (
            "what the patterns of one group leave open; the network explains them to "
            f"{above:.2g} % of the likelihood"
        )
    return f"the training, whose likelihood ends {above:.2g} % above the best possible one"


def _reason_of_refinement(refinement: Mapping[str, Any]) -> str:
    best, flat = (refinement["columns"][name] for name in ("refined", "flat"))
    if best["stopped"] == "diverged":
        return "the refinement diverged, and its best pass is shown"
    error, limit = best["normalised_error"], refinement["photon_limit"]
    if error > _WORSE * flat["normalised_error"]:
        return (
            f"the network's object, a worse start than none: from a flat start the error is "
            f"{_percent(flat['normalised_error'])}, from there {_percent(error)}"
        )
    if limit is not None and error < _NEAR_LIMIT * limit:
        return f"the photons, which allow an error of {_percent(limit)}; it is {_percent(error)}"
    allowed = "" if limit is None else f", where the photons allow {_percent(limit)}"
    noise, history = refinement["noise_misfit"], best["history"]
    explained = noise is not None and history[-1]["misfit"] < _FLOOR * noise
    fall = still_falling(history)
    if fall > UNFINISHED and not explained:
        return (
            f"the number of passes: after {len(history)} the error is {_percent(error)}{allowed}, "
            f"and the misfit of the patterns was still falling by {_percent(fall)} in a pass"
        )
    seldom, often = _by_overlap(best["by_coverage"])
    if seldom["error"] > often["error"]:  # most of it
        return (
            f"the overlap: the {_percent(seldom['share'])} of the pixels that one or two patterns "
            f"light have {_percent(seldom['error'])} of the squared error, which is "
            f"{_percent(error)}{allowed}"
        )
    if explained:
        return (
            "the photons: the object explains the patterns as well as their noise allows (misfit "
            f"{number(history[-1]['misfit'])}, noise {number(noise)}), and yet the error is "
            f"{_percent(error)}"
        )
    return f"the {len(history)} passes of the refinement, whose error is {_percent(error)}{allowed}"


def _by_overlap(classes: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, float], ...]:
    """Shares of pixels and of squared error, where at most two patterns light and where more do."""
    parts = [{"share": 0.0, "error": 0.0}, {"share": 0.0, "error": 0.0}]
    for name, one in classes.items():
        part = parts[name not in ("1", "2")]
        part["share"] += one["pixels"]
        part["error"] += one["pixels"] * one["normalised_error"] ** 2
    for key in ("share", "error"):
        total = sum(part[key] for part in parts) or 1.0
        for part in parts:
            part[key] /= total
    return tuple(parts)


def _percent(share: float) -> str:
    """In words.

    Examples
    --------
    >>> _percent(0.00073), _percent(0.999), _percent(2.5)
    ('0.073 %', '100 %', '250 %')
    """
    return f"{100 * share:{'.0f' if share >= 0.995 else '.2g'}} %"


def _achieved(r: float | None, metadata: Mapping[str, Any]) -> bool:
    """Whether r is more than the total of each pattern gives."""
    trivial = metadata["score"]["totals_pearson_r"]
    return r is not None and (trivial is None or r > trivial + _GAIN)


# --- columns ---


def _columns(metadata: Mapping[str, Any]) -> Iterator[str]:
    refinement, score = metadata["refinement"], metadata["score"]
    columns = refinement["columns"]
    head, *rows = compared_rows(metadata)
    yield from table(head, rows)
    yield ""
    yield (
        f"Over the {refinement['pixels']} pixels of the test half that patterns light and that the "
        f"central {score['window']} x {score['window']} pixels of predictions cover, the gain "
        "undone."
    )
    if untrained := metadata["untrained"]:
        yield (
            f"The network corrects a first object, made by {metadata['network']['projections']} "
            f"projections; before the training this has r = {number(untrained['pearson_r'])}."
        )
    if refinement["passes"]:
        yield (
            f"A refinement of {refinement['passes']} passes uses the test patterns themselves: it "
            "looks for the one object that explains them all, and needs no training. The network "
            "sees each group once. Seconds are those of training and refinement."
        )
        yield ""
        yield from _coverage(columns["refined"]["by_coverage"])


def compared_rows(metadata: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    """Head and rows of the table of columns; of a row the first cell is text.

    Parameters
    ----------
    metadata : mapping
        Of `run.report`.
    """
    columns = metadata["refinement"]["columns"]
    yield "", *(TITLES[name] for name in columns)
    yield from _quantities(columns.values())


def _best(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """The column that counts: that of the refined network, where there is one."""
    columns = metadata["refinement"]["columns"]
    return columns.get("refined", columns["network"])


def _quantities(columns: Iterable[Mapping[str, Any]]) -> Iterator[Sequence[Any]]:
    columns = list(columns)
    yield "amplitude, ratio to the truth", *(column["ratio"] for column in columns)
    yield "Pearson r of the amplitude", *(column["pearson_r"] for column in columns)
    yield (
        "Fourier ring correlation below half a bit from, cycles/pixel",
        *(_crossing(column["frc"]) for column in columns),
    )
    yield "normalised error", *(column["normalised_error"] for column in columns)
    wrong = max(column["phase"]["rmse"] for column in columns)
    if columns[0]["phase"]["pearson_r"] is not None or wrong > _NO_PHASE:  # None: a real truth
        yield "phase error, rad rms", *(column["phase"]["rmse"] for column in columns)
    yield "seconds", *(column["seconds"] for column in columns)


def _crossing(rings: Mapping[str, Any] | None) -> Any:
    if rings is None:
        return None
    return "nowhere" if rings["crossing"] is None else rings["crossing"]


def _coverage(classes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """How good the refined object is by how many patterns light a pixel."""
    rows = (
        (name, one["pixels"], one["pearson_r"], one["normalised_error"])
        for name, one in classes.items()
    )
    yield from table(["patterns on a pixel", "pixels", "r, refined", "normalised error"], rows)


# --- pictures ---


def _pictures(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield f"![{PICTURES[name]}]({name})"
        yield ""


PICTURES = {
    "amplitude.png": "Amplitude: the truth and what was found",
    "phase.png": "Phase: the truth and what was found",
    "difference.png": "Difference of amplitude to the truth",
    "frc.png": "Fourier ring correlation with the truth",
    "loss.png": "Loss by epoch",
    "score.png": "r of the network against training time",
}


# --- numbers of the published report ---


def _decomposition(metadata: Mapping[str, Any]) -> Iterator[str]:
    parts = metadata["decomposition"]
    ratio = metadata["forward_pass_diagnostics"]["output_vs_truth_ratio"]
    yield "## What the published output-to-truth ratio is made of"
    yield ""
    yield (
        f"{number(ratio)} = {number(parts['gain'])} (gain not undone) x {number(parts['border'])} "
        f"(border that no window covers) x {number(parts['rest'])} (head, training). Furthest from "
        f"1: {parts['largest']}."
    )
    pairing = metadata["pairing"]
    if pairing["mismatch_flag"]:
        yield ""
        yield (
            f"The scale is paired with the data as {pairing['name']!r}: the loss sees "
            f"{number(pairing['effective_photons_per_pattern'])} photons per pattern, not the "
            f"{number(pairing['nphotons_requested'])} that were asked for. The deviance that is "
            "minimised does not depend on it."
        )


def _published(metadata: Mapping[str, Any], published: Mapping[str, Any]) -> Iterator[str]:
    yield "## Published keys"
    yield ""
    if published:
        yield "Beside them the published run of this scenario: other weights, the same data."
        yield ""
    for key, title in _TITLES.items():
        theirs = dict(_flat(published.get(key, {})))
        ours = dict(_flat(metadata[key]))
        if key == "training":
            ours = {name: ours[name] for name in _chosen(ours)}
            for names in (ours, theirs):
                if "has_nan" in names:
                    names["has_nan"] = "met" if names["has_nan"] else "none"
        rows = ((_LABELS.get(name, name), ours[name], theirs.get(name)) for name in ours)
        yield f"### {title}"
        yield ""
        if theirs:
            yield from table(["quantity", "this run", "published"], rows)
        else:
            yield from table(["quantity", "this run"], (row[:2] for row in rows))
        yield ""


_LABELS = {"has_nan": "NaN"}


def _chosen(numbers: Mapping[str, Any]) -> Iterator[str]:
    for name in _TRAINING:
        yield from (key for key in numbers if key == name or key.startswith(f"{name}."))


def _flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


# --- text ---


def table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The lines of a Markdown table; of a row the first cell is text, the others are values."""
    yield f"| {' | '.join(titles)} |"
    yield f"| {' | '.join('---' for _ in titles)} |"
    for label, *values in rows:
        yield f"| {' | '.join([label, *map(number, values)])} |"


def number(value: Any) -> str:
    """A value as text: a float to four significant digits, None as a dash.

    Examples
    --------
    >>> [number(v) for v in (0.99904, 1.0, 273.35028, -250812.018, 1024, 0.0, True, None)]
    ['0.9990', '1.000', '273.4', '-2.508e+05', '1024', '0', 'yes', '-']
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    return f"{value:#.4g}".rstrip(".") if value else "0"
