"""What ``python -m ptycho_fast.simulate`` says of a data set, line by line."""

from collections.abc import Iterator
from typing import Any

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
    yield "speed", f"{facts['patterns_per_second']:,.0f} patterns/s"
    yield "file", f"{facts['file']}, {bytes_text(facts['file_bytes'])}"
    if "preview" in facts:
        yield "preview", facts["preview"]


_LENGTHS = {
    "energy_ev": "energy {:.6g} eV",
    "object_pixel_m": "object pixel {:.4g} m",
    "detector_pixel_m": "detector pixel {:.4g} m",
    "detector_distance_m": "detector at {:.4g} m",
    "slice_distance_m": "{:.4g} m from slice to slice",
}


def _truth_lines(facts: Facts) -> Iterator[tuple[str, str]]:
    """What is out of the ordinary in an experiment."""
    geometry = facts["geometry"]
    known = [text.format(geometry[name]) for name, text in _LENGTHS.items() if name in geometry]
    if known:
        yield "geometry", ", ".join([f"{geometry['radiation']}s", *known])
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
