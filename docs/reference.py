"""Pages of the site that follow from the code: commands, keys of a scenario, formats, API."""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import figures

import ptycho_fast
import ptycho_fast.simulation
from ptycho_fast.commands import commands
from ptycho_fast.formats import FORMATS
from ptycho_fast.scenario import known_keys

# Modules whose public functions and classes are documented one by one, beside the package itself.
MODULES = {
    "ptycho_fast.scaling": "Intensity scale and gain",
    "ptycho_fast.scale_report": "Numbers of the published report",
    "ptycho_fast.quality": "How good an object is",
    "ptycho_fast.rng": "Random numbers",
    "ptycho_fast.data.feed": "Batches of groups",
    "ptycho_fast.data.pattern_feed": "Batches of patterns",
    "ptycho_fast.tf": "Training in TensorFlow",
    "ptycho_fast.report.page": "The page of a data set",
}


def write(folder: Path) -> None:
    """Write all pages to a folder of the site's source."""
    folder.mkdir(exist_ok=True)
    for name, lines in PAGES.items():
        path, text = folder / f"{name}.md", "\n".join(lines()) + "\n"
        if not path.is_file() or path.read_text() != text:  # an unchanged page is not read again
            path.write_text(text)


def _commands() -> Iterator[str]:
    yield "# Commands"
    for name, doc in commands().items():
        yield f"\n## ptycho-fast {name}\n\n{doc[0].upper()}{doc[1:]}.\n"
        parser = importlib.import_module(f"ptycho_fast.{name}").parser()
        yield f"```text\n{parser.format_help().rstrip()}\n```"


def _keys() -> Iterator[str]:
    yield "# Keys of a scenario\n"
    yield "Every key of a TOML file, of `--set KEY=VALUE` and of `Scenario.replace`."
    table = None
    for key, info in known_keys().items():
        name = key.rpartition(".")[0]
        if name != table:
            table = name
            yield f"\n## `[{table}]`\n" if table else "\n## At the top\n"
            yield "| key | meaning | what it takes | default |\n| --- | --- | --- | --- |"
        default = "" if info.default is None else f"`{info.default}`"
        cells = f"`{key.rpartition('.')[2]}`", info.doc, str(info.type), default
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _formats() -> Iterator[str]:
    yield "# Table of formats\n"
    yield "| name | suffix | what | written | read |\n| --- | --- | --- | --- | --- |"
    for one in FORMATS.values():
        told = ["yes" if can else "no" for can in (one.writes, one.reads)]
        suffix = f"`{one.suffix}`" if one.suffix else "a folder"
        yield f"| `{one.name}` | {suffix} | {one.title} | {told[0]} | {told[1]} |"


def _api() -> Iterator[str]:
    yield "# Functions and classes\n"
    yield "## The package: `ptycho_fast`\n"
    yield "```{eval-rst}\n.. currentmodule:: ptycho_fast"
    for name in ptycho_fast.__all__:
        value = (
            ptycho_fast.simulation.simulate if name == "simulate" else getattr(ptycho_fast, name)
        )
        if inspect.isclass(value):
            yield f"\n.. autoclass:: {name}\n   :members:"
        elif inspect.isfunction(value):
            yield f"\n.. autofunction:: {value.__module__}.{name}"
    yield "```\n"
    for name, title in MODULES.items():
        yield f"## {title}: `{name}`\n"
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            yield f"Left out, since this page was made without `{error.name}`.\n"
        else:
            yield f"```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n"


def _machines() -> Iterator[str]:
    yield "# Machines of the benchmarks\n"
    yield from figures.machines()


def _targets() -> Iterator[str]:
    yield "# Targets of the benchmarks\n"
    yield from figures.targets()


def _end_to_end() -> Iterator[str]:
    yield "# From the command to the closed file\n"
    yield from figures.end_to_end()


PAGES = {
    "commands": _commands,
    "keys": _keys,
    "formats-table": _formats,
    "api": _api,
    "machines": _machines,
    "targets": _targets,
    "end-to-end": _end_to_end,
}
