"""Every block and shell line of README and docs runs, and what they name exists.

`pages` has the lists of what is not run, with reasons. Blocks that need TensorFlow are run by
test_tensorflow.py, those that need PyTorch by tests/pytorch.
"""

import contextlib
import io
import re
import runpy
import shlex
import textwrap

import pages
import pytest

import ptycho_fast
from ptycho_fast.commands import commands, main

MADE_WITH_THE_SITE = {
    *(f"{name}.md" for name in ("api", "commands", "end-to-end", "formats-table", "keys")),
    *(f"{name}.md" for name in ("machines", "targets")),
    *(f"{name}.svg" for name in ("errors", "feeds", "patterns", "photons", "trainings")),
}
BLOCKS = [block for page in pages.PAGES for block in pages.blocks_of(page)]


def run(command):
    """The standard output of a command of the package, run in this process."""
    first, *words = shlex.split(command, comments=True)
    if first == "python":  # -m ptycho_fast.COMMAND
        words = [words[1].removeprefix("ptycho_fast."), *words[2:]]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as end:  # argparse, after --help
            code = end.code
    assert not code, f"{command}\n{err.getvalue()}"
    return out.getvalue()


def numbers(line):
    return [float(n) for n in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?", line)]


def compare_summaries(printed, shown):
    """The same labels in the same order, and the same numbers where no machine has its own."""
    label = re.compile(r"^(.{18}) (.*)$", re.MULTILINE)
    printed, shown = (dict(label.findall(text)) for text in (printed, shown))
    assert list(printed) == list(shown)
    for name in pages.SAME_EVERYWHERE:
        name = f"{name:18}"
        assert numbers(shown[name]) == pytest.approx(numbers(printed[name]), rel=1e-5), name
        assert re.sub(r"[\d.e+]+", "", shown[name]) == re.sub(r"[\d.e+]+", "", printed[name])


def run_python(block, code, namespace):
    """What a Python block prints; a block of code that is not there yet must fail."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        if block.not_yet:
            with pytest.raises((AttributeError, TypeError)):
                exec(code, namespace)
        else:
            exec(code, namespace)
    return out.getvalue()


@pytest.mark.parametrize("page", [p for p in pages.PAGES if pages.blocks_of(p)])
def test_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace, before, printed = {"__name__": page}, None, ""
    exec(textwrap.dedent(pages.SETUP.get(page, "")), namespace)
    for block in pages.blocks_of(page):
        if block.language == "text" and not block.listed(block.text):
            assert before in ("python", "sh"), f"{block} shows no output of the block before it"
            if before == "python":
                assert printed == block.text, str(block)
            else:
                compare_summaries(printed, block.text)
        for piece in block.pieces:
            if block.listed(piece) or block.needs_tensorflow or block.needs_torch:
                continue
            if block.language == "python":
                printed = run_python(block, compile(piece, str(block), "exec"), namespace)
            elif block.language == "toml":
                (tmp_path / pages.TOML_FILES[page]).write_text(piece)
            elif block.language == "sh" and not pages.is_training(piece):
                printed = run(piece)
        before = block.language


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_run_or_listed(block):
    assert block.language in ("python", "sh", "toml", "text"), f"{block}: name the language"
    if block.language == "sh":
        lost = [p for p in block.pieces if not (block.listed(p) or pages.is_run(p))]
        assert not lost, f"{block}: neither run nor listed: {lost}"


@pytest.mark.parametrize(("page", "how"), [*pages.NOT_RUN, *pages.NOT_YET])
def test_the_lists_name_what_is_there(page, how):
    pieces = [piece for block in pages.blocks_of(page) for piece in block.pieces]
    assert any(piece.startswith(how) for piece in pieces)


# --- what the pages name ---


@pytest.fixture(scope="module")
def help_texts():
    return "".join(run(f"ptycho-fast {c} --help") for c in commands())


def test_flags_exist(help_texts):
    other_programs = {"--no-build-isolation", "--check", "--dry-run", "--keep", "--measure"}
    other_programs |= {
        "--add",
        "--parts",
        "--sizes",
        "--sides",
        "--draw",
        "--through",
    }  # of python -m bench
    other_programs |= {"--nthreads", "--lifetime", "--lifetime-stagger"}  # of workers of Dask
    other_programs |= {"--epsilon"}  # of tools/check_ptychopinn.py
    other_programs |= {"--full", "--amplitude", "--poisson"}  # of tools/dose_error.py
    other_programs |= {"--input-file", "--output-file", "--n-images", "--n-photons"}  # PtychoPINN
    named = {
        flag
        for page in pages.PAGES
        # Not those with a key, such as --dose.nphotons.
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+(?![a-z-]*\.[a-z])", pages.text_of(page))
    }
    there = set(re.findall(r"--[a-z][a-z-]+", help_texts))
    assert named - there - other_programs - {"--out"} == set()


@pytest.mark.parametrize("page", [*pages.PAGES, "CHANGELOG.md"])
def test_links_lead_somewhere(page):
    here = (pages.ROOT / page).parent
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", pages.text_of(page)):
        built = target.removeprefix("reference_pages/") in MADE_WITH_THE_SITE
        assert "://" in target or built or (here / target).exists(), target


def test_every_page_is_in_the_menu_of_the_site():
    """A page that is in no list of docs/index.md is a warning, which the site's build refuses."""
    menu = set(pages.text_of("docs/index.md").splitlines())
    assert {path.stem for path in (pages.ROOT / "docs").glob("*.md")} - {"index"} - menu == set()


def test_files_exist():
    """Names of source files and folders in the text, from the root or from a source folder."""
    roots = [pages.ROOT / folder for folder in ("", "ptycho_fast", "csrc", "tests")]
    named = {
        name
        for page in pages.PAGES
        for name in re.findall(r"`([\w./]+(?:\.py|\.h|\.cpp|\.cu|\.md|/))`", pages.prose_of(page))
    }
    missing = {name for name in named if not any((root / name).exists() for root in roots)}
    of_others = {"ptycho/raw_data.py", "ptycho/model.py"}
    written = {"summary.md", "published.md"}
    assert missing - of_others - written == pages.NOT_YET_PATHS


@pytest.mark.parametrize("page", pages.PAGES)
def test_names_exist(page):
    """`ptycho_fast.scaling` and the like, and the functions of the tables."""
    for name in re.findall(r"`(?:ptycho_fast\.|(?=scaling\.))([a-z_.]+)", pages.prose_of(page)):
        parts = name.rstrip(".").split(".")
        if parts[-1] == "py" or parts[0] in ("tf", "simulate", "train"):
            continue
        found = ptycho_fast
        for part in parts:
            with contextlib.suppress(ImportError):
                __import__(f"{found.__name__}.{part}")
            found = getattr(found, part)


# --- the picture of the conventions ---


def test_picture_is_drawn(tmp_path):
    """The same bytes again, and as large as the one that is kept."""
    draw = runpy.run_path(str(pages.ROOT / "docs/pictures/conventions.py"))["draw"]
    first, again = tmp_path / "first.png", tmp_path / "again.png"
    draw(first)
    draw(again)
    assert first.read_bytes() == again.read_bytes()
    kept = (pages.ROOT / "docs/conventions.png").read_bytes()
    assert first.read_bytes()[16:24] == kept[16:24]  # width and height
