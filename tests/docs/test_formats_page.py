"""The table of docs/formats.md says what the table of formats says."""

from pathlib import Path

import pytest

from ptycho_fast.formats import FORMATS

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
WORDS = {
    "count_intensity": "counts",
    "detector_signal": "signals",
    "normalized_intensity": "intensities",
    "normalized_amplitude": "amplitudes",
}


def rows():
    lines = PAGE.read_text().split("## All formats")[1].split("##")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return {row[0].strip("`"): row[1:] for row in cells[2:]}


def test_every_format_has_a_row_in_order():
    assert list(rows()) == list(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_row(name):
    suffixes, does, patterns, *_ = rows()[name]
    found = FORMATS[name]
    assert tuple(s.strip(" `") for s in suffixes.split(",") if s.strip()) == found.suffixes
    assert does == ", ".join(["writes"] * found.writes + ["reads"] * found.reads)
    if hasattr(found.load(), "DOMAINS"):
        words = [word.strip() for word in patterns.partition(":")[0].split(",")]
        assert words == [WORDS[domain] for domain in found.load().DOMAINS]
