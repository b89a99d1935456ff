"""Parts of the benchmark: rivals give the right answer, limits and warnings are what they say."""

import importlib.util
import io
import itertools
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from ptycho_fast.machine import disturbances

ROOT = Path(__file__).parents[2]
QUIET = {"load": lambda: (0.1, 0.1, 0.1)}


def bench(name):
    """A module of the benchmark, which is not installed; the installed package stays first."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    return importlib.import_module(f"bench.{name}")


@pytest.mark.parametrize("name", ["Generator.poisson", "MKL poisson", "ptycho-fm noise"])
@pytest.mark.parametrize("rate", [0.01, 0.3, 5.0, 26.0, 40.0, 300.0, 1e4])
@pytest.mark.parametrize("threads", [1, 2])
def test_rivals_draw_from_the_poisson_distribution(name, rate, threads):
    """Mean, variance and frequencies against the exact ones, with fixed seeds."""
    there, missing = bench("samplers").make_samplers(threads, [name])
    if missing:
        pytest.skip(missing[name])
    rates = np.full((8, 128, 128), rate, np.float32)
    counts = np.empty(rates.shape, np.uint32)
    there[name](rates, counts)
    exact, n, x = stats.poisson(float(rates[0, 0, 0])), counts.size, counts.ravel().astype(float)
    mean = exact.mean()
    assert abs(x.mean() - mean) < 5 * math.sqrt(mean / n)
    assert abs(((x - mean) ** 2).mean() - mean) < 5 * math.sqrt((mean + 2 * mean**2) / n)
    inner = np.unique(exact.ppf(np.linspace(0.0005, 0.9995, 65)))  # counts up to each are one class
    expected = n * np.diff([0, *exact.cdf(inner), 1])
    found = np.bincount(np.searchsorted(inner, x), minlength=len(expected))
    some = expected > 0
    assert stats.chisquare(found[some], expected[some]).pvalue > 1e-4
    assert found[~some].sum() == 0


def test_a_sample_of_ptycho_fm_has_its_own_generator():
    """Its counts follow from one seed and its number, as those of a run that goes on."""
    there, _ = bench("samplers").make_samplers(1, ["ptycho-fm noise"])
    rates = np.random.default_rng(0).uniform(0, 9, (3, 8, 8)).astype(np.float32)
    counts = np.empty(rates.shape, np.uint32)
    there["ptycho-fm noise"](rates, counts)
    np.testing.assert_array_equal(counts[2], np.random.default_rng(1 + 2).poisson(rates[2]))


def test_a_rival_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "mkl_random", None)
    there, missing = bench("samplers").make_samplers(1)
    assert "MKL poisson" not in there
    assert "mkl_random" in missing["MKL poisson"]


def test_the_loop_of_ptychodus_is_the_definition_at_whole_pixels():
    """In double precision, against the sum over modes written out."""
    rng = np.random.default_rng(0)
    obj = rng.normal(size=(40, 44)) + 1j * rng.normal(size=(40, 44))
    probe = rng.normal(size=(2, 12, 12)) + 1j * rng.normal(size=(2, 12, 12))
    loop = bench("serial_loop").SerialLoopPipeline(obj, probe)
    made = loop.diffract(np.array([[20.0, 17.0]]), np.empty((1, 12, 12)))[0]
    n = np.arange(12) - 6
    fourier = np.exp(-2j * np.pi * np.outer(n, n) / 12)
    waves = fourier @ (probe * obj[11:23, 14:26]) @ fourier / 12
    np.testing.assert_allclose(made, (np.abs(waves) ** 2).sum(axis=0), rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_the_script_makes_the_patterns_of_the_arrays(tmp_path, suffix):
    end_to_end, script = bench("end_to_end"), bench("numpy_script")
    arrays, out = tmp_path / "arrays.npz", tmp_path / f"out{suffix}"
    end_to_end.write_arrays(arrays, 16, 70)
    script.main(str(arrays), str(end_to_end.NPHOTONS), str(out))
    end_to_end.check(end_to_end.SCRIPT, arrays, out)
    script.main(str(arrays), str(1.02 * end_to_end.NPHOTONS), str(out))
    with pytest.raises(AssertionError, match="photons, not"):
        end_to_end.check(end_to_end.SCRIPT, arrays, out)


def clock(*laps):
    """Seconds, if loops take these times in turn."""
    now, odd, times = 0.0, False, itertools.cycle(laps)

    def read():
        nonlocal now, odd
        now, odd = now + (next(times) if odd else 0), not odd
        return now

    return read


def test_a_steady_clock_is_a_quiet_machine():
    assert disturbances(**QUIET, clock=clock(1.0)) == []
    assert disturbances(**QUIET, clock=clock(1.0, 1.2)) == []


def test_loops_that_others_interrupt_are_told():
    """One in twenty takes eleven times as long: half as long again in the mean."""
    (sign,) = disturbances(**QUIET, clock=clock(*[1.0] * 19, 11.0))
    assert sign == "a loop takes 1.50 times its own minimum"


def test_the_load_of_others_is_told_without_ones_own():
    load = {"load": lambda: (2.1, 0.0, 0.0), "clock": clock(1.0)}
    assert disturbances(1.9, **load) == []
    (sign,) = disturbances(1.0, **load)
    assert sign == "other processes want 1.1 processors, on the average over the last minute"


def test_a_busy_machine_is_said_and_kept(monkeypatch):
    machine, said = bench("machine"), []
    signs = iter([["it hums"], []])
    monkeypatch.setattr(machine, "disturbances", lambda own: next(signs))
    facts = machine.Watch(said.append).end()
    assert said[0] == "the machine is busy, before the run: it hums"
    assert facts["busy"] == ["before the run: it hums"]
    assert facts["seconds"] > 0
    assert set(facts["load_average"]) == {"before", "after"}


@given(
    bytes=st.floats(1, 1e9), operations=st.floats(1, 1e9), copy=st.floats(1, 1e3),
    arithmetic=st.floats(1, 1e3), slower=st.floats(1, 1e3),
)  # fmt: skip
def test_a_limit_is_the_later_of_memory_and_arithmetic(bytes, operations, copy, arithmetic, slower):
    memory, computing = 1e-9 * bytes / copy, 1e-9 * operations / arithmetic
    at_best = max(memory, computing)
    row = bench("measure").limits(
        {"bytes": bytes, "operations": operations},
        slower * at_best,
        {"copy_gb_s": copy, "gflop_s": arithmetic},
    )
    assert row["limit_seconds"] == pytest.approx(at_best)
    assert row["of_limit"] == pytest.approx(1 / slower)
    later = memory if row["limited_by"] == "memory" else computing
    assert later == pytest.approx(at_best)


def test_operations_of_a_transform_are_those_of_split_radix():
    """64 points take 1160 (as counted by Sorensen, Heideman and Burrus, 1986)."""
    measure, contenders = bench("measure"), bench("contenders")
    case = contenders.make_case(64, 1)
    noise_free = measure.account(case, "diffract")["operations"]
    patches = measure.account(case, "extract_patches")["operations"]
    assert noise_free - patches - 10 * 64**2 == 2 * 64 * 1160


def test_a_target_is_a_share_of_the_limit():
    """Half of the limit is reached; twice as many times as measured would ask for all of it."""
    row = bench("targets").verdict("times NumPy", "N = 64", (20, None), 10.0, 0.5)
    assert not row["met"]
    assert row["required_of_limit"] == 1.0


def photon_row(name, ns, mean=10.0):
    shares = {"limit_seconds": 1e-9, "of_limit": 1 / ns}
    seconds = [ns * 1e-9] * 3
    return {"rates": "constant", "mean": mean, "contender": name, "ns_per_pixel": ns,
            "seconds": seconds} | shares  # fmt: skip


def test_tables_show_times_ratios_limits_and_verdicts():
    report, targets, mine = bench("report"), bench("targets"), bench("contenders").baseline()
    rows = [photon_row(mine, 2.0), photon_row("Generator.poisson", 50.0)]
    console = Console(file=io.StringIO(), width=160)
    report.poisson(console, rows)
    report.targets(console, list(targets.judge_photons(rows)))
    text = " ".join(console.file.getvalue().split())
    assert "constant 10 2.00 1.00x 50.0 25.0x 1.00 0.50x" in text
    assert "photons, times Generator.poisson mean 10 20 25.0 met 50% 40%" in text
    assert "1 of 1 met" in text


def test_pieces_of_a_run_become_one():
    """Sides that were measured again replace the earlier ones; a part that was not stays.

    Nothing is told of pieces of which no number is left, or of a rival that is there by now.
    """
    add = bench("simulate").add
    old, new = ({"N": 64, "us": us, "contender": "a"} for us in (1, 2))
    lists = {"scaling": [], "objects": []}

    def piece(part, *sizes, busy=()):
        return {"parts": [part], "sizes": list(sizes), "busy": list(busy)}

    gone = piece("patterns", 64, busy=["it roared"])
    stays = piece("photons", 64, 128, 256, busy=["it hums"])
    partly, latest = piece("patterns", 64, 128), piece("patterns", 64, busy=["it purrs"])
    earlier = lists | {
        "rows": [old, {"N": 128}], "poisson": [{"mean": 1}],
        "left_out": {"a": "not there", "b": "nor this"}, "pieces": [gone, stays, partly],
    }  # fmt: skip
    figures = lists | {"rows": [new], "poisson": [], "left_out": {}, "pieces": [latest]}
    add(figures, earlier)
    assert figures["rows"] == [{"N": 128}, new]
    assert figures["poisson"] == [{"mean": 1}]
    assert figures["pieces"] == [stays, partly, latest]
    assert figures["busy"] == ["it hums", "it purrs"]
    assert figures["left_out"] == {"b": "nor this"}


def test_a_kept_run_is_found_again(tmp_path, monkeypatch):
    report = bench("report")
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    facts = {"processor": "A (R) B", "date": "2026-01-02"}
    assert report.kept("simulate", facts) == {}
    report.write({"machine": facts, "rows": []}, "simulate", None, keep=True)
    assert [file.name for file in tmp_path.iterdir()] == ["simulate_a-r-b_2026-01-02.json"]
    assert report.kept("simulate", facts)["rows"] == []


def test_a_kept_run_in_pieces_is_made_of_commands_that_exist(capfd, monkeypatch):
    """Each gets as far as the watch of the machine; those of `simulate` add up to all of it."""
    keep, simulate = bench("keep"), bench("simulate")
    monkeypatch.setattr(sys, "argv", ["keep", "--through", "echo"])
    assert keep.main() == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == len(keep.PIECES)
    monkeypatch.setattr(bench("machine"), "describe", lambda: next(iter(())))
    made, names = set(), set()
    for line in lines:
        name, *words = line.split(" -m bench.")[1].split()
        assert words[-1] == "--keep"
        names.add(name)
        monkeypatch.setattr(sys, "argv", [name, *words])
        with pytest.raises(StopIteration):
            bench(name).main()
        if name == "simulate":
            options = simulate.parse()
            assert options.add
            made |= simulate.measured(vars(options))
    by_side = {(part, N) for part in ("patterns", "threads") for N in (64, 128, 256)}
    assert made == by_side | {("photons", None), ("objects", None)}
    assert names == {"simulate", "errors", "end_to_end", "calls", "sizes"}


def test_a_piece_that_fails_is_named(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["keep", "--through", "false", "--only", "5", "6"])
    assert bench("keep").main() == 1
    assert "failed pieces: 5 6" in capsys.readouterr().err


@pytest.fixture
def figures(monkeypatch, tmp_path):
    """The module that makes figures and tables of the site, with a folder of kept runs."""
    spec = importlib.util.spec_from_file_location("figures", ROOT / "docs" / "figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    return module


def test_pages_show_the_newest_run_and_name_its_file(figures, tmp_path):
    assert "No run is kept yet" in next(figures.targets())
    verdict = bench("targets").verdict
    for day, measured in (("2026-01-02", 1.0), ("2025-12-31", 2.0)):
        facts = {"processor": "P", "cores": 2, "versions": {"numpy": "2.4"}}
        kept = {
            "machine": facts,
            "load_average": {"before": [0.1]},
            "busy": ["before the run: it hums"],
            "left_out": {"numba + MKL": "No module named 'mkl_fft'"},
            "targets": [verdict("times NumPy", "N = 64", (2, None), measured, 0.5)],
            "end_to_end": [
                {"N": 64, "patterns": 10, "file": ".h5", "contender": name, "seconds": seconds,
                 "file_bytes": 2e6, "limit_seconds": 0.5}
                for name, seconds in (("ours", [1.0, 2.0, 9.0]), ("script", [8.0]))
            ],
        }  # fmt: skip
        for what in ("simulate", "end_to_end"):
            (tmp_path / f"{what}_x_{day}.json").write_text(json.dumps(kept))
    told = "\n".join(figures.targets())
    assert "`bench/results/simulate_x_2026-01-02.json`: P, 2 cores, numpy 2.4" in told
    assert "Busy before the run: it hums." in told
    assert "Left out: numba + MKL (No module named 'mkl_fft')." in told
    assert "| times NumPy | N = 64 | 2 | 1 | **not met** | 50% | 100% |" in told
    told = "\n".join(figures.end_to_end())
    assert "| .h5 | 64 | 10 | script | 8.00 | 4.0 | 2.0 | 0.50 |" in told
