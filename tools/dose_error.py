"""``python tools/dose_error.py --out FOLDER``: error of refinement against dose, and its limit.

One scenario at several doses, refined from a flat start with the probe known; the normalised error
where two patterns or more light a pixel, beside `quality.photon_limit`, whose slope is -1/2. Writes
``dose.json`` and ``dose.png``.
"""

import argparse
import json
from pathlib import Path

from matplotlib.figure import Figure

import ptycho_fast
from ptycho_fast import quality
from ptycho_fast.tf import refine


def measured(name: str, nphotons: float, passes: int) -> dict[str, float]:
    """Error and limit at one dose."""
    data = ptycho_fast.simulate(name, nphotons=nphotons)
    found = refine(data, part="test", passes=passes)
    _, test = data.split()
    seen = found.coverage > 1
    lit = quality.illumination(data.positions[test], data.probe, data.object.shape)
    score = quality.score(found.object, data.object, seen)
    return {
        "nphotons": nphotons,
        "ratio": score["ratio"],
        "pearson_r": score["pearson_r"],
        "error": quality.normalised_error(found.object[seen], data.object[seen]),
        "limit": quality.photon_limit(data.object, data.intensity_scale**2 * lit, seen),
        "seconds": found.seconds,
    }


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="gs2_ideal")
    parser.add_argument("--doses", default="1e3,1e4,1e5,1e6,1e7,1e8,1e9")
    parser.add_argument("--passes", type=int, default=60)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    for dose in options.doses.split(","):
        rows.append(measured(options.scenario, float(dose), options.passes))
        print(json.dumps(rows[-1]), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "dose.json").write_text(json.dumps(rows, indent=2) + "\n")
    figure = Figure(figsize=(5.5, 3.8), layout="constrained")
    axis = figure.subplots()
    doses = [row["nphotons"] for row in rows]
    axis.loglog(doses, [row["error"] for row in rows], "o-", label="refined")
    axis.loglog(doses, [row["limit"] for row in rows], ":", color="gray", label="photon limit")
    axis.set(xlabel="photons in a mean pattern", ylabel="normalised error")
    axis.legend()
    figure.savefig(options.out / "dose.png", dpi=80, metadata={"Software": "ptycho_fast"})


if __name__ == "__main__":
    main()
