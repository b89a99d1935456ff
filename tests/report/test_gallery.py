"""The gallery: a panel for everything, whose lines run; pictures, pages, and the command."""

import io
import json
import os
import signal
import sys

import numpy as np
import pages
import pytest
from PIL import Image

from ptycho_fast import detector, objects, probes, scans
from ptycho_fast.gallery import main
from ptycho_fast.report import gallery
from ptycho_fast.report.gallery import draw_gallery, markdown, picture, web_page
from ptycho_fast.report.panels import SECTIONS, Panel, panels
from ptycho_fast.scenario import Scenario
from ptycho_fast.scenario.tables import described_keys

PANELS = {f"{panel.section}: {panel.name}": panel for panel in panels()}
PICTURES = pages.ROOT / "docs" / "pictures" / "gallery"


# --- everything is there ---


def test_names_are_unique():
    assert len(PANELS) == len(panels())
    assert len({panel.file for panel in PANELS.values()}) == len(PANELS)
    assert {panel.section for panel in PANELS.values()} == set(SECTIONS)


@pytest.mark.parametrize(
    ("section", "kinds"),
    [("objects", objects.KINDS), ("probes", probes.KINDS), ("scans", scans.KINDS)],
)
def test_every_kind_has_a_panel_and_its_example(section, kinds):
    for name, kind in kinds.items():
        code = PANELS[f"{section}: {name}"].code
        assert f'kind="{name}"' in code or name == "given"
        for key in kind.keys.values():
            assert not key.required or name == "given" or f"{key.name}=" in code


@pytest.mark.parametrize(
    ("section", "key", "without"),
    [
        ("modes", "probe.mode_kind", {"given"}),
        ("boundary", "scan.boundary", {"error"}),
        ("propagation", "optics.propagation", set()),
        ("dose", "dose.mode", set()),
        ("detector", "detector.preset", set()),
        ("probes", "probe.zone_plate", set()),
    ],
)
def test_every_choice_has_a_panel(section, key, without):
    code = "".join(panel.code for panel in PANELS.values() if panel.section == section)
    for name in {*described_keys(Scenario)[key].choices} - without:
        assert f'"{name}"' in code or name == "far_field"


def test_every_key_of_the_detector_is_shown():
    code = "".join(panel.code for panel in PANELS.values())
    missing = {name for name in detector.keys() if f'"detector.{name}"' not in code}  # noqa: SIM118
    assert missing == {"bad_pixels_file", "bad_pixels_sha256"}  # which are of other data sets


# --- the lines run, and make what they should ---


@pytest.mark.filterwarnings("ignore::ptycho_fast.DataWarning")  # some show what is warned of
@pytest.mark.parametrize("name", PANELS)
def test_lines_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = PANELS[name].run()
    for value in made.values():
        arrays = [value.nominal] if isinstance(value, scans.ScanPath) else [value]
        assert all(
            np.isfinite(a).all() and np.ptp(np.abs(a)) + np.ptp(np.angle(a)) > 0 for a in arrays
        )
    patterns = list(made.values())
    if "without" in made:
        assert patterns[0].shape == patterns[1].shape
        shown = (patterns[0] != patterns[1]).any()
        assert shown or "preset" in name, "the example shows no difference"


NEW_KIND = '''
"""Stripes."""
from typing import Annotated
import numpy as np
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind

@kind("stripes")
def stripes(
    *,
    size: Annotated[int, Key("side, pixels", ge=8)] = 64,
    preset: Annotated["Literal['fine', 'coarse'] | None", Key("width")] = None,
):
    """Stripes."""
    return np.exp(1j * (np.arange(size) // 8 % 2) * np.ones((size, 1)))
'''.replace("from typing import Annotated", "from typing import Annotated, Literal")


def test_a_new_kind_appears_by_itself(tmp_path, monkeypatch):
    (tmp_path / "stripes.py").write_text(NEW_KIND)
    monkeypatch.setattr(objects, "__path__", [*objects.__path__, str(tmp_path)])
    try:
        new = {
            panel.name: panel
            for panel in panels()
            if panel.name not in {old.name for old in PANELS.values()}
        }
        assert list(new) == ["stripes", "stripes fine", "stripes coarse"]
        assert new["stripes"].run()["stripes"].shape == (256, 256)
        assert 'preset="coarse"' in new["stripes coarse"].code
    finally:
        sys.modules.pop("ptycho_fast.objects.stripes", None)


