"""``python tools/endless_runs.py --out FOLDER``: 512 fixed patterns against a stream without end.

Four trainings of equal time, on gs2_ideal: its 512 training patterns again and again, or new
objects, scans and photons in every pass; each with the symmetric probe and with a defocused one.
All four are judged by the network alone, on the same two objects that none of them sees. A run that
is finished is left as it is, and one that was interrupted goes on. FOLDER gets a folder for each
run, ``endless.png`` and the table ``endless.md``.

Nothing else should run meanwhile. ``--minutes 1 --score-at 0.5,1 --work runs/try`` tries it out.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptycho_fast.files import written_aside
from ptycho_fast.tf.pictures import scores

PROBES = {
    "symmetric": (),
    "defocused": ("--set", "probe.curvature=20", "--set", "name=gs2_defocused"),
}
# The fixed patterns are shown as the stream is: the same network, loss and rate.
ALIKE = (
    "--projections", "4", "--object-loss", "1", "--batch-size", "8", "--learning-rate", "2e-3",
)  # fmt: skip
DATA = {
    "fixed": ("--recipe", "full", *ALIKE, "--held-out", "2", "--refine", "0"),
    "endless": ("--endless", "--held-out", "2", "--refine", "0"),
}
KEPT = ("history.json", "run_metadata.json", "scores.json", "summary.md")
COLUMNS = {
    "r": "pearson_r",
    "normalised error": "normalised_error",
    "FRC above half a bit to": "frc_crossing",
    "FRC, mean": "frc_mean",
}


def main() -> None:
    """Make the runs that are missing, the picture and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="where what is kept goes")
    parser.add_argument("--work", type=Path, default=Path("runs/endless"), help="checkpoints")
    parser.add_argument("--minutes", type=float, default=30, help="of each training")
    parser.add_argument("--score-at", default="1,2,5,10,15,20,30", help="minutes")
    parser.add_argument("--only", nargs="+", metavar="RUN", choices=list(_runs()), help="of these")
    parser.add_argument("--train", default="", help="more flags for all runs: '--filters 1'")
    options = parser.parse_args()
    chosen = options.only or list(_runs())
    for name in chosen:
        length = ["--minutes", f"{options.minutes}", "--score-at", options.score_at]
        flags = [*_runs()[name], *length, *options.train.split()]
        train(options.work / name, options.minutes, flags)
        keep(options.work / name, options.out / name)
    made = [name for name in _runs() if (options.out / name / "scores.json").is_file()]
    curves = {name: _read(options.out / name / "scores.json") for name in made}
    scores(curves, options.out / "endless.png")
    shares = {name: _read(options.out / name / "run_metadata.json")["training"] for name in made}
    with written_aside(options.out / "endless.md", force=True) as file:
        file.write(table(curves, shares).encode())


def _runs() -> dict[str, tuple[str, ...]]:
    """Flags of each run by its name."""
    return {
        f"{data}_{probe}": ("gs2_ideal", *how, *what)
        for probe, what in PROBES.items()
        for data, how in DATA.items()
    }


def train(folder: Path, minutes: float, flags: Sequence[str]) -> None:
    """Begin a run, go on with it, or leave it where it is finished."""
    if (folder / "run_metadata.json").is_file():
        spec = _read(folder / "run_metadata.json")["request"]["recipe"]["spec"]
        if spec["minutes"] != minutes:
            sys.exit(f"{folder}: a run of {spec['minutes']} minutes; --work names another folder")
        return
    begun = ["--resume"] if (folder / "state.json").is_file() else ["--force"]
    command = [sys.executable, "-m", "ptycho_fast", "train", *flags, "--out", str(folder), *begun]
    sys.stdout.write(f"{' '.join(command[1:])}\n")
    sys.stdout.flush()
    subprocess.run(command, check=True)


def keep(folder: Path, kept: Path) -> None:
    """Copy the small files of a run."""
    kept.mkdir(parents=True, exist_ok=True)
    for name in (*KEPT, *(picture.name for picture in folder.glob("*.png"))):
        shutil.copyfile(folder / name, kept / name)


def table(
    curves: Mapping[str, Sequence[dict[str, Any]]], training: Mapping[str, dict[str, Any]]
) -> str:
    """Scores by run and time as Markdown, and what each run showed and waited for.

    Parameters
    ----------
    curves : mapping
        Scores by run, of ``scores.json``.
    training : mapping
        By run, the section of ``run_metadata.json``.
    """
    lines = [
        f"| run | minutes | {' | '.join(COLUMNS)} | ratio |",
        f"| --- | --- |{' --- |' * (len(COLUMNS) + 1)}",
    ]
    for name, values in curves.items():
        for one in values:
            cells = [f"{one[key]:.4f}" if key in one else "-" for key in COLUMNS.values()]
            minutes = f"{one['seconds'] / 60:.1f}"
            lines.append(f"| {name} | {minutes} | {' | '.join(cells)} | {one['ratio']:.4f} |")
    lines += ["", "| run | passes | waiting | CPU time for data |", "| --- | --- | --- | --- |"]
    for name, one in training.items():
        making = f"{one['making_data_pct_of_cpu']:.2g} %"
        lines.append(f"| {name} | {one['epochs']} | {one['waiting_pct']:.2g} % | {making} |")
    return "\n".join([*lines, ""])


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


if __name__ == "__main__":
    main()
