"""The tool that compares fixed data with a stream: its commands, its table, what it makes again."""

import json
import runpy
from pathlib import Path

import pytest

from ptycho_fast import train

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(monkeypatch, tmp_path):
    """The tool, with a training in the place of the real one, and what was trained."""
    monkeypatch.chdir(tmp_path)
    tool = runpy.run_path(str(ROOT / "tools/endless_runs.py"))
    trained = []

    def instead(command, *, check):
        options = train.parser().parse_args(command[4:])
        trained.append((Path(options.out).name, options.resume))
        folder = Path(options.out)
        folder.mkdir(parents=True)
        spec = {"minutes": options.minutes}
        numbers = {"epochs": 3, "waiting_pct": 0.4, "making_data_pct_of_cpu": 1.2}
        metadata = {"request": {"recipe": {"spec": spec}}, "training": numbers}
        (folder / "run_metadata.json").write_text(json.dumps(metadata))
        curve = [
            {"seconds": 60 * m, "pearson_r": 0.9, "ratio": 1.0, "frc_crossing": 0.2}
            for m in options.score_at
        ]
        (folder / "scores.json").write_text(json.dumps(curve))
        for name in ("history.json", "summary.md"):
            (folder / name).write_text("")

    monkeypatch.setattr(tool["subprocess"], "run", instead)

    def run(*flags):
        monkeypatch.setattr("sys.argv", ["endless_runs.py", "--out", "kept", *flags])
        tool["main"]()

    return run, trained


def test_all_runs(tool, capsys):
    run, trained = tool
    run()
    names = [
        f"{data}_{probe}" for probe in ("symmetric", "defocused") for data in ("fixed", "endless")
    ]
    assert trained == [(name, False) for name in names]
    assert Path("kept/endless.png").stat().st_size
    table = Path("kept/endless.md").read_text()
    assert "| fixed_symmetric | 5.0 | 0.9000 | - | 0.2000 | - | 1.0000 |" in table
    assert "| endless_defocused | 3 | 0.4 % | 1.2 % |" in table
    run()  # nothing is left to do
    assert len(trained) == 4
    with pytest.raises(SystemExit, match=r"a run of 30\.0 minutes; --work names another folder"):
        run("--minutes", "5", "--score-at", "5")


def test_some_runs(tool, capsys):
    run, trained = tool
    run("--only", "endless_symmetric", "--minutes", "1", "--score-at", "0.5,1")
    assert trained == [("endless_symmetric", False)]
    assert [path.name for path in sorted(Path("kept").iterdir())] == [
        "endless.md", "endless.png", "endless_symmetric",
    ]  # fmt: skip
