"""``python tools/compare_scores.py RUN... --out FILE``: r against training time, for each run.

The runs are folders of ``ptycho-fast train`` with ``--score-every`` or ``--score-at``. Where all
have Fourier ring correlations, a second panel shows the finest detail that is right.
"""

import argparse
import json
from pathlib import Path

from ptycho_fast.tf.pictures import scores

# r on the test half of gs2_ideal of an object that knows no more than this of each patch.
LADDER = {"mean of each patch": 0.868, "mean of both twins": 0.930}


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    runs = {run.name: json.loads((run / "scores.json").read_text()) for run in options.runs}
    scores(runs, options.out, LADDER)


if __name__ == "__main__":
    main()
