"""``python tools/dose_error.py --out FOLDER``: error of refinement against dose, and its limit.

One scenario at several doses, refined from a flat start with the probe known, once with each loss;
the normalised error where two patterns or more light a pixel, after the last pass and after the
best one, beside `quality.photon_limit`, whose slope is -1/2. Writes ``dose.json`` and ``dose.png``.
Of gs2_ideal a smaller piece, with smaller patterns, unless ``--full`` is given.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import ptycho_fast
from ptycho_fast import quality
from ptycho_fast.tf import Refiner

SMALL = {"N": 32, "object.size": 120, "scan.n_patterns": 512}
LABELS = {"amplitude": "refined", "poisson": "refined, --loss poisson"}


def measured(
    scenario: ptycho_fast.Scenario, nphotons: float, loss: str, passes: int
) -> dict[str, Any]:
    """Errors and limit at one dose."""
    data = ptycho_fast.simulate(scenario, nphotons=nphotons)
    refiner = Refiner(data, part="test", passes=passes, loss=loss)
    seen = refiner.coverage > 1

    def error() -> float:
        return quality.normalised_error(refiner.result().object[seen], data.object[seen])

    start = error()
    errors = [error() for _ in refiner.passes()]
    lit = quality.illumination(data.positions[refiner.numbers], data.probe, data.object.shape)
    found = refiner.result()
    score = quality.score(found.object, data.object, seen)
    return {
        "nphotons": nphotons,
        "loss": loss,
        "ratio": score["ratio"],
        "pearson_r": score["pearson_r"],
        "error": errors[-1],
        "least_error": min(errors),
        "passes_to_least": int(np.argmin(errors)) + 1,
        "error_of_start": start,
        "limit": quality.photon_limit(data.object, data.intensity_scale**2 * lit, seen),
        "seconds": found.seconds,
    }


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--amplitude", default="1e3,1e5,1e7,1e9", metavar="DOSES")
    parser.add_argument("--poisson", default="1e3,1e5", metavar="DOSES")
    parser.add_argument("--passes", type=int, default=40)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    scenario = ptycho_fast.Scenario.preset("gs2_ideal")
    scenario = scenario if options.full else scenario.replace(SMALL)
    rows = []
    for loss in LABELS:
        for dose in getattr(options, loss).split(","):
            rows.append(measured(scenario, float(dose), loss, options.passes))
            print(json.dumps(rows[-1]), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "dose.json").write_text(json.dumps(rows, indent=2) + "\n")
    draw(rows, options.out / "dose.png")


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """The picture of the rows."""
    figure = Figure(figsize=(5.5, 3.8), layout="constrained")
    axis = figure.subplots()
    for loss, label in LABELS.items():
        of_loss = [row for row in rows if row["loss"] == loss]
        doses = [row["nphotons"] for row in of_loss]
        (line,) = axis.loglog(doses, [row["error"] for row in of_loss], "o-", label=label)
        least = [row["least_error"] for row in of_loss]
        axis.loglog(doses, least, "o--", color=line.get_color(), fillstyle="none")
    limits = sorted({(row["nphotons"], row["limit"]) for row in rows})
    axis.loglog(*zip(*limits, strict=True), ":", color="gray", label="photon limit")
    axis.plot([], [], "o--", color="black", fillstyle="none", label="after the best pass")
    axis.set(xlabel="photons in a mean pattern", ylabel="normalised error")
    axis.legend()
    figure.savefig(path, dpi=80, metadata={"Software": "ptycho_fast"})


if __name__ == "__main__":
    main()
