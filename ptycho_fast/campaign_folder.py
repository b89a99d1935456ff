"""The folder of a campaign: one file for each experiment, and an index of what was drawn.

``campaign.json`` is written before the first experiment, since all that it says follows from the
scenario: so a run that is ended goes on where it was, and two runs may share the work of a folder.
A file has its name only when it is complete.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptycho_fast.campaign import Campaign
from ptycho_fast.data.opening import open as open_dataset
from ptycho_fast.errors import ScenarioError
from ptycho_fast.files import check_target, written_aside
from ptycho_fast.formats import pinn_npz, recognise
from ptycho_fast.runs.journal import difference
from ptycho_fast.scenario import Scenario
from ptycho_fast.version import __version__

INDEX = "campaign.json"
_LONGEST_INDEX = 2**30  # bytes
_FIRST_OPTIONS = ("alias", "modes", "patches")
_ROWS = 20  # of the table that people read


class CampaignFolder:
    """What a run makes of a campaign, and what of it is there.

    Parameters
    ----------
    campaign : Campaign
        The experiments.
    folder : Path
        Where the files go; it need not exist.
    numbers : iterable of int
        Numbers k of the experiments to make.
    options : mapping
        Those of `Dataset.save`, which the bytes of a file depend on too.
    suffix : str
        End of the names of the files.
    force : bool
        Whether files of another campaign may be replaced.

    Attributes
    ----------
    scenarios : dict
        The scenario of each experiment, by number.
    kept : set of int
        Experiments whose file is there already.

    Raises
    ------
    ScenarioError
        Draws do not go together; the message has all numbers to leave out.
    OSError
        The folder is a file or cannot be made, or a file in it is not of this campaign.
    """

    def __init__(
        self,
        campaign: Campaign,
        folder: Path,
        numbers: Iterable[int],
        *,
        options: Mapping[str, Any],
        suffix: str = ".npz",
        force: bool = False,
    ) -> None:
        self.campaign = campaign
        self.folder = folder
        self.force, self._suffix = force, suffix
        self._head: dict[str, Any] = {
            "program": "ptycho_fast",
            "version": __version__,
            "scenario": campaign.template.to_dict(),
            # What was not there when the first campaigns were made, and is not given, is not said.
            "options": {
                name: value
                for name, value in options.items()
                if name in _FIRST_OPTIONS or value is not None
            },
        }
        self.scenarios = _feasible(campaign, numbers)
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder}: is a file, expected a folder for the experiments")
        if not folder.exists() and not folder.parent.is_dir():
            raise FileNotFoundError(f"{folder}: the folder {folder.parent} does not exist")
        self._read_index()
        self.kept = {k for k in self.scenarios if not force and self._is_there(k)}

    @property
    def index(self) -> Path:
        """The file that says what was drawn."""
        return self.folder / INDEX

    @property
    def place(self) -> Path:
        """The folder, or the one that it will be made in."""
        return self.folder if self.folder.is_dir() else self.folder.parent

    @property
    def missing(self) -> list[int]:
        """Numbers of the experiments that are to be made."""
        return [k for k in self.scenarios if k not in self.kept]

    def file_name(self, k: int) -> str:
        """Name of the file of an experiment."""
        return f"{self.campaign.template.name}_{k:06d}{self._suffix}"

    def path(self, k: int) -> Path:
        """The file of an experiment."""
        return self.folder / self.file_name(k)

    def write_index(self) -> None:
        """Make the folder and its index, or add to the index that is there."""
        self.folder.mkdir(exist_ok=True)
        entries = self._read_index() | {k: self.entry(k) for k in self.scenarios}
        text = json.dumps(
            {**self._head, "experiments": [entries[k] for k in sorted(entries)]}, indent=1
        )
        with written_aside(self.index, force=True) as file:
            file.write(text.encode())

    def entry(self, k: int) -> dict[str, Any]:
        """What the index says of an experiment; plain JSON types."""
        scenario = self.scenarios[k]
        return {
            "k": k,
            "file": self.file_name(k),
            "N": scenario.N,
            "n_patterns": scenario.scan.n_patterns,
            "seeds": scenario.seeds.to_dict(),
            "draws": self.campaign.record(k)["draws"],
        }

    @contextmanager
    def telling_what_is_there(self) -> Iterator[None]:
        """Add to an error raised within it how far the run came, and how it goes on."""
        try:
            yield
        except BaseException as error:
            done = sum(self.path(k).exists() for k in self.scenarios)
            error.add_note(
                f"{done} of {len(self.scenarios)} experiments are complete in {self.folder}; "
                + ("remove it to begin again" if self.force else "the same command goes on there")
            )
            raise

    # --- what is there ---

    def _read_index(self) -> dict[int, dict[str, Any]]:
        """The entries of an index that is there, if it is of this campaign."""
        if not self.index.exists():
            return {}
        check_target(self.index, force=True)
        try:
            if self.index.stat().st_size > _LONGEST_INDEX:
                raise ValueError(f"more than {_LONGEST_INDEX} bytes")
            there = json.loads(self.index.read_text("utf-8"))
            head = {name: there[name] for name in self._head}
            if head["options"]["modes"] is None:  # it had no effect on the files that are there
                head["options"]["modes"] = self._head["options"]["modes"]
            entries = {int(entry["k"]): dict(entry) for entry in there["experiments"]}
        except (ValueError, KeyError, TypeError, RecursionError):
            if self.force:
                return {}
            raise self._foreign(self.index, "it is no index of a campaign") from None
        wrong = difference(head, self._head)
        if wrong and not self.force:
            raise self._foreign(self.index, f"it is of another campaign: {wrong}")
        return {} if wrong else entries

    def _is_there(self, k: int) -> bool:
        """Whether the file of an experiment is complete; an error if it is another's."""
        path = self.path(k)
        if not path.exists():
            return False
        check_target(path, force=True)
        try:
            stored = _said(path, self._head["options"].get("format"))
            provenance = dict(stored["provenance"])
            found = {
                "version": provenance["version"],
                "campaign": dict(provenance["campaign"]),
                "scenario": stored["scenario"],
            }
        except (ValueError, KeyError, TypeError):
            raise self._foreign(path, "it is not from a campaign") from None
        expected = {
            "version": __version__,
            "campaign": json.loads(json.dumps(self.campaign.record(k))),
            "scenario": json.loads(json.dumps(self.scenarios[k].to_dict())),
        }
        if wrong := difference(found, expected):
            raise self._foreign(path, f"it is of another campaign: {wrong}")
        return True

    def _foreign(self, path: Path, why: str) -> FileExistsError:
        return FileExistsError(
            f"{path}: exists, and {why}; expected a new folder, or force=True to replace its files"
        )


