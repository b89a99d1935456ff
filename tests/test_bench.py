"""The benchmark runs, checks before it times, and keeps its figures."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_simulate(tmp_path):
    command = [sys.executable, "-m", "bench.simulate", "--quick", "--sizes", "32"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "figures.json")],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "native" in done.stdout or "left out: native" in done.stderr
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert {row["stage"] for row in rows} >= {"diffract", "sample_photons", "observe"}
    assert all(row["us_per_pattern"] > 0 for row in rows)


def test_the_yardstick_is_right():
    """Pure NumPy, the denominator of every ratio, agrees with the definition."""
    code = (
        "from bench import simulate as s, numpy_pipeline as n\n"
        "import numpy as np\n"
        "data = s.inputs(48, 4)\n"
        "arrays = [data[k] for k in ('obj', 'probe', 'positions')]\n"
        "rates = np.float32(data['scale'] ** 2) * n.diffract(*arrays)\n"
        "s.check(s.contenders(data, rates), data)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