# --- pictures ---


def panel(code, **shows):
    return Panel(section="scans", name="mine", text="Mine", code=code, shows=shows)


@pytest.mark.parametrize(
    ("value", "images"),
    [
        ("np.ones((8, 8)) * 1j", 2),
        ("np.arange(64.).reshape(8, 8) * np.exp(1j * np.arange(8))", 2),
        ("np.zeros((8, 8), complex)", 2),
        ("np.ones((6, 8, 8), complex)", 4),
        ("np.arange(64.).reshape(8, 8)", 1),
        ("np.zeros((8, 8), np.uint32)", 1),
        ("np.full((8, 8), -3, np.int32)", 1),
    ],
)
def test_any_array_has_a_picture(value, images):
    content = picture(panel(f"import numpy as np\nx = {value}\n", x="x"))
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    assert image.width == pytest.approx(144 * images, abs=2)
    assert content == picture(panel(f"import numpy as np\nx = {value}\n", x="x"))


def test_an_error_names_its_panel():
    with pytest.raises(ZeroDivisionError) as caught:
        picture(panel("1 / 0\n"))
    assert caught.value.__notes__ == ["in the panel scans: mine"]


@pytest.mark.slow
def test_the_whole_gallery_is_drawn_in_a_minute(tmp_path):
    import time

    start = time.process_time()
    written = draw_gallery(tmp_path / "all")
    assert time.process_time() - start < 60
    assert len(written) == len(PANELS) + 1


# --- pages ---


def test_pages_show_every_panel(tmp_path):
    shown = [panel for panel in PANELS.values() if panel.section == "scans"]
    for name, write in (("index.html", web_page), ("index.md", markdown)):
        text = write(shown, "here/")
        for panel in shown:
            assert f"here/{panel.file}" in text, name
            assert panel.text in text
        assert 'kind="fermat"' in text.replace("&quot;", '"')


def test_the_page_in_the_documents_is_up_to_date():
    """Draw it again: python -m ptycho_fast.gallery --out docs/pictures/gallery
    --page docs/gallery.md --force."""
    assert markdown(PANELS.values(), "pictures/gallery/") == pages.text_of("docs/gallery.md")
    assert {p.name for p in PICTURES.iterdir()} == {panel.file for panel in PANELS.values()}
    assert sum(p.stat().st_size for p in PICTURES.iterdir()) < 1_500_000


# --- the command ---


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["--only", "boundary", "--only", "modes", "--json"]
    assert main(arguments) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["files"][-1] == "gallery/index.html"
    assert sorted(os.listdir("gallery")) == sorted(os.path.basename(f) for f in facts["files"])
    assert facts["bytes"] == sum(os.path.getsize(f) for f in facts["files"])
    assert main(arguments) == 2
    assert "exists" in capsys.readouterr().err
    assert main([*arguments, "--force", "--page", "docs/page.md"]) == 2
    os.mkdir("docs")
    assert main([*arguments, "--force", "--page", "docs/page.md"]) == 0
    assert "(../gallery/boundary_zero.png)" in (tmp_path / "docs" / "page.md").read_text()


def test_refusals(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--only", "lenses"]) == 2
    assert "only: 'lenses' given, expected one of objects, probes" in capsys.readouterr().err
    assert main(["--page", "page.txt"]) == 2
    assert "page: page.txt given, expected a name that ends in .html or .md" in (
        capsys.readouterr().err
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([]) == 1
    assert "gallery: matplotlib is not installed; pip install 'ptycho_fast[plot]'" in (
        capsys.readouterr().err
    )
    assert os.listdir() == []


def test_a_signal_leaves_whole_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    original, seen = gallery.picture, []

    def interrupted(panel):
        seen.append(panel)
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return original(panel)

    monkeypatch.setattr(gallery, "picture", interrupted)
    monkeypatch.setattr(signal, "getsignal", lambda signum: signal.default_int_handler)
    assert main(["--only", "boundary"]) == 130
    error = capsys.readouterr().err
    assert "interrupted" in error
    assert "gallery/boundary_zero.png" in error
    assert sorted(os.listdir("gallery")) == sorted(panel.file for panel in seen[:2])
