"""The blocks and shell lines of README and docs that need TensorFlow, in one process."""

import re
import shlex
import subprocess
import sys

import pages
import pytest


def small(code):
    """A Python block at the size of a test; every replacement has its place on the page."""
    for text, by in pages.SMALL_IN_PYTHON.items():
        assert text in code, text
        code = code.replace(text, by)
    return code


@pytest.mark.slow  # a step of its own in the integration
def test_training_pages_run(tmp_path):
    blocks = [block for page in pages.PAGES for block in pages.blocks_of(page)]
    lines = {
        p
        for b in blocks
        if b.language == "sh"
        for p in b.pieces
        if pages.is_training(p) and not b.listed(p)
    }
    assert lines
    code = ["import ptycho_fast", "from ptycho_fast.train import main"]
    for line in sorted(lines):
        words = shlex.split(f"{line} {pages.SMALL_TRAINING}")
        arguments = words[2:] if words[0] == "ptycho-fast" else words[3:]
        code.append(f"assert main({arguments}) == 0")
    code.append(small("\n".join(block.text for block in blocks if block.needs_tensorflow)))
    text = "".join(pages.text_of(page) for page in pages.PAGES)
    names = sorted(set(re.findall(r"`ptycho_fast\.tf\.(\w+)", text)))
    code.append(f"assert all(callable(getattr(ptycho_fast.tf, name)) for name in {names})")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/gs2/summary.md").stat().st_size
