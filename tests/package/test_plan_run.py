"""The simulation of a run: its sums are right, and the page has what it prints."""

import dataclasses
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/plan-to-a-billion.md").read_text()
plan = runpy.run_path(str(ROOT / "tools/plan_run.py"))
Costs, Run, play = plan["Costs"], plan["Run"], plan["play"]

FREE = Costs(pattern_s=1e-4, pattern_bytes=1.0, setup_s=0.0, setup_bytes=0.0, task_s=0.0)
SMALL = Run(patterns=10**6, scan=10**6, shard=1000, workers=10, spread=0.0, lost_per_hour=0.0)


def test_the_page_has_what_the_tool_prints(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["plan_run.py"])
    plan["main"]()
    costs, table = capsys.readouterr().out.strip().split("\n\n")
    assert costs in PAGE
    assert table in PAGE


def test_where_nothing_else_takes_time_the_patterns_alone_do():
    result = play(SMALL, FREE)
    assert result["hours"] * 3600 == pytest.approx(10**6 * 1e-4 / 10)
    assert result["efficiency"] == pytest.approx(1)
    assert (result["shards"], result["tasks made again"]) == (1000, 0)
    assert result["tasks in the scheduler"] == 40


@pytest.mark.parametrize(
    ("run", "costs", "seconds"),
    [
        ({}, {"task_s": 0.1}, 1000 * 0.1),  # the scheduler decides
        ({"disk_bytes_s": 1e4}, {}, 10**6 / 1e4),  # the disk
        ({}, {"setup_s": 1e-4}, 100 + 10),  # the experiment, once in each worker
        ({"scan": 10**5}, {"setup_s": 1e-4}, 10 * 10 + 10),  # ten of them
    ],
)
def test_what_decides_takes_its_time(run, costs, seconds):
    result = play(dataclasses.replace(SMALL, **run), dataclasses.replace(FREE, **costs))
    assert result["hours"] * 3600 == pytest.approx(seconds, rel=0.02)


def test_lost_workers_cost_time_and_no_patterns():
    lost = play(dataclasses.replace(SMALL, lost_per_hour=360.0), FREE)
    whole = play(SMALL, FREE)
    assert lost["tasks made again"] > 0
    assert lost["hours"] > whole["hours"]
    assert lost["shards"] == whole["shards"]


@pytest.mark.slow
def test_costs_can_be_measured():
    costs = plan["measure"](patterns=1024, tasks=50)
    assert all(value > 0 for value in dataclasses.asdict(costs).values())
