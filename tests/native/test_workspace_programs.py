"""Workspaces of the core in C++ programs that count, withhold and watch what the core takes from the system."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rtseg
from tests.made_once import made_once

NATIVE = Path(rtseg.__file__).parent / "native"
HERE = Path(__file__).parent
CXX = shutil.which("c++")
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
WRAPPED = ("malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "pthread_create")
ENDS = ("tensor", "labels", "mask")
CASES = [f"{case}-{end}" for case in ("resize", "no-resize", "letterbox", "letterbox-no-resize") for end in ENDS]

pytestmark = [
    pytest.mark.skipif(CXX is None, reason="no C++ compiler (c++)"),
    pytest.mark.skipif(sys.platform != "linux", reason="functions are wrapped by GNU ld"),
]


def built(program: Path, *options: str) -> Path:
    """Compile the program of that name, and the core with it; return it."""
    core = [NATIVE / name for name in ("tail.cpp", "preprocess.cpp", "workspace.cpp")]
    flags = ("-std=c++17", "-ffp-contract=off", "-pthread", "-DRTSEG_NO_TARGET_CLONES", f"-I{NATIVE}")
    command = [CXX, *flags, *STRICT, *options, HERE / f"{program.name}.cpp", *core, "-o", program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


def printed(*command: object) -> list[list[str]]:
    """Return the words of each line that a program prints, which has to succeed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wraps, name = [f"-Wl,--wrap={name}" for name in WRAPPED], "workspace_counts"

    def build(folder: Path) -> None:
        built(folder / name, "-O1", "-static-libstdc++", *wraps)

    return made_once(tmp_path_factory, name, build) / name


def test_the_second_call_of_the_same_sizes_allocates_nothing_and_starts_no_thread(counts: Path) -> None:
    found = {name: tuple(map(int, numbers)) for name, *numbers in printed(counts, "count")}
    assert list(found) == [*CASES, "all-in-turn"]
    for name, (code, first_allocations, first_starts, later_allocations, later_starts) in found.items():
        assert code == 0, name
        assert first_allocations > 0 and first_starts == 2, f"{name}: what is not there at first cannot be counted"
        assert (later_allocations, later_starts) == (0, 0), name


def test_where_every_thread_is_refused_the_caller_does_the_work_and_asks_no_more(counts: Path) -> None:
    assert printed(counts, "threads") == [[name, "1", "1"] for name in CASES]


def test_a_call_that_got_no_memory_says_so_and_leaves_a_workspace_that_works(counts: Path) -> None:
    *rows, create = printed(counts, "memory")
    assert [name for name, *_ in rows] == CASES
    for name, failures, other_codes, other_results in rows:
        assert int(failures) > 0 and (other_codes, other_results) == ("0", "0"), name
    assert create == ["create", "-5", "1"]


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_a_sanitizer_finds_nothing_in_many_workspaces_of_many_threads(sanitizer: str, tmp_path: Path) -> None:
    options = (f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all")
    probe = tmp_path / "probe.cpp"
    probe.write_text("int main() { return 0; }\n")
    if subprocess.run([CXX, *options, probe, "-o", tmp_path / "probe"], capture_output=True).returncode != 0:
        pytest.skip(f"no {sanitizer} sanitizer")
    assert printed(built(tmp_path / "workspace_stress", "-O1", "-g", *options)) == [["0"]]
