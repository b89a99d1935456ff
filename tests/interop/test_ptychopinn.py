"""PtychoPINN's own loader and two training steps on our files, where there is a checkout of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools/check_ptychopinn.py"
CHECKOUT = os.environ.get("PTYCHOPINN")


@pytest.mark.skipif(not CHECKOUT, reason="PTYCHOPINN names no checkout of PtychoPINN")
@pytest.mark.parametrize("gridsize", [1, 2])
def test_loader_and_training(gridsize):
    command = [
        sys.executable,
        str(TOOL),
        CHECKOUT,
        "--gridsize",
        str(gridsize),
        "--epsilon",
        "1e-6",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert "train_pinn.train makes 2 steps" in lines[-1]


def test_no_checkout(tmp_path):
    command = [sys.executable, str(TOOL), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no ptycho/raw_data.py in it" in done.stderr
