"""What this installation is: version, extension, compiler, libraries."""

import platform
from typing import Any

import numpy

from ptycho_fast.backend import native
from ptycho_fast.version import __version__


def build_info() -> dict[str, Any]:
    """Facts about this installation, for reports and bug reports.

    Returns
    -------
    dict
        ``version``, ``python``, ``platform``, ``numpy``; ``native``: is the extension there?
        If so ``compiler``, ``flags``, ``build_type``, ``instruction_sets`` (built) and
        ``usable_instruction_sets`` (this processor's, the best last).
    """
    info: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "numpy": numpy.__version__,
        "native": not native.why_not(),
    }
    if info["native"]:
        core = native.core()
        facts = core.build_facts()
        info |= {key: facts[key] for key in ("compiler", "flags", "build_type", "instruction_sets")}
        info["usable_instruction_sets"] = core.instruction_sets()
    return info
