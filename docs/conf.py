"""The documentation site: ``sphinx-build -W docs site``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import figures
import reference

from ptycho_fast.version import __version__

MADE = Path(__file__).parent / "reference_pages"

project = "ptycho_fast"
author = "ptycho_fast developers"
project_copyright = author
release = version = __version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["results/**/*.md", "**.ipynb_checkpoints", "reference_pages/.jupyter_cache"]

html_theme = "furo"
html_title = f"ptycho_fast {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(MADE / ".jupyter_cache")
nb_output_stderr = "remove"  # what TensorFlow says of machines without a GPU
nb_execution_raise_on_error = True
nb_execution_timeout = 300

autodoc_typehints = "none"  # numpydoc's docstrings say types, with shapes and units
numpydoc_show_class_members = False

# `[1, 2]` of the prompts is not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def setup(app: object) -> None:
    """Pages that follow from the code are written before the site is read."""
    figures.write(MADE)
    reference.write(MADE)
