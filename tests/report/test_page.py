"""The page of a data set: what it says, that it needs nothing else, and that nothing slips in."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import quality
from ptycho_fast.drawing import notebook
from ptycho_fast.report import figures
from ptycho_fast.report.page import Result, write_page

SMALL = {"scan.n_patterns": 30, "dose.nphotons": 1e5, "object.size": 160}


class Page(HTMLParser):
    """Addresses that a browser would fetch, anchors, and unbalanced elements."""

    VOID = ("meta", "link", "img", "input", "br")

    def __init__(self, text):
        super().__init__()
        self.fetched, self.anchors, self.targets, self.open = [], set(), set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.fetched += [told[name] for name in ("src", "href") if name in told and tag != "a"]
        if tag == "a":
            self.targets.add(told["href"].removeprefix("#"))
        self.anchors.add(told.get("id"))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def dataset():
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace(SMALL)
    return ptycho_fast.simulate(scenario, backend="reference")


@pytest.fixture(scope="module")
def text(dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(dataset, path, command="ptycho-fast simulate x", seconds={"patterns": 0.25})
    return path.read_text()


def test_the_page_needs_nothing_else(text):
    page = Page(text)
    assert page.open == []
    assert page.fetched
    assert all(address.startswith("data:") for address in page.fetched)
    assert "url(" not in text.replace("url(#", "")  # clip paths are inside
    assert page.targets <= page.anchors


def test_it_says_what_was_made(dataset, text):
    mean = dataset.provenance["dose"]["measured"]["mean"]
    for words in (
        "30 of 64 x 64", "100000 photons per pattern", f"{mean:.6g}", "ptycho-fast simulate x",
        f"{dataset.intensity_scale:.8g}", "nphotons = 100000.0", "seed of the photons",
    ):  # fmt: skip
        assert words in text


def test_the_same_data_give_the_same_page(dataset, text, tmp_path):
    path = tmp_path / "again.html"
    write_page(dataset, path, command="ptycho-fast simulate x", seconds={"patterns": 0.25})
    assert path.read_text() == text


def test_nothing_of_the_data_becomes_markup(dataset, tmp_path):
    name = "<script>alert(1)<b>"
    hostile = replace(dataset, scenario=dataset.scenario.replace({"name": name}))
    path = tmp_path / "h.html"
    write_page(hostile, path, command='"><img src=x onerror=alert(1)>')
    assert "<script>alert" not in path.read_text()
    assert "<img src=x" not in path.read_text()


def test_masks_modes_results_and_lazy_data(tmp_path, dataset):
    picture = tmp_path / "p.png"
    dataset.plot().savefig(picture)
    probe = np.stack([dataset.probe[0], 0.3j * np.roll(dataset.probe[0], 3, axis=0)])
    mask = np.ones((64, 64), bool)
    mask[10] = False
    rich = replace(dataset, probe=probe, mask=mask, scenario=None, intensity_scale=None)
    result = Result("Reconstruction", ["It is sharp."], ("r",), [("0.999",)], [(picture, "Both")])
    path = tmp_path / "r.html"
    write_page(rich, path, results=[result])
    text = path.read_text()
    for words in ("mode 2,", "Detector mask", "64 of 4,096", "It is sharp.", "0.999", 'alt="Both"'):
        assert words in text
    assert "Scaling" not in text  # the file does not say s
    file = tmp_path / "d.h5"
    dataset.save(file)
    with ptycho_fast.open(file) as lazy:
        write_page(lazy, tmp_path / "lazy.html")
    assert "All 30 patterns" in (tmp_path / "lazy.html").read_text()


def test_coverage_is_the_sum_of_the_lit_patches(dataset):
    lit = (np.abs(dataset.probe[0]) ** 2) >= 0.1 * (np.abs(dataset.probe[0]) ** 2).max()
    H, W = dataset.object.shape
    expected = np.zeros((H + 128, W + 128), int)
    for x, y in np.rint(dataset.positions).astype(int):
        expected[y + 32 : y + 96, x + 32 : x + 96] += lit
    found = quality.coverage(dataset.positions, dataset.probe, (H, W))
    np.testing.assert_array_equal(found, expected[64:-64, 64:-64])


def test_the_radial_profile_of_rings():
    rows, columns = np.ogrid[:16, :16]
    ring = np.rint(np.hypot(rows - 8, columns - 8))
    ring[0, 8] = np.nan  # a bad pixel of ring 8 changes nothing
    np.testing.assert_array_equal(figures.radial_profile(ring), np.arange(8))


@pytest.mark.parametrize("name", ["r.pdf", "r", "r.html.gz"])
def test_other_names_are_refused(dataset, tmp_path, name):
    with pytest.raises(ValueError, match=r"report: .* expected a name that ends in \.html"):
        write_page(dataset, tmp_path / name)


def test_an_existing_page_stays(dataset, tmp_path):
    path = tmp_path / "r.html"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_page(dataset, path)
    assert path.read_text() == "mine"


def test_notebooks(dataset):
    shown = dataset._repr_html_()
    assert "gs2_ideal" in shown
    assert shown.count("data:image/png") == 2
    simulator = ptycho_fast.Simulator(dataset.scenario, backend="reference")
    assert "100000 expected" in simulator._repr_html_()
    titles = [axis.get_title() for axis in simulator.plot().get_axes()]
    assert titles == [axis.get_title() for axis in dataset.plot().get_axes()]
    assert re.search(r"&lt;b&gt;", notebook.table("<b>", []))
