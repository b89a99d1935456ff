"""Files made in one motion: whole or not at all, whoever else writes, however the run ends."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from ptycho_fast import files
from ptycho_fast.files import check_target, check_targets, file_state, same_file, written_aside


def write(path, text, *, force=False, meanwhile=None):
    """Write a file; `meanwhile` is called before it is in its place."""
    with written_aside(path, force=force) as file:
        file.write(text.encode())
        if meanwhile:
            meanwhile()


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def at_once(*calls):
    """Run calls in threads that start together; what each returned or raised."""
    barrier, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(i):
        barrier.wait()
        try:
            results[i] = calls[i]()
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# --- several writers ---


@pytest.mark.parametrize("links", [True, False])
def test_without_force_exactly_one_writer_wins(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(files.os, "link", no_links)
    for number in range(60):
        path = tmp_path / f"{number}.npz"
        texts = ["a" * 5000, "b" * 5000, "c" * 5000]
        results = at_once(*(lambda text=t, to=path: write(to, text) for t in texts))
        losers = [r for r in results if r is not None]
        assert [type(r) for r in losers] == [FileExistsError] * 2
        assert path.read_text() == texts[results.index(None)]
    assert len(names(tmp_path)) == 60


def test_with_force_a_whole_file_is_always_there(tmp_path):
    path = tmp_path / "set.npz"
    texts = [letter * 50_000 for letter in "abc"]
    write(path, texts[0])

    def rewrite(text):
        for _ in range(30):
            write(path, text, force=True)

    def read():
        seen = {path.read_text() for _ in range(300)}
        assert seen <= set(texts)

    assert at_once(*(lambda t=t: rewrite(t) for t in texts), read) == [None] * 4
    assert names(tmp_path) == ["set.npz"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    path = tmp_path / "set.npz"
    with pytest.raises(FileExistsError, match="exists"):
        write(path, "ours", meanwhile=lambda: path.write_text("theirs"))
    assert path.read_text() == "theirs"
    assert names(tmp_path) == ["set.npz"]


def no_links(*args, **kwargs):
    raise OSError(errno.EPERM, "Operation not permitted")


def test_without_hard_links_a_failure_takes_the_claim_back(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files.os, "link", no_links)
    monkeypatch.setattr(files.Path, "replace", full)
    with pytest.raises(OSError, match="Input/output"):
        write(tmp_path / "set.npz", "ours")
    assert names(tmp_path) == []


# --- ends of all kinds ---


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError])
def test_whatever_is_raised_nothing_is_left(tmp_path, error):
    path = tmp_path / "set.npz"
    path.write_text("old")

    def end():
        raise error

    with pytest.raises(error):
        write(path, "new", force=True, meanwhile=end)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["set.npz"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_an_error_of_the_disk_names_the_file(tmp_path, number):
    """A write has no name of its own, and HDF5 has only a text."""
    plain = OSError(number, os.strerror(number))
    of_hdf5 = RuntimeError(f"Can't write data (file write failed: errno = {number}, error message)")
    for path, error in ((tmp_path / "a.npz", plain), (tmp_path / "a.h5", of_hdf5)):
        with (
            pytest.raises(OSError, match=os.strerror(number)) as caught,
            written_aside(path, force=False),
        ):
            raise error
        assert (caught.value.errno, caught.value.filename) == (number, str(path))
    folder = tmp_path / "a.zarr"
    with (
        pytest.raises(OSError, match="a.zarr"),
        files.folder_aside(folder, force=False, marker="zarr.json"),
    ):
        raise OSError(number, os.strerror(number))
    assert names(tmp_path) == []


def test_other_errors_are_left_as_they_are(tmp_path):
    error = OSError(errno.EACCES, "Permission denied")
    with pytest.raises(PermissionError) as caught, written_aside(tmp_path / "a", force=False):
        raise error
    assert caught.value is error


def test_an_interrupt_while_the_file_is_synced(tmp_path, monkeypatch):
    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "set.npz", "new")
    assert names(tmp_path) == []


def test_the_working_folder_may_change_meanwhile(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    write("set.npz", "new", meanwhile=lambda: os.chdir("elsewhere"))
    assert names(tmp_path) == ["elsewhere", "set.npz"]
    assert names(tmp_path / "elsewhere") == []


def test_file_and_folder_are_synced(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        files.os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}"))
    )
    write(tmp_path / "set.npz", "new")
    part, folder = synced
    assert part.endswith(".part")
    assert folder == str(tmp_path)


@pytest.fixture
def other_writer(tmp_path):
    """A process in the middle of writing a file in the folder."""
    code = (
        "import sys, time\n"
        "from ptycho_fast.files import written_aside\n"
        "with written_aside(sys.argv[1], force=False) as file:\n"
        "    file.write(b'theirs'); file.flush()\n"
        "    print('writing', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "theirs.npz")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.communicate()


def test_the_part_of_a_killed_run_is_removed_by_the_next(tmp_path, other_writer):
    other_writer.send_signal(signal.SIGKILL)
    other_writer.wait()
    (part,) = names(tmp_path)
    assert part.endswith(".part")
    write(tmp_path / "theirs.npz", "ours")
    assert names(tmp_path) == ["theirs.npz"]


def test_the_part_of_a_live_run_is_left_alone(tmp_path, other_writer):
    write(tmp_path / "ours.npz", "ours")
    assert len(names(tmp_path)) == 2
    other_writer.communicate("")
    assert other_writer.returncode == 0
    assert names(tmp_path) == ["ours.npz", "theirs.npz"]
    assert (tmp_path / "theirs.npz").read_text() == "theirs"


def test_the_part_of_another_machine_is_left_for_a_week(tmp_path):
    part = tmp_path / f".ptycho_fast-00000000-{'1' * 16}.part"
    part.write_text("half")
    write(tmp_path / "a.npz", "ours")
    assert part.exists()
    week_ago = part.stat().st_mtime - 8 * 24 * 3600
    os.utime(part, (week_ago, week_ago))
    write(tmp_path / "b.npz", "ours")
    assert not part.exists()


def test_parts_are_left_where_locks_are_not_supported(tmp_path, monkeypatch):
    part = tmp_path / files._part_name()
    part.write_text("half")

    def unsupported(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr(files.fcntl, "flock", unsupported)
        write(tmp_path / "a.npz", "ours")
    assert part.exists()
    write(tmp_path / "b.npz", "ours")
    assert names(tmp_path) == ["a.npz", "b.npz"]


def test_only_parts_are_removed(tmp_path):
    others = [".set.npz.1.part", ".ptycho_fast-note.part", "data.part"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / "folder.part").mkdir()
    (tmp_path / "precious").write_text("kept")
    (tmp_path / files._part_name()).symlink_to(tmp_path / "precious")
    before = names(tmp_path)
    write(tmp_path / "set.npz", "ours")
    assert names(tmp_path) == sorted([*before, "set.npz"])


def test_a_part_that_was_tidied_away_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    lock, seen = files.lock, []

    def late(descriptor):
        if not seen:
            seen.append(descriptor)
            next(tmp_path.iterdir()).unlink()
        return lock(descriptor)

    monkeypatch.setattr(files, "lock", late)
    write(tmp_path / "set.npz", "ours")
    assert names(tmp_path) == ["set.npz"]


# --- what can be written to ---


def test_targets_that_cannot_be(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder, expected the path of a file"):
        check_target(tmp_path, force=True)
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        check_target(tmp_path / "nowhere" / "set.npz", force=False)
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match="file does not exist"):
        check_target(tmp_path / "file" / "set.npz", force=False)
    with pytest.raises(FileExistsError, match="file: exists, expected a new name, or force=True"):
        check_target(tmp_path / "file", force=False)


@pytest.mark.parametrize("force", [True, False])
def test_only_regular_files_are_replaced(tmp_path, monkeypatch, force):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name, kind in (("fifo", "a FIFO"), ("socket", "a socket"), ("/dev/null", "a device")):
            with pytest.raises(FileExistsError, match=f"{name}: is {kind}, expected a regular"):
                write(name, "data", force=force)
    assert names(tmp_path) == ["fifo", "socket"]


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path):
    (tmp_path / "far").mkdir()
    real, link = tmp_path / "far" / "real.npz", tmp_path / "link.npz"
    real.write_text("old")
    link.symlink_to("far/real.npz")
    with pytest.raises(FileExistsError, match="link.npz: exists"):
        write(link, "new")
    assert check_target(link, force=True) == real
    write(link, "new", force=True)
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert names(tmp_path / "far") == ["real.npz"]


@pytest.mark.parametrize("force", [True, False])
def test_dangling_links_are_refused(tmp_path, force):
    link = tmp_path / "link.npz"
    for to in ("gone.npz", "link.npz"):  # the second points to itself
        link.symlink_to(to)
        with pytest.raises(FileExistsError, match="link.npz: is a symbolic link to .*not exist"):
            write(link, "new", force=force)
        link.unlink()
    assert names(tmp_path) == []


def test_long_names(tmp_path):
    write(tmp_path / f"{'a' * 251}.npz", "as long as can be")
    with pytest.raises(
        ValueError, match=r"aaa\.\.\.: a name of 256 bytes .*expected a shorter one"
    ):
        check_target(tmp_path / f"{'a' * 252}.npz", force=False)
    folder = tmp_path
    while len(str(folder)) < 4070:
        folder /= "f" * min(200, 4079 - len(str(folder)))
    parents = [folder, *folder.parents]
    for parent in reversed(parents[: parents.index(tmp_path)]):
        parent.mkdir()
    with pytest.raises(ValueError, match="in a path of 40.. given, expected a shorter one"):
        check_target(folder / "s.npz", force=False)  # fits, its part does not


def test_two_outputs_are_two_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.npz").write_text("old")
    Path("link.npz").symlink_to("a.npz")
    os.link("a.npz", "hard.npz")
    Path("here").symlink_to(".")
    for other in ("a.npz", "./a.npz", tmp_path / "a.npz", "link.npz", "hard.npz", "here/a.npz"):
        with pytest.raises(ValueError, match="the same file twice given"):
            check_targets("a.npz", other, force=True)
    with pytest.raises(ValueError, match=r"new.npz, here/new.npz: the same file twice"):
        check_targets("new.npz", "here/new.npz", force=False)
    assert check_targets("a.npz", "b.npz", force=True) == [Path("a.npz"), Path("b.npz")]
    assert not same_file("a.npz", "b.npz")


def test_file_state_tells_whether_a_file_was_written(tmp_path):
    path = tmp_path / "set.npz"
    states = [file_state(path)]
    for _ in range(2):
        write(path, "same", force=True)
        states.append(file_state(path))
        assert file_state(path) == states[-1]
    assert states[0] is None
    assert len(set(states)) == 3


# --- folders ---


def folder_with(path, force=False, **contents):
    with files.folder_aside(path, force=force, marker="marker") as folder:
        for name, text in contents.items():
            (folder / name).write_text(text)


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "set"
    with suppress(KeyboardInterrupt), files.folder_aside(path, force=False, marker="m") as f:
        (f / "half").write_text("1")
        assert not path.exists()
        raise KeyboardInterrupt
    assert names(tmp_path) == []
    folder_with(path, marker="", data="1")
    assert names(path) == ["data", "marker"]
    folder_with(path, force=True, marker="")
    assert names(tmp_path) == ["set"]
    assert names(path) == ["marker"]


def test_only_a_folder_with_its_marker_is_replaced(tmp_path):
    path = tmp_path / "set"
    path.mkdir()
    (path / "precious").write_text("kept")
    for force, message in [(False, "exists, expected a new name"), (True, "without marker")]:
        with pytest.raises(FileExistsError, match=message):
            folder_with(path, force, marker="")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="is a file"):
        folder_with(tmp_path / "file", force=True, marker="")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        folder_with(tmp_path / "none" / "set", marker="")
    assert names(path) == ["precious"]


def test_folders_of_killed_runs_are_removed_those_of_others_not(tmp_path):
    dead, alive = (tmp_path / files._part_name() for _ in range(2))
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "shard").touch()
    with files.locked_folder(alive):
        with pytest.raises(BlockingIOError, match="another run"), files.locked_folder(alive):
            pass
        folder_with(tmp_path / "set", marker="")
        assert names(tmp_path) == sorted([alive.name, "set"])
    write(tmp_path / "file", "ours")
    assert names(tmp_path) == ["file", "set"]
