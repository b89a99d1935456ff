"""What ``python -m ptycho_fast.simulate`` says of a data set, line by line."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ptycho_fast.optics import geometry_text
from ptycho_fast.scenario import Scenario
from ptycho_fast.terminal import bytes_text

Facts = dict[str, Any]
"""What ``--json`` prints."""


def estimate_lines(facts: Facts) -> Iterator[tuple[str, str]]:
    """Label and text of each line about a run that would be."""
    yield "scenario", f"{facts['scenario']['name']} (dry run, nothing is written)"
    yield "patterns", f"{facts['patterns']} of {facts['N']} x {facts['N']} pixels"
    yield "backend", f"{facts['backend']}, {facts['threads']} threads"
    yield from _truth_lines(facts)
    yield from _dose_lines(facts["dose"])
    yield "dose expected", spread_text(facts["dose"]["expected"])
    yield "intensity scale s", f"{facts['intensity_scale']!r}"
    yield "time", f"about {time_text(facts['seconds_estimated'], facts['seconds_by_stage'], 2)}"
    yield "memory", f"about {bytes_text(facts['memory_bytes'])}"
    yield "file", f"{facts['file']}, {bytes_text(facts['file_bytes'])}"


def summary_lines(facts: Facts) -> Iterator[tuple[str, str]]:
    """Label and text of each line about a data set that was made."""
    dose, gain = facts["dose"], facts["normalise_gain"]
    yield "scenario", facts["scenario"]["name"]
    yield "patterns", f"{facts['patterns']} of {facts['N']} x {facts['N']} pixels"
    yield "backend", facts["backend"]
    yield from _truth_lines(facts)
    yield from _dose_lines(dose)
    measured = "dose measured" if facts["noise"] else "dose expected"
    seen = "" if facts["good_pixels"] == 1 else ", on good pixels"
    yield measured, spread_text(dose["measured"]) + seen
    yield "intensity scale s", f"{facts['intensity_scale']!r}"
    yield "normalise gain g", "none, there is no light" if gain is None else f"{gain!r}"
    yield "time", time_text(facts["seconds"], facts["seconds_by_stage"], 3)
    yield "speed", f"{facts['patterns_per_second']:,.0f} patterns/s, made and written"
    yield "file", f"{facts['file']}, {bytes_text(facts['file_bytes'])}"
    for picture in ("preview", "report", "card"):
        if picture in facts:
            yield picture, facts[picture]


def cluster_lines(facts: Facts) -> Iterator[tuple[str, str]]:
    """Label and text of each line about a data set that a cluster made."""
    yield "scenario", facts["scenario"]["name"]
    shards = "1 shard" if facts["shards"] == 1 else f"{facts['shards']} shards"
    yield "patterns", f"{facts['patterns']}, in {shards}"
    if facts["kept"]:
        yield "shards", f"{facts['kept']} {'was' if facts['kept'] == 1 else 'were'} there"
    yield from _dose_lines(facts["dose"])
    yield "dose measured", spread_text(facts["dose"]["measured"])
    yield "time", time_text(facts["seconds"], facts["seconds_by_stage"], 3)
    yield "file", f"{facts['file']}, {bytes_text(facts['file_bytes'])}"


def recipe_lines(facts: Facts) -> Iterator[tuple[str, str]]:
    """Label and text of each line about a recipe that was written."""
    dry = " (dry run, nothing is written)" if facts["dry_run"] else ""
    yield "scenario", f"{facts['scenario']['name']}{dry}"
    each = " in the first experiment" if "experiments" in facts else ""
    yield "patterns", f"{facts['patterns']} of {facts['N']} x {facts['N']} pixels{each}"
    if "experiments" in facts:
        yield "experiments", f"{facts['experiments']}, from number {facts['first']}"
        yield "draws", ", ".join(facts["draws"]) or "none; each experiment has its own seeds"
    yield "backend", facts["backend"]
    yield from _dose_lines(facts["dose"])
    yield "time", time_text(facts["seconds"], facts["seconds_by_stage"], 3)
    yield "recipe", f"{facts['file']}, {bytes_text(facts['file_bytes'])}; no pattern is in it"


def scenario_lines(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Label and text of each line about a scenario."""
    yield "scenario", scenario.name
    for table in ("object", "probe", "scan"):
        values = getattr(scenario, table)
        drawn = not hasattr(values, "kind")  # a choice of whole tables
        yield table, "drawn" if drawn else _table_text(values)
    given = scenario.detector.to_dict()
    changed = {name: v for name, v in given.items() if v != scenario.detector.known()[name].default}
    if changed:
        yield "detector", _values_text(changed)
    yield "seeds", _values_text(scenario.seeds.to_dict())


def _table_text(table: Any) -> str:
    """The kind, and the values that are not the defaults."""
    kind = table.kinds[table.kind]
    known = table.keys_of(kind)
    values = {
        name: value
        for name, value in table.to_dict().items()
        if name != "kind" and value != known[name].default
    }
    text = _values_text(values)
    return f"{kind.name} ({text})" if text else kind.name


def _values_text(values: Mapping[str, Any]) -> str:
    shown = {name: v[:12] + "..." if "sha256" in name else v for name, v in values.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def bytes_in(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    inside = path.rglob("*") if path.is_dir() else [path]
    return sum(one.stat().st_size for one in inside if one.is_file())


def _truth_lines(facts: Facts) -> Iterator[tuple[str, str]]:
    """What is out of the ordinary in an experiment."""
    if text := geometry_text(facts["geometry"]):
        yield "geometry", text
    if facts["slices"] > 1:
        yield "object", f"{facts['slices']} slices"
    shares, added = facts["mode_fractions"], facts["eigenprobes"]
    if len(shares) > 1 or added:
        text = ", ".join(f"{share:.2%}" for share in shares)
        more = f", {added} eigenprobes" if added else ""
        yield "probe modes", f"{len(shares)}: {text} of the power{more}"
    if facts["sub_exposures"] > 1:
        yield "fly scan", f"{facts['sub_exposures']} sub-exposures in a pattern"
    if facts["domain"] == "detector_signal":
        yield "detector", "stores signals, not counts"
    if facts["good_pixels"] < 1:
        yield "mask", f"{1 - facts['good_pixels']:.2%} of the pixels are bad"


def _dose_lines(dose: dict[str, Any]) -> Iterator[tuple[str, str]]:
    requested, expected = dose["requested"], dose["expected"]
    number = "" if requested is None else f"{requested:.6g} "
    yield "dose requested", f"{number}{dose['unit']}"
    lost = dose["quantum_efficiency"] != 1
    if lost or dose["mode"] != "detected_mean" or "per_m2" in expected:
        area = f", {expected['per_m2']:.4g} on a square metre" if "per_m2" in expected else ""
        share = f", of which the detector takes {dose['quantum_efficiency']:.3g}" if lost else ""
        yield "dose incident", f"{expected['incident']:.6g} in a mean pattern{area}{share}"


def spread_text(photons: dict[str, float]) -> str:
    """Mean, smallest and largest number of photons in a pattern."""
    return f"{photons['mean']:.6g} mean, {photons['min']:.6g} min, {photons['max']:.6g} max"


def time_text(total: float, by_stage: dict[str, float], digits: int) -> str:
    """Seconds in all, and the share of each stage."""
    shares = ", ".join(
        f"{name} {seconds / total:.0%}"
        for name, seconds in sorted(by_stage.items(), key=lambda item: -item[1])
        if seconds / total >= 0.005
    )
    return f"{total:.{digits}g} s: {shares}"
