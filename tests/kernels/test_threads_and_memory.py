"""csrc/cpu/threads.h and csrc/python/result_memory.h from many threads at once, with sanitizers."""

import os
import re
import subprocess

import cpp_library
import pytest

pytestmark = pytest.mark.native

SOURCE = "threads_and_memory.cpp"
CHECKS = re.findall(r'\{"(\w+)",', (cpp_library.SOURCES / SOURCE).read_text())


def run(*command):
    # A library that is preloaded, as for an extension with a sanitizer, would not fit. Leaks are
    # not looked for, as that does not work in every container.
    env = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    env.pop("LD_PRELOAD", None)
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=600, env=env
    )


@pytest.fixture(scope="module", params=["no", "thread", "address,undefined"])
def program(request, libraries):
    """The program, with a sanitizer if the compiler and the system have it."""
    name, _, _ = request.param.partition(",")
    if name == "no":
        return cpp_library.program(SOURCE, libraries, "threads_and_memory")
    options = [f"-fsanitize={request.param}", "-fno-sanitize-recover=all", "-g"]
    empty = libraries / "empty.cpp"
    empty.write_text("int main() {}")
    try:
        works = run(cpp_library.program(empty, libraries, f"empty_{name}", *options))
    except RuntimeError as error:
        pytest.skip(f"the compiler has no -fsanitize={request.param}: {error}")
    if works.returncode:
        pytest.skip(f"programs with -fsanitize={request.param} do not run: {works.stderr}")
    return cpp_library.program(SOURCE, libraries, f"threads_and_memory_{name}", *options)


@pytest.mark.parametrize("check", CHECKS)
def test_threads_and_memory(program, check):
    if check.startswith("forks") and program.name.endswith("_thread"):
        pytest.skip("its sanitizer takes a child's threads for its parent's: 'dup thread'")
    if check.startswith("forks_at") and program.name.endswith("_address"):
        pytest.skip("its sanitizer's allocator may be locked in such a child")
    done = run(program, check)
    assert (done.returncode, done.stderr) == (0, "")


def test_all_checks_are_run():
    assert len(CHECKS) == 9
