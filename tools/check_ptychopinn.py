"""``python tools/check_ptychopinn.py CHECKOUT``: PtychoPINN's own loader and training on our files.

CHECKOUT is a folder of https://github.com/hoidn/PtychoPINN, and its requirements are installed
beside ptycho_fast; none of it comes with this package. For gridsize 1 and 2, each in a process of
its own because PtychoPINN's settings are global: simulate a small data set, open it with
`RawData.from_file`, group it, compare the groups with what we make of the same patterns, load them,
and train two steps. Every line that is printed has passed.
"""

import argparse
import contextlib
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import ptycho_fast
from ptycho_fast import extract_patches
from ptycho_fast.data.grouping import Groups, grouped

GROUPS, BATCH = 8, 4  # two steps


def main() -> int:
    """Run both checks; 0 if all that PtychoPINN should do it did."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path, help="folder with PtychoPINN's package ptycho in it")
    parser.add_argument("--gridsize", type=int, choices=[1, 2], help="only this one")
    parser.add_argument(
        "--epsilon",
        type=float,
        default=0.0,
        help="added to the intensity that PtychoPINN predicts, in its likelihood; against NaN",
    )
    options = parser.parse_args()
    if not (options.checkout / "ptycho/raw_data.py").is_file():
        parser.error(f"{options.checkout}: there is no ptycho/raw_data.py in it")
    if options.gridsize:
        check(options.checkout.resolve(), options.gridsize, options.epsilon)
        return 0
    codes = []
    for gridsize in (1, 2):
        command = [sys.executable, __file__, str(options.checkout), "--gridsize", str(gridsize)]
        command += ["--epsilon", str(options.epsilon)]
        codes.append(subprocess.run(command, check=False).returncode)
    return max(codes)


def check(checkout: Path, gridsize: int, epsilon: float) -> None:
    """All checks with one gridsize; what PtychoPINN prints is kept back unless it fails."""
    data = simulated(gridsize)
    sys.path.insert(0, str(checkout))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        data.save("small.npz")
        with kept_back():
            from ptycho import params
            from ptycho.raw_data import RawData

            params.cfg.update(
                N=data.N, gridsize=gridsize, nphotons=1e9, nepochs=1, batch_size=BATCH
            )
            raw = RawData.from_file("small.npz")
        say(gridsize, f"RawData.from_file opens the file, {len(raw.xcoords)} patterns")

        with kept_back():
            groups = raw.generate_grouped_data(data.N, K=4, nsamples=GROUPS, seed=42)
        say(gridsize, f"generate_grouped_data makes {len(groups['X_full'])} groups")
        say(gridsize, f"equal to ours for the same groups: {', '.join(equal(data, groups))}")

        with kept_back():
            from ptycho import loader

            largest = float(np.abs(groups["coords_relative"]).max())
            # Its canvas has to hold the groups, and no more: it is what a step takes time for.
            params.cfg["max_position_jitter"] = 2 * math.ceil(largest) + 2
            made = {"which": None, "create_split": False}
            container = loader.load(lambda: groups, raw.probeGuess, **made)
        say(gridsize, f"loader.load makes a container, X {tuple(container.X.shape)}")

        with kept_back():
            from ptycho import model, train_pinn

            if epsilon:
                published = model.negloglik
                model.negloglik = lambda true, predicted: published(true, predicted + epsilon)
            _, history = train_pinn.train(container)
        loss = history.history["loss"][-1]
        if math.isfinite(loss):
            say(gridsize, f"train_pinn.train makes {GROUPS // BATCH} steps, loss {loss:.6g}")
        else:
            say(gridsize, "train_pinn.train met NaN; see docs/ptychopinn.md")


def simulated(gridsize: int) -> ptycho_fast.Dataset:
    """A small version of a preset."""
    preset = ptycho_fast.Scenario.preset(f"gs{gridsize}_ideal")
    sizes = {"scan.n_patterns": 64, "object.size": 128, "groups.n_train": 8, "groups.n_test": 8}
    return ptycho_fast.simulate(preset.replace(sizes))


def equal(data: ptycho_fast.Dataset, theirs: dict[str, Any]) -> list[str]:
    """The keys whose arrays are ours to the bit, for the groups that PtychoPINN has drawn.

    At gridsize 1 its true patches ``Y`` are compared too, but for rounding; at gridsize 2 they are
    at mirrored offsets.

    Raises
    ------
    AssertionError
        An array differs.
    """
    members = np.asarray(theirs["nn_indices"])
    coords = data.positions[members].swapaxes(1, 2)[:, np.newaxis]
    mean = coords.mean(axis=3, keepdims=True)
    patches = extract_patches(data.object, data.positions, data.N)
    ours = grouped(data.amplitude(), Groups(members, coords, mean, mean - coords), patches=patches)
    keys = ["diffraction", "X_full", "coords_offsets", "coords_relative"]
    for key in keys:
        np.testing.assert_array_equal(np.asarray(theirs[key]), ours[key], err_msg=key)
    if members.shape[1] > 1:
        return keys
    np.testing.assert_allclose(np.asarray(theirs["Y"]), ours["Y"], rtol=1e-4, atol=1e-4)
    return [*keys, "Y but for rounding"]


def say(gridsize: int, text: str) -> None:
    """One line for something that has passed."""
    print(f"gridsize {gridsize}: {text}", flush=True)


@contextlib.contextmanager
def kept_back():
    """Within it standard output and error go to a file, which is shown if an error is raised."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with tempfile.TemporaryFile() as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            yield
        except BaseException:
            file.seek(0)
            os.write(kept[1], file.read()[-4000:])
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)


if __name__ == "__main__":
    sys.exit(main())