def _said(path: Path, name: str | None) -> Mapping[str, Any]:
    """Provenance and scenario of a file."""
    if recognise(path, name).module == "formats.pinn_npz":
        return pinn_npz.metadata(path)
    with open_dataset(path, format=name) as dataset:
        scenario = dataset.scenario.to_dict() if dataset.scenario else None
        return {"provenance": dataset.provenance, "scenario": json.loads(json.dumps(scenario))}


def _feasible(campaign: Campaign, numbers: Iterable[int]) -> dict[int, Scenario]:
    """The scenarios, or an error that names all experiments whose draws do not go together."""
    scenarios, first, wrong = {}, None, []
    for k in numbers:
        try:
            scenarios[k] = campaign.scenario(k)
        except ScenarioError as error:
            first = first or error
            wrong.append(k)
    if first is None:
        return scenarios
    others = f" {len(wrong)} of {len(scenarios) + len(wrong)} experiments are impossible:"
    numbers_text = ",".join(map(str, wrong))
    raise ScenarioError(
        str(first).replace(f"(--skip {wrong[0]})", f"(--skip {numbers_text})")
        + ("" if len(wrong) == 1 else f";{others} {numbers_text}"),
        key=first.key,
    )


def table(entries: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Rows of a table of draws: a label and a text.

    Parameters
    ----------
    entries : list of dict
        As `CampaignFolder.entry` gives them.

    Examples
    --------
    >>> rows = table([{"k": 7, "draws": {"N": 64}}, {"k": 8, "draws": {"N": 128}}])
    >>> for label, text in rows:
    ...     print(f"{label:14}{text}")
    experiment    N
    7             64
    8             128
    """
    keys = list(dict.fromkeys(key for entry in entries for key in entry["draws"]))
    shown = entries if len(entries) <= _ROWS else entries[: _ROWS - 1]
    rows = [[_cell(entry["draws"].get(key, "")) for key in keys] for entry in shown]
    widths = [max(map(len, column)) for column in zip(keys, *rows, strict=True)]
    if keys:
        yield "experiment", _line(keys, widths)
        for entry, row in zip(shown, rows, strict=True):
            yield str(entry["k"]), _line(row, widths)
        if len(shown) < len(entries):
            yield "...", f"and {len(entries) - len(shown)} more"


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _line(cells: list[str], widths: list[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()
