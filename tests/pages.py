"""The pages that users read, cut into blocks, and what the tests do not run of them.

Python blocks of a page run in order, in one namespace and one empty folder. So do its shell
commands, if they are commands of the package. A `toml` block is a scenario. A `text` block is what
the block before it prints. Everything else must be listed below with a reason; an entry that no
page has any more is an error too.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)

# --- what is not run: (page, how the command or block begins): why ---

ENVIRONMENT = "changes the environment; .ci/run does it in a fresh one"
NOT_RUN = {
    ("README.md", "pip install"): ENVIRONMENT,
    ("README.md", "pytest"): "is this test suite",
    ("docs/tutorial.md", "pip install"): ENVIRONMENT,
    ("docs/tutorial.md", "ptycho-fast reconstruct"): "takes a minute; tests/doors runs it",
    ("docs/tutorial.md", "ptycho-fast train"): "takes minutes; tests/doors/test_train.py trains",
    ("docs/errors.md", ""): "are errors and what mends them: tests/docs/test_errors_page.py",
    ("docs/gpu.md", "import cupy"): "needs a GPU",
    ("docs/coming-from.md", "python scripts/simulation"): "needs PtychoPINN",
    ("docs/coming-from.md", "scan = MoonFlowerScan"): "needs ptypy",
    ("docs/coming-from.md", "from pathlib"): "needs ptychodus; tests/interop does it",
    ("docs/coming-from.md", "patterns = probe.scan"): "needs abTEM",
    ("docs/coming-from.md", "options = api.LSQMLOptions"): "needs pty-chi; tests/interop does it",
    ("docs/training.md", "pip install"): ENVIRONMENT,
    (
        "docs/training.md",
        "python -m ptycho_fast.train gs2_ideal --endless --minutes",
    ): "trains for its minutes; tests/tf/test_endless.py does it in a second",
    ("docs/refinement.md", "python -m ptycho_fast.reconstruct"): (
        "takes half a minute; tests/doors/test_reconstruct.py does it with fewer patterns"
    ),
    ("docs/gallery.md", "from "): "tests/report/test_gallery.py runs it",
    ("docs/gallery.md", "import "): "tests/report/test_gallery.py runs it",
    ("docs/ptychopinn.md", "from ptycho import params"): "needs PtychoPINN",
    ("docs/ptychopinn.md", "from ptycho import loader"): "needs PtychoPINN",
    ("docs/ptychopinn.md", "from ptycho import model"): "needs PtychoPINN",
    (
        "docs/ptychopinn.md",
        "python tools/check_ptychopinn.py",
    ): "needs PtychoPINN; tests/interop/test_ptychopinn.py does it",
    ("docs/interop.md", "from pathlib"): "needs ptychodus; tests/interop does it",
    ("docs/interop.md", "from cdtools"): "needs cdtools; tests/interop does it",
    ("docs/interop.md", "import h5py"): "is for pty-chi; tests/interop does it",
    ("docs/interop.md", "from PtyLab"): "needs PtyLab; tests/interop does it",
    ("docs/cluster.md", "from distributed import Client"): "needs a cluster",
    ("docs/cluster.md", "from dask_jobqueue"): "needs SLURM",
    ("docs/cluster.md", "for gpu in"): "needs GPUs",
    (
        "docs/cluster.md",
        "python -m ptycho_fast.simulate gs2_ideal --out /shared",
    ): "needs a cluster",
    ("docs/plan-to-a-billion.md", "pattern_s"): "tests/package/test_plan_run.py compares it",
    ("CONTRIBUTING.md", "python -m venv"): ENVIRONMENT,
    ("CONTRIBUTING.md", ". .venv/bin/activate"): ENVIRONMENT,
    ("CONTRIBUTING.md", "pip install"): ENVIRONMENT,
    ("CONTRIBUTING.md", "pre-commit install"): "changes the repository",
    ("CONTRIBUTING.md", "scenario -> experiment"): "is a diagram",
    ("CONTRIBUTING.md", "--nphotons 1e6  "): "is a diagram",
    ("CONTRIBUTING.md", "export PTYCHO_FAST_REQUIRE"): "is part of the sanitizer's run",
    ("CONTRIBUTING.md", "PTYCHO_FAST_SANITIZE="): "builds the extension with a sanitizer",
    ("CONTRIBUTING.md", "LD_PRELOAD="): "needs an extension that was built with a sanitizer",
}

# Blocks and files that belong to code which is not there yet. Each must fail today.
NOT_YET: set[tuple[str, str]] = set()
NOT_YET_PATHS: set[str] = set()

# --- what is run in another way ---

# Training takes minutes: one epoch of a small network on few patterns shows that a line works. The
# flags are added to each command, and the texts are replaced in the Python blocks.
SMALL_TRAINING = (
    "--epochs 1 --filters 1 --refine 1 --no-pictures --quiet --n-patterns 64 "
    "--set groups.n_train=8 --set groups.n_test=4"
)
SMALL_IN_PYTHON = {
    "epochs=5": "epochs=1",
    "train.intensity_scale)": "train.intensity_scale, n_filters_scale=1)",
    '"gs2_ideal"': """ptycho_fast.Scenario.preset("gs2_ideal").replace(
        {"scan.n_patterns": 64, "groups.n_train": 8, "groups.n_test": 4}
    )""",
}

# What a page calls "your" arrays and files.
SETUP = {
    "docs/coming-from.md": """
        import numpy as np
        import ptycho_fast

        made = ptycho_fast.simulate(
            ptycho_fast.Scenario.preset("gs2_ideal").replace(
                {
                    "scan.n_patterns": 20,
                    "optics.energy_ev": 8000,
                    "optics.detector_distance_m": 2,
                    "optics.detector_pixel_m": 75e-6,
                }
            )
        )
        made.save("product.h5", format="ptychodus")
        np.savez("in.npz", objectGuess=made.object, probeGuess=made.probe[0])
        transmission, probe, xy, angstrom_per_pixel = made.object, made.probe, made.positions, 1
    """,
    "docs/formats.md": """
        import h5py
        import numpy as np

        with h5py.File("reconstruction.ptyr", "w") as file:
            for what, shape in (("probe", (1, 64, 64)), ("obj", (1, 80, 90))):
                group = file.create_group(f"content/{what}/S00")
                group["data"], group["_psize"] = np.ones(shape, np.complex64), [6e-8, 6e-8]
    """,
    "docs/objects.md": """
        import os

        import numpy as np
        from PIL import Image

        os.mkdir("pictures")
        for i in range(3):
            picture = np.random.default_rng(i).integers(0, 256, (300, 280, 3), dtype=np.uint8)
            Image.fromarray(picture).save(f"pictures/{i}.png")
    """,
    "docs/ptychopinn.md": """
        import numpy as np

        np.savez(
            "export.npz",
            diff3d=np.ones((3, 16, 16), np.uint32),
            probeGuess=np.ones((2, 16, 16), complex),
            objectGuess=np.ones((40, 50), complex),
            xcoords=np.array([10.5, 12.5, 20.0]),
            ycoords=np.array([10.5, 12.5, 20.0]),
            bad_pixels=np.zeros((16, 16), bool),
        )
    """,
}
TOML_FILES = {
    "docs/scenarios.md": "mine.toml",
    "docs/campaigns.md": "zoo.toml",
    "docs/detectors.md": "counter.toml",
    "docs/objects.md": "leaves.toml",
    "docs/probes.md": "beam.toml",
    "docs/refinement.md": "field.toml",
    "docs/scans.md": "stage.toml",
}

# Lines of the command's summary whose numbers are the same on every machine.
SAME_EVERYWHERE = (
    "scenario",
    "patterns",
    "dose requested",
    "dose measured",
    "intensity scale s",
    "normalise gain g",
)

# --- pages into blocks ---


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int  # of its first line
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def needs_tensorflow(self) -> bool:
        if self.language != "python":
            return False
        page, text = self.page, self.text
        return page == "docs/training.md" or "ptycho_fast import tf" in text or "_fast.tf" in text

    @property
    def needs_torch(self) -> bool:
        return self.language == "python" and "DataLoader(" in self.text

    @property
    def pieces(self) -> list[str]:
        """What is run at once: the block, or each command of a shell block."""
        if self.language != "sh":
            return [self.text]
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        commands = [part for line in lines for part in line.split(" && ")]
        return [command for command in commands if command.strip()]

    def listed(self, piece: str) -> bool:
        return any(self.page == page and piece.startswith(how) for page, how in NOT_RUN)

    @property
    def not_yet(self) -> bool:
        return any(self.page == page and self.text.startswith(how) for page, how in NOT_YET)


def text_of(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def blocks_of(page: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = text_of(page)
    return [
        Block(page, text.count("\n", 0, found.start(2)) + 1, found[1], found[2])
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def is_run(command: str) -> bool:
    """Whether a shell command is one of the package's."""
    return command.startswith(("python -m ptycho_fast.", "ptycho-fast "))


def is_training(command: str) -> bool:
    return command.startswith(("python -m ptycho_fast.train", "ptycho-fast train"))


def prose_of(page: str) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
