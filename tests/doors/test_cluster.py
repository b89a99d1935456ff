"""The same bytes from any number of processes, whichever of them are lost."""

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import cluster
from ptycho_fast.errors import DataWarning, ScenarioError
from ptycho_fast.files import locked_folder
from ptycho_fast.progress import StageClock
from ptycho_fast.scenario import Scenario
from ptycho_fast.simulate import main

distributed = pytest.importorskip("distributed")

SHARD = 64
SCENARIO = Scenario.preset("gs2_ideal").replace(
    {"N": 32, "object.size": 128, "scan.n_patterns": 1000, "dose.nphotons": 1e5}
)


def digest(path):
    """Of all files, their names included."""
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        total.update(str(file.relative_to(path)).encode() + file.read_bytes())
    return total.hexdigest()


def make(out, scenario=SCENARIO, **how):
    return cluster.run(scenario, out, **({"shard_patterns": SHARD} | how))


class Clock(StageClock):
    """Does something each time a shard is made, in the process that asks for them."""

    def __init__(self, action):
        super().__init__()
        self.action, self.steps = action, []

    def advance(self, steps):
        self.steps.append(steps)
        self.action(sum(1 for n in self.steps if n))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The data set as one process writes it, without shards made apart."""
    path = tmp_path_factory.mktemp("whole") / "set.zarr"
    ptycho_fast.simulate(SCENARIO).save(path, shard_patterns=SHARD)
    return digest(path)


# --- in one process ---


def test_shards_made_apart_are_the_file_of_one_process(tmp_path, whole):
    clock = Clock(lambda n: None)
    made = make(tmp_path / "set.zarr", clock=clock)
    assert digest(made.path) == whole
    assert [p.name for p in tmp_path.iterdir()] == ["set.zarr"]
    assert (made.n_patterns, made.shards, made.kept) == (1000, 16, 0)
    assert sum(clock.steps) == 1000
    assert list(made.seconds) == ["experiment", "patterns", "write"]
    with ptycho_fast.open(made.path) as data:
        assert data.provenance["dose"] == made.dose
        assert data.photons().mean() == made.dose["measured"]["mean"]


def test_hdf5_shards_made_apart_are_those_of_one_process(tmp_path):
    start = int(time.time())
    one, apart = (tmp_path / name for name in ("one", "apart"))
    one.mkdir()
    apart.mkdir()
    ptycho_fast.simulate(SCENARIO).save(one / "set.h5", shard_patterns=256)
    make(apart / "set.h5", shard_patterns=256)
    assert sorted(p.name for p in apart.iterdir()) == sorted(p.name for p in one.iterdir())
    assert digest(apart) == digest(one)
    held = (apart / "set.h5").read_bytes()
    seconds = range(start, int(time.time()) + 1)  # times in both would be equal within a second
    assert not any(second.to_bytes(4, "little") in held for second in seconds)
    (apart / "set.h5").unlink()
    with pytest.raises(FileExistsError, match=r"set-00000.h5: exists"):
        make(apart / "set.h5", shard_patterns=256)
    interrupted(apart / "set.h5", 1, shard_patterns=256, force=True)
    made = make(apart / "set.h5", shard_patterns=256, resume=True)
    assert made.kept >= 1
    assert digest(apart) == digest(one)


def interrupted(out, after=3, **how):
    """A run that is ended when so many shards are there."""

    def stop(number):
        if number == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        make(out, clock=Clock(stop), **how)
    assert "--resume goes on there" in caught.value.__notes__[-1]
    return out.with_name(f"{out.name}.part")


def test_a_run_that_was_ended_goes_on(tmp_path, whole):
    out = tmp_path / "set.zarr"
    part = interrupted(out)
    assert not out.exists()
    with pytest.raises(FileExistsError, match=r"set.zarr.part: is left .* resume=True"):
        make(out)
    numbers = sorted(int(p.stem) for p in (part / "records").iterdir())
    broken = part / "data/counts/c" / str(numbers[0]) / "0/0"
    broken.write_bytes(broken.read_bytes()[:-9])
    made = make(out, resume=True)
    assert made.kept == len(numbers) - 1 >= 2
    assert digest(out) == whole
    assert [p.name for p in tmp_path.iterdir()] == ["set.zarr"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scenario": SCENARIO.replace({"dose.nphotons": 2e5})}, "scenario.dose.nphotons: 2"),
        ({"shard_patterns": 128}, "options.shard_patterns: 128"),
        ({"compression": "zstd"}, "options.compression: 'zstd'"),
        ({"noise": False}, "how.noise: False"),
        ({"backend": "reference"}, "how.backend: 'reference'"),
    ],
)
def test_another_run_does_not_go_on_with_it(tmp_path, change, message):
    out = tmp_path / "set.zarr"
    interrupted(out, after=1)
    before = digest(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        make(out, resume=True, **change)
    assert "resume" not in "".join(getattr(caught.value, "__notes__", ()))
    assert digest(tmp_path) == before
    make(out, force=True)


def test_another_version_does_not_go_on_with_it(tmp_path, monkeypatch):
    out = tmp_path / "set.zarr"
    part = interrupted(out, after=1)
    run = json.loads((part / "run.json").read_text())
    (part / "run.json").write_text(json.dumps(run | {"version": "0.0.9"}))
    with pytest.raises(ValueError, match=r"version: '0.1.0' given, expected '0.0.9'"):
        make(out, resume=True)
    (part / "run.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="run.json: cannot be read"):
        make(out, resume=True)


def test_two_runs_do_not_write_to_one_folder(tmp_path):
    out = tmp_path / "set.zarr"
    part = interrupted(out, after=1)
    for how in ({"resume": True}, {"force": True}):
        with locked_folder(part), pytest.raises(BlockingIOError, match="another run"):
            make(out, **how)


def test_what_is_there_is_replaced_only_with_force(tmp_path, whole):
    out = tmp_path / "set.zarr"
    make(out, SCENARIO.replace({"scan.n_patterns": 10}))
    with pytest.raises(FileExistsError, match="exists, expected a new name"):
        make(out)
    make(out, force=True)
    assert digest(out) == whole


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"format": "pinn-amplitude"}, ValueError, "format: PtychoPINN NPZ.*shard by shard"),
        ({"cluster": "local"}, ValueError, "cluster: 'local' given, expected local:COUNT"),
        ({"cluster": "local:0"}, ValueError, "cluster: 'local:0'"),
        ({"cluster": "somewhere"}, ValueError, "cluster: 'somewhere'"),
        ({"cluster": "local:2", "client": 1}, ValueError, "both given"),
        ({"threads": 0}, ValueError, "threads: 0"),
        ({"alias": True}, TypeError, "alias: True given"),
        ({"compression": "rar"}, ValueError, "compression: 'rar'"),
        ({"backend": "abacus"}, ValueError, "abacus"),
        ({"scenario": "nowhere"}, ScenarioError, "nowhere"),
    ],
)
def test_wrong_arguments_leave_nothing(tmp_path, how, error, message):
    with pytest.raises(error, match=message):
        make(tmp_path / "set.zarr", **how)
    assert not list(tmp_path.iterdir())


def test_a_dark_data_set_is_said(tmp_path):
    with pytest.warns(DataWarning, match="no photon was detected"):
        make(tmp_path / "set.zarr", SCENARIO.replace({"dose.nphotons": 1e-9}))


def test_another_experiment_on_a_worker_is_refused(tmp_path):
    """As where a file that the scenario names is another one there."""
    np.save(tmp_path / "object.npy", np.full((128, 128), 1 + 0j, np.complex64))
    file = {"object.kind": "file", "object.file": str(tmp_path / "object.npy")}
    scenario = SCENARIO.replace(file)
    out = tmp_path / "set.zarr"
    interrupted(out, after=1, scenario=scenario)
    np.save(tmp_path / "object.npy", np.full((128, 128), 0.5 + 0j, np.complex64))
    with pytest.raises(ValueError, match="experiment: "):
        make(out, scenario=scenario, resume=True)


def test_a_worker_notices_that_a_file_has_changed_since_the_last_run(tmp_path):
    file = tmp_path / "object.npy"
    scenario = SCENARIO.replace({"object.kind": "file", "object.file": str(file)})
    out = tmp_path / "set.zarr"
    plan = cluster.Plan(
        scenario=scenario.to_dict(),
        how={"noise": None, "dtype": None, "backend": "auto", "device": None, "threads": 1},
        format="zarr",
        options={},
        folder=str(tmp_path),
        name=out.name,
        version=ptycho_fast.__version__,
    )
    plan.data.mkdir()
    first, second = {}, {}  # what two workers keep
    hashes = []
    for value in (1.0, 0.5):
        np.save(file, np.full((128, 128), value + 0j, np.complex64))
        about = cluster.describe(plan, first)
        now = plan.decided(about["backend"], about["experiment"])
        for store in (first, second):
            kept = store.get("simulator")
            dataset, _ = cluster._experiment(now, store)
            assert abs(dataset.object).max() == pytest.approx(value)
            assert (store["simulator"] is kept) == (store is first)  # not made a second time
        hashes.append(about["experiment"])
    assert hashes[0] != hashes[1]


# --- with a scheduler and workers in processes of their own ---


class Processes:
    """A scheduler and workers, as ``dask scheduler`` and ``dask worker`` start them."""

    def __init__(self, folder):
        self.folder, self.started = folder, []
        self.file = folder / "scheduler.json"
        flags = ["--port", "0", "--no-show", "--no-jupyter", "--dashboard-address", "127.0.0.1:0"]
        self.start("scheduler", *flags)

    def start(self, kind, *flags):
        code = f"from distributed.cli.dask_{kind} import main; main()"
        common = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(self.file)]
        # Nothing of theirs outlives a test that fails: they end with the scheduler, and it with us.
        log = (self.folder / f"{kind}-{len(self.started)}.log").open("wb")
        with log:
            one = subprocess.Popen(
                [sys.executable, "-c", code, *common, *flags],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )
        self.started.append(one)
        return one

    def worker(self):
        flags = ["--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--death-timeout", "300"]
        return self.start("worker", *flags, "--local-directory", str(self.folder))

    def end(self):
        for one in self.started:
            one.kill()
            one.wait()


def until(true, seconds=300):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    there = Processes(tmp_path_factory.mktemp("processes"))
    try:
        there.worker()
        until(there.file.exists)
        yield there
    finally:
        there.end()


@pytest.fixture
def client(processes):
    """A client; what its comms say when a worker is killed is no fault."""
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    with distributed.Client(scheduler_file=str(processes.file)) as client:
        client.wait_for_workers(1, timeout=300)
        yield client
    logger.setLevel(level)


def test_a_killed_worker_changes_no_byte(tmp_path, processes, client, whole):
    before = set(client.nthreads())
    doomed = processes.worker()
    client.wait_for_workers(2, timeout=300)
    (address,) = set(client.nthreads()) - before
    lost = []

    def kill(number):
        if number >= 3 and not lost and (at_work := client.processing()[address]):
            lost.extend(at_work)
            doomed.send_signal(signal.SIGKILL)
            doomed.wait()

    made = make(tmp_path / "set.zarr", client=client, clock=Clock(kill))
    assert lost
    assert doomed.returncode == -signal.SIGKILL
    assert made.kept == 0
    assert digest(made.path) == whole
    until(lambda: len(client.nthreads()) == 1)


def test_a_run_on_a_cluster_that_was_ended_goes_on(tmp_path, client, whole):
    out = tmp_path / "set.zarr"
    interrupted(out, client=client)
    made = make(out, client=client, resume=True)
    assert made.kept >= 3
    assert digest(out) == whole
    # What was given out when the first run ended has not stayed with the scheduler.
    until(lambda: not any(client.processing().values()))


def test_little_goes_through_the_scheduler(tmp_path, client):
    """Tasks and results are small, and few at a time, whatever the data set."""
    seen = []

    def look(number):
        seen.append(sum(map(len, client.processing().values())))

    make(tmp_path / "set.zarr", client=client, clock=Clock(look), shard_patterns=16)
    assert 0 < max(seen) <= 4
    described = ptycho_fast.Scenario.preset("gs2_ideal").to_dict()
    plan = cluster.Plan(described, {"threads": 1}, "zarr", {}, "/data/set.part", "set", "0")
    assert len(distributed.protocol.pickle.dumps(plan)) < 2**13


def test_another_client_does_not_disturb(tmp_path, processes, client, whole):
    """Dask takes the client that was made last where none is named."""
    with distributed.Client(scheduler_file=str(processes.file)):
        made = make(tmp_path / "set.zarr", client=client)
    assert digest(made.path) == whole


def test_the_command_makes_it_too(tmp_path, processes, client, whole, capsys):
    address = json.loads(processes.file.read_text())["address"]
    out = tmp_path / "set.zarr"
    (tmp_path / "it.toml").write_text(SCENARIO.to_toml())
    flags = ["--cluster", address, "--shard-patterns", str(SHARD), "--out", str(out), "--json"]
    assert main([str(tmp_path / "it.toml"), *flags]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["patterns"], said["shards"], said["kept"]) == (1000, 16, 0)
    assert digest(out) == whole
    interrupted(out, client=client, force=True)
    assert main([str(tmp_path / "it.toml"), *flags[:-1], "--force", "--resume"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "shards" in {line.split()[0] for line in lines}
    assert digest(out) == whole
    (tmp_path / "ended.zarr.part").mkdir()
    flags = ["--cluster", address, "--out", str(tmp_path / "ended.zarr")]
    assert main([str(tmp_path / "it.toml"), *flags]) == 1
    assert "expected --resume to go on with it, or --force to begin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cluster", "local"], "cluster: 'local' given, expected local:COUNT"),
        (["--cluster", "local:2", "--count", "3"], "neither --count nor --ladder"),
        (["--cluster", "local:2", "--preview", "a.png"], "--preview: given"),
        (["--cluster", "local:2", "--dry-run"], "--dry-run: given"),
        (["--cluster", "local:2", "--out", "a.npz"], "format: PtychoPINN NPZ"),
    ],
)
def test_the_command_refuses_before_the_work(tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    assert main(["gs2_ideal", "--out", "a.zarr", *flags]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_workers_of_another_version_are_named(tmp_path, client, monkeypatch):
    monkeypatch.setattr(cluster, "__version__", "9.9.9")
    with pytest.raises(
        RuntimeError, match=r"worker tcp://127.0.0.1:\d+: ptycho_fast: 0.1.0 given, expected 9.9.9"
    ):
        make(tmp_path / "set.zarr", client=client)
    assert not list(tmp_path.iterdir())


def test_workers_that_do_not_see_the_folder_are_named(tmp_path, client, monkeypatch):
    look = cluster._looking_around
    monkeypatch.setattr(cluster, "_looking_around", lambda path: look(f"{path}-elsewhere"))
    with pytest.raises(FileNotFoundError, match=r"worker tcp://.*set.zarr.part, .* share"):
        make(tmp_path / "set.zarr", client=client)
    assert not list(tmp_path.iterdir())


def test_errors_of_a_worker_arrive_as_they_are(tmp_path, client):
    too_bright = SCENARIO.replace({"dose.nphotons": 1e18})
    with pytest.raises(ScenarioError, match="dose.nphotons"):
        make(tmp_path / "set.zarr", too_bright, client=client)
    assert not list(tmp_path.iterdir())


def test_no_scheduler_is_an_error_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_WAIT", 0.5)
    with pytest.raises(RuntimeError, match="tcp://127.0.0.1:1: no scheduler answers"):
        make(tmp_path / "set.zarr", cluster="tcp://127.0.0.1:1")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_processes_of_this_machine(tmp_path, whole):
    made = make(tmp_path / "set.zarr", cluster="local:2")
    assert digest(made.path) == whole
