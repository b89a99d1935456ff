"""What this process may still take of the machine's memory."""

from collections.abc import Iterator
from pathlib import Path


def memory_available(root: Path = Path("/")) -> int | None:
    """Bytes of memory that this process can still get without swapping.

    Parameters
    ----------
    root : Path
        Folder that holds ``proc`` and ``sys``.

    Returns
    -------
    int or None
        The smaller of what the machine has and what the control groups of the process (those of a
        container, a batch job or a systemd unit) still allow. None where the system does not say.
    """
    return min(_bounds(root), default=None)


def _bounds(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            yield from _groups(root / "sys/fs/cgroup", path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            files = "memory.limit_in_bytes", "memory.usage_in_bytes"
            yield from _groups(root / "sys/fs/cgroup/memory", path, *files)


def _groups(top: Path, path: str, limit: str, usage: str) -> Iterator[int]:
    """What the group of that path and those above it still allow.

    A container may see its own group as the top and still be told the path from outside.
    """
    group = Path(path.lstrip("/"))
    for folder in {top, *(top / part for part in (group, *group.parents))}:
        try:
            allowed, used = (int((folder / name).read_text()) for name in (limit, usage))
        except (OSError, ValueError):  # no such group, or "max": no limit
            continue
        cached = 0  # pages of files that the kernel drops when memory is needed
        for line in _lines(folder / "memory.stat"):
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                cached = max(cached, int(value))
        yield max(0, allowed - used + cached)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
