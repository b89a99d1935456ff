"""Every error of docs/errors.md: it is raised, with that message, and what mends it does."""

import contextlib
import io
import re
import shlex
import warnings

import numpy as np
import pages
import pytest

import ptycho_fast
from ptycho_fast.commands import main

PAGE = "docs/errors.md"
SECTIONS = {
    text.partition("\n")[0]: re.findall(
        r"^```(\w+)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE
    )
    for text in pages.text_of(PAGE).split("\n## ")[1:]
}


def said(language, code):
    """What a block says in the end: its error, its warnings, or nothing."""
    if language == "sh":
        err = io.StringIO()
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            failed = main(shlex.split(code)[1:])
        return err.getvalue().partition("error: ")[2] if failed else ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ptycho_fast.DataWarning)
        try:
            exec(code, {"np": np, "ptycho_fast": ptycho_fast})
        except Exception as error:
            return str(error)
    return "\n".join(str(one.message) for one in caught)


@pytest.mark.parametrize("title", SECTIONS)
def test_error_is_raised_and_mended(title, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (language, wrong), (text, message), (by, mended) = SECTIONS[title]
    assert text == "text"
    if title == "A file that is there already":
        assert said(by, mended.replace(" --force", "")) == ""
    found, ends = said(language, wrong), message.strip().split("...")
    assert found.startswith(ends[0])
    assert found.strip().endswith(ends[-1])
    assert said(by, mended) == ""


def test_page_has_cause_and_mend_for_each():
    text = pages.prose_of(PAGE)
    assert text.count("**Cause.**") == text.count("**Mend.**") == len(SECTIONS) > 15
