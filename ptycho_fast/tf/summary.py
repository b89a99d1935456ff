"""``summary.md``: the diagnostics of a run as tables, with the sentences that a reader needs."""

from collections.abc import Iterable
from typing import Any

_TITLES = {
    "forward_pass_diagnostics": "Forward-pass diagnostics",
    "intensity_scaler_state": "Intensity scaler",
    "dataset_scale_info": "Scale of the data set",
    "split_intensity_stats": "Training and test half",
    "stage_means": "Mean amplitude by stage",
    "raw_diffraction_test": "Raw diffraction, test half",
    "ground_truth_amplitude": "True amplitude",
    "prediction_scale": "Prediction scale",
    "likelihood": "Published likelihood on the test groups",
    "pairing": "Pairing of scale and data",
    "training": "Training",
}


def markdown(metadata: dict[str, Any]) -> str:
    """The summary of what ``run_metadata.json`` holds."""
    request = metadata["request"]
    scenario = request["scenario"]
    name = scenario["name"] if scenario else request["source"]
    lines = [f"# {name}, recipe {request['recipe']['name']}", ""]
    lines += [*_score(metadata), "", *_decomposition(metadata), "", *_pairing(metadata), ""]
    for key, title in _TITLES.items():
        lines += [f"## {title}", "", *_table(_rows(metadata[key])), ""]
    return "\n".join(lines)


def _score(metadata: dict[str, Any]) -> Iterable[str]:
    score = metadata["score"]
    yield "## Score"
    yield ""
    yield f"Where the central {score['window']} x {score['window']} pixels of predictions cover the"
    yield "object, gain undone:"
    yield ""
    yield "| stitched | amplitude ratio | Pearson r | amplitude MAE | phase MAE | pixels |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for how, place in (("groups", "groups at their mean"), ("patches", "patches at their own")):
        s = score[how]
        mark = " (shown)" if how == metadata["stitched_by"] else ""
        yield (
            f"| {place}{mark} | {s['ratio']:.4f} | {_number(s['pearson_r'])} | "
            f"{s['amplitude']['mae']:.4f} | {s['phase']['mae']:.4f} | {s['covered_pixels']} |"
        )


def _decomposition(metadata: dict[str, Any]) -> Iterable[str]:
    parts = metadata["decomposition"]
    ratio = metadata["forward_pass_diagnostics"]["output_vs_truth_ratio"]
    yield "## What the output-to-truth ratio is made of"
    yield ""
    yield (
        f"{ratio:.4f} = {parts['gain']:.4f} (gain not undone) x {parts['border']:.4f} (border that "
        f"no window covers) x {parts['rest']:.4f} (head, training). Furthest from 1: "
        f"{parts['largest']}."
    )


def _pairing(metadata: dict[str, Any]) -> Iterable[str]:
    pairing = metadata["pairing"]
    if pairing["mismatch_flag"]:
        yield (
            f"The scale is paired with the data as {pairing['name']!r}: the loss sees "
            f"{pairing['effective_photons_per_pattern']:.4g} photons per pattern, not the "
            f"{pairing['nphotons_requested']:.4g} that were asked for. The deviance that is "
            "minimised does not depend on it."
        )


def _rows(section: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _rows(value, f"{prefix}{key}.")
        else:
            yield prefix + key, _number(value)


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return repr(value) if isinstance(value, float) else str(value)


def _table(rows: Iterable[tuple[str, str]]) -> Iterable[str]:
    yield "| quantity | value |"
    yield "| --- | --- |"
    for name, value in rows:
        yield f"| {name} | {value} |"
