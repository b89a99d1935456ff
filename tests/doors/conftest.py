"""Commands in this process, and as processes of their own that never outlive a test."""

import subprocess
import sys

import pytest

# Signals as in a terminal, also where whoever started the tests ignores Ctrl-C.
_PRELUDE = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

def command(name="simulate"):
    runpy.run_module(f"ptycho_fast.{name}", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run():
    """Exit code of a simulation in this process."""
    from ptycho_fast.simulate import main

    def exit_code(*arguments):
        try:
            return main([str(a) for a in arguments])
        except SystemExit as error:  # argparse
            return error.code

    return exit_code


@pytest.fixture
def command():
    """Exit code of any command in this process, ``command("info", "a.npz")``."""
    import importlib

    def exit_code(name, *arguments):
        try:
            return importlib.import_module(f"ptycho_fast.{name}").main([str(a) for a in arguments])
        except SystemExit as error:  # argparse
            return error.code

    return exit_code


@pytest.fixture
def start():
    """Start Python code as a process, with ``command()`` to run the command line's arguments."""
    started = []

    def start(code, *arguments, **options):
        pipe = subprocess.PIPE
        options = {"stdin": pipe, "stdout": pipe, "stderr": pipe, "text": True} | options
        command = [sys.executable, "-c", _PRELUDE + code, *map(str, arguments)]
        started.append(subprocess.Popen(command, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()
