"""``ptycho-fast COMMAND``: the table of commands, their help and its examples, and completion."""

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict

import pytest

from ptycho_fast import doctor
from ptycho_fast.commands import commands, main

NAMES = list(commands())
# What the examples leave for the next ones, and what makes them small.
LONG = ("train", "reconstruct", "gallery")
TRAINING = "--filters 1 --no-pictures"
FEW = "--n-patterns 64 --set groups.n_train=8 --set groups.n_test=4"
NEEDS = {
    "info": "simulate gs2_ideal",
    "convert": "simulate gs2_ideal",
    "train": f"simulate gs2_ideal {FEW}",
    "reconstruct": f"simulate gs2_ideal {FEW}",
}


def exit_code(*arguments):
    try:
        return main(list(arguments))
    except SystemExit as error:  # argparse
        return error.code


def examples_of(name):
    text = importlib.import_module(f"ptycho_fast.{name}").parser().format_help()
    part = text.partition("Examples:\n")[2].partition("\n\n")[0]
    return re.findall(r"^  (ptycho-fast .*)$", part, re.MULTILINE)


def test_help_lists_the_commands(capsys):
    for arguments in ((), ("--help",), ("-h",)):
        assert exit_code(*arguments) == 0
        text = capsys.readouterr().out
        assert all(re.search(rf"^  {name} +\w", text, re.MULTILINE) for name in NAMES)


def test_an_unknown_command(capsys):
    assert exit_code("simulte", "gs2_ideal") == 2
    message = capsys.readouterr().err
    assert message.startswith("ptycho-fast: error: command: 'simulte' given, expected one of")
    assert message.endswith("did you mean simulate?\n")


def test_as_a_process_and_with_its_exit_code(tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "ptycho_fast", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"ptycho_fast \S+\n", done.stdout)
    done = run("info", "nothing.npz")
    assert done.returncode == 2
    assert done.stderr.startswith("ptycho-fast info: error: nothing.npz")


def test_a_command_imports_no_other_command():
    code = (
        "import sys; from ptycho_fast.commands import main\n"
        "try: main(['simulate', '--version'])\n"
        "except SystemExit: pass\n"
        f"print([n for n in {NAMES} if f'ptycho_fast.{{n}}' in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['simulate']"


# --- flags ---


@pytest.mark.parametrize("name", NAMES)
def test_every_command_says_who_it_is_and_has_three_examples(name):
    parser = importlib.import_module(f"ptycho_fast.{name}").parser()
    assert parser.prog == f"ptycho-fast {name}"
    assert {"--quiet", "--json", "--traceback", "--version"} <= set(parser._option_string_actions)
    assert len(examples_of(name)) >= 3


def test_a_flag_means_the_same_in_every_command():
    """The same kind of flag, with the same values where they are few; --dtype is of the file."""
    found = defaultdict(set)
    for name in NAMES:
        parser = importlib.import_module(f"ptycho_fast.{name}").parser()
        for flag, action in parser._option_string_actions.items():
            choices = tuple(action.choices or ()) if flag != "--dtype" else ()
            found[flag].add((type(action), action.type, action.nargs, choices))
    assert {flag: kinds for flag, kinds in found.items() if len(kinds) > 1} == {}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in NAMES],
)
def test_examples_run(name, monkeypatch, capsys):
    if name == "completion":
        pytest.importorskip("shtab")  # where the package runs from a source tree
    if name in NEEDS:
        assert exit_code(*shlex.split(NEEDS[name])) == 0
    if name == "doctor":  # tests/doors/test_doctor.py has what is asked of the frameworks
        monkeypatch.setattr(doctor, "_DEVICES", dict.fromkeys(doctor._DEVICES, "print('cpu')"))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    for line in examples_of(name):
        small = line.replace("--count 2", "--count 1")
        if name == "train":
            small = re.sub("--minutes .* --out", "--minutes 0.02 --out", line)
            epochs = "" if "--endless" in line else "--epochs 1"
            small += f" {epochs} {TRAINING} {'' if '.npz' in line else FEW}"
        if name == "reconstruct":
            small += " --passes 1 --no-pictures"
        assert exit_code(*shlex.split(small)[1:]) == 0, line
        assert capsys.readouterr().out


# --- completion ---


def completed_by_bash(script, *words):
    call = (
        f"source {script}\nCOMP_WORDS=({shlex.join(words)})\nCOMP_CWORD={len(words) - 1}\n"
        '_shtab_ptycho_fast\necho "${COMPREPLY[*]}"'
    )
    done = subprocess.run(
        [shutil.which("bash"), "--norc", "-c", call], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_flags_and_values(tmp_path, capsys):
    pytest.importorskip("shtab")  # where the package runs from a source tree
    assert exit_code("completion", "bash") == 0
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)
    assert completed_by_bash(script, "ptycho-fast", "simu") == ["simulate"]
    assert completed_by_bash(script, "ptycho-fast", "simulate", "--nph") == ["--nphotons"]
    found = completed_by_bash(script, "ptycho-fast", "simulate", "gs2")
    assert found == ["gs2_custom", "gs2_ideal"]
    found = completed_by_bash(script, "ptycho-fast", "simulate", "--backend", "n")
    assert found == ["native", "numba"]
    found = completed_by_bash(script, "ptycho-fast", "simulate", "gs2_ideal", "--format", "pinn")
    assert found == ["pinn-amplitude", "pinn-counts", "pinn-raw"]
    assert completed_by_bash(script, "ptycho-fast", "new", "a.toml", "--from", "x") == ["xray_zoo"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_valid(shell, tmp_path, capsys):
    pytest.importorskip("shtab")
    assert exit_code("completion", shell) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    for word in (*NAMES, "--nphotons", "gs2_ideal", "native"):
        assert word.removeprefix("--") in script.read_text()
    if program := shutil.which(shell):
        done = subprocess.run([program, "-n", script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
