"""What the package keeps for Windows, where nothing was tried: what Windows lacks is used in guarded places alone."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu_check.child import run_child
from tests.contracts.posix_names import MODULES, NAMES, findings_of

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "rtseg"

GUARDED = {
    ("benchmarks/gpu_check/child.py", "os.killpg"): "the process is ended without those that it started",
    ("benchmarks/gpu_check/child.py", "signal.SIGKILL"): "the process is ended by its handle",
    ("rtseg/artifacts/cache.py", "fcntl"): "without locks the last writer wins",
    ("rtseg/benchmarking/environment.py", "os.getloadavg"): "the load is None",
    ("rtseg/benchmarking/environment.py", "os.sched_getaffinity"): "the cores of the machine are those of the process",
    ("rtseg/benchmarking/environment.py", "os.sysconf"): "the memory is None",
}
"""Where a name stands that Windows lacks, and what happens there instead."""

HARMLESS = {
    ("benchmarks/gpu_check/child.py", "start_new_session="): "left aside there: a child is ended alone",
    (
        "rtseg/benchmarking/environment.py",
        "proc/cpuinfo",
    ): "a file that is not there is empty: the processor says its name",
    (
        "rtseg/benchmarking/environment.py",
        "proc/device-tree/model",
    ): "a file that is not there is empty: there is no board",
    ("rtseg/benchmarking/environment.py", "proc/self/cgroup"): "a file that is not there is empty: there is no quota",
    ("rtseg/benchmarking/environment.py", "sys/fs/cgroup"): "asked only where the kernel named a group",
    ("rtseg/benchmarking/environment.py", "sys/devices/system/cpu"): "a folder that is not there holds no governor",
    (
        "rtseg/benchmarking/environment.py",
        "etc/os-release",
    ): "a file that is not there is empty: there is no distribution",
    ("rtseg/artifacts/files.py", "os.open()"): "opens a file as open() would, with the mode that it is to have",
    ("rtseg/artifacts/files.py", "/proc/"): "the beginning of where a link leads, which no link has there",
    ("rtseg/cli/__init__.py", "os.open()"): "opens os.devnull, which every system has, and no folder",
    ("rtseg/runners/cuda/failures.py", "libcuda.so.1"): "a word of a message, beside the one for Windows",
    (
        "rtseg/runners/cuda/nvcc.py",
        "/usr/local/cuda",
    ): "a place to look for nvcc, behind CUDA_PATH, which its installer sets",
    (
        "rtseg/installation/packages.py",
        "read_text() without an encoding",
    ): "that of importlib.metadata, which reads UTF-8 and takes no encoding",
    ("rtseg/runners/tensorrt/module.py", "libnvinfer.so"): "a word of a message, beside the one for Windows",
    ("rtseg/runners/tensorrt/module.py", "libtensorrt_rtx.so"): "a word of a message, beside the one for Windows",
}
"""Where a path or a habit of POSIX stands, and why it does no harm on Windows."""


def modules() -> list[Path]:
    """Return the modules of the package, and of the check that runs where engines do."""
    return sorted([*PACKAGE.rglob("*.py"), *(ROOT / "benchmarks" / "gpu_check").glob("*.py")])


def inside(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", modules(), ids=inside)
def test_a_module_says_nothing_that_windows_lacks_outside_a_guarded_place(path: Path) -> None:
    found = findings_of(path.read_text(encoding="utf-8"))
    listed = {place: what for place, what in (GUARDED | HARMLESS).items() if place[0] == inside(path)}
    assert [finding for finding in found if (inside(path), finding.what) not in listed] == []


@pytest.mark.parametrize(("module", "what"), GUARDED)
def test_a_name_that_windows_lacks_is_used_behind_a_question_alone(module: str, what: str) -> None:
    found = [each for each in findings_of((ROOT / module).read_text(encoding="utf-8")) if each.what == what]
    assert found, "no longer there: take it out of the table"
    assert [finding for finding in found if not (finding.is_name and finding.guarded)] == []


@pytest.mark.parametrize(("module", "what"), HARMLESS)
def test_what_is_said_to_do_no_harm_is_still_there_and_is_no_missing_name(module: str, what: str) -> None:
    found = [each for each in findings_of((ROOT / module).read_text(encoding="utf-8")) if each.what == what]
    assert found, "no longer there: take it out of the table"
    assert not any(finding.is_name for finding in found)


# The words that are looked for


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import fcntl", "fcntl"),
        ("import os.path, resource", "resource"),
        ("from termios import tcgetattr", "termios"),
        ("from os import path, fork", "os.fork"),
        ("cores = len(os.sched_getaffinity(0))", "os.sched_getaffinity"),
        ("flags = os.O_RDONLY | os.O_DIRECTORY", "os.O_DIRECTORY"),
        ("signal.signal(signal.SIGALRM, handler)", "signal.SIGALRM"),
        ("signal.setitimer(which, 1)", "signal.setitimer"),
        ("os.killpg(child, signal.SIGTERM)", "os.killpg"),
        ("subprocess.Popen(command, start_new_session=True)", "start_new_session="),
        ("Path('/proc/meminfo')", "/proc/meminfo"),
        ("f'/tmp/{name}'", "/tmp/"),
        ("root / 'sys/devices'", "sys/devices"),
        ("os.rename(part, target)", "os.rename()"),
        ("part.rename(target)", "part.rename()"),
        ("Path(a).symlink_to(b)", ".symlink_to()"),
        ("tempfile.NamedTemporaryFile()", "tempfile.NamedTemporaryFile()"),
        ("os.open(folder, os.O_RDONLY)", "os.open()"),
        ("ctypes.CDLL(None)", "CDLL(None)"),
        ("ctypes.CDLL('libcuda.so.1')", "libcuda.so.1"),
        ("path.write_text(text)", "write_text() without an encoding"),
        ("Path(path).read_text()", "read_text() without an encoding"),
        ("open(path)", "open() without an encoding"),
        ("path.open('w')", "open() without an encoding"),
        ("subprocess.run(command, text=True)", "text= without an encoding"),
    ],
)
def test_what_windows_lacks_is_found(source: str, what: str) -> None:
    assert [finding.what for finding in findings_of(source)] == [what]
    assert not any(finding.guarded for finding in findings_of(source))


@pytest.mark.parametrize(
    "source",
    [
        "import os, signal, subprocess",
        "os.replace(part, target)",
        "os.getpid(), os.cpu_count(), os.devnull, signal.SIGINT",
        "path.write_text(text, encoding='utf-8')",
        "open(path, 'rb'), open(path, encoding='utf-8'), open(path, mode='wb')",
        "Artifact.open(path, kind='onnx'), path.open('rb')",
        "ctypes.CDLL(str(path))",
        "'a/b', '/', 'proc', '/down/conv', 'a.solid'",
        "def f():\n    '/proc/cpuinfo is read'",
    ],
)
def test_what_windows_has_is_left_alone(source: str) -> None:
    assert findings_of(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "if hasattr(os, 'fork'):\n    os.fork()",
        "children = os.fork() if hasattr(os, 'fork') else 0",
        "if sys.platform != 'win32':\n    os.fork()",
        "try:\n    os.fork()\nexcept (OSError, AttributeError):\n    pass",
        "with contextlib.suppress(AttributeError):\n    os.fork()",
    ],
)
def test_a_question_before_a_name_guards_it(source: str) -> None:
    assert [finding.guarded for finding in findings_of(source)] == [True]


@pytest.mark.parametrize(
    "source",
    [
        "if hasattr(os, 'nice'):\n    os.fork()",
        "if ready:\n    os.fork()",
        "if hasattr(os, 'fork'):\n    ready()\nelse:\n    os.fork()",
        "try:\n    os.fork()\nexcept OSError:\n    pass",
        "try:\n    ready()\nexcept AttributeError:\n    os.fork()",
        "with contextlib.suppress(OSError):\n    os.fork()",
        "if hasattr(os, 'fork'):\n    def later():\n        os.fork()",
    ],
)
def test_another_question_does_not(source: str) -> None:
    assert [finding.guarded for finding in findings_of(source)] == [False]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has all of these names")
def test_every_name_that_is_looked_for_is_one_of_linux() -> None:
    late = {"os.eventfd", "os.login_tty", "os.setns", "os.splice", "os.unshare", "signal.pidfd_send_signal"}
    names = {f"{module}.{name}" for module, names in NAMES.items() for name in names}
    known = {name for name in names if hasattr(importlib.import_module(name.split(".")[0]), name.split(".")[1])}
    assert names - known - late == set()


# The guarded places, where the names are really missing

LACKING = """
import json, os, signal, sys
import asyncio, multiprocessing, subprocess, tempfile, shutil  # the standard library keeps what it needs
for name in {packages!r}: __import__(name)
for name in {modules!r}: sys.modules[name] = None
for module, names in {names!r}.items():
    for name in names:
        if hasattr(sys.modules.get(module), name): delattr(sys.modules[module], name)
"""
OF_THE_LIBRARY = frozenset({"wait", "WNOHANG"})
"""What subprocess itself looks up when it is called."""


def lacking(*packages: str) -> str:
    """Return the beginning of a program that has loaded those packages, and then has no name that Windows lacks."""
    names = {module: sorted(found - OF_THE_LIBRARY) for module, found in NAMES.items()}
    return LACKING.format(packages=packages, modules=sorted(MODULES - {"posix", "_posixsubprocess"}), names=names)


def answer(program: str, *arguments: object, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        encoding="cp1252",
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **variables},
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_cache_is_written_under_its_lock_where_there_are_no_locks(tmp_path: Path) -> None:
    program = lacking() + (
        "from rtseg.artifacts.cache import Cache\n"
        "cache = Cache('things', '.thing', keep=2)\n"
        "path = cache.path('key')\n"
        "with cache.locked(path): cache.write(path, b'content')\n"
        "print(cache.read(path), sys.modules['fcntl'])"
    )
    assert answer(program, RTSEG_CACHE=str(tmp_path)).split() == ["b'content'", "None"]


def test_the_environment_is_noted_where_the_system_tells_less() -> None:
    program = lacking("numpy") + (
        "from rtseg.benchmarking.environment import environment\nprint(json.dumps(environment()))"
    )
    found = json.loads(answer(program))
    assert found["load_average"] is None and found["memory_bytes"] is None
    assert found["cpu"]["available_cores"] == found["cpu"]["logical_cores"] == os.cpu_count()


COMMAND_LINE = ("numpy", "cv2", "PIL.Image", "onnxruntime", "click", "rich.console", "rich.progress", "rich.table")
RUNS = "sys.modules['torch'] = None  # which needs what Linux has\nfrom rtseg.cli import main\nmain(sys.argv[1:])"


def test_a_picture_is_labelled_where_every_name_that_windows_lacks_is_missing(
    exported: Path, picture: Path, tmp_path: Path
) -> None:
    program = lacking(*COMMAND_LINE) + RUNS
    answer(program, "run", exported, picture, "-o", tmp_path / "out", PYTHONIOENCODING="cp1252")
    assert (tmp_path / "out" / "picture_labels.png").exists()


def test_a_file_is_timed_where_every_name_that_windows_lacks_is_missing(exported: Path) -> None:
    program = lacking(*COMMAND_LINE) + RUNS
    assert "staged" in answer(program, "bench", exported, "--seconds", "0.2", PYTHONIOENCODING="cp1252")


def test_a_letter_that_the_code_page_of_a_pipe_lacks_is_printed_as_a_question_mark() -> None:
    program = "import click\nfrom rtseg.cli import cli, main\ncli.callback = None\n" + (
        "cli.add_command(click.Command('arrow', callback=lambda: click.echo('fp32 \\u2192 int8')))\nmain(['arrow'])"
    )
    assert answer(program, PYTHONIOENCODING="cp1252").strip() == "fp32 ? int8"
    assert answer(program, PYTHONIOENCODING="utf-8").strip() == "fp32 \u2192 int8".encode().decode("cp1252", "replace")


def test_on_windows_a_message_names_the_libraries_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    from rtseg.runners.cuda.failures import no_driver
    from rtseg.runners.tensorrt import module

    monkeypatch.setattr(sys, "platform", "win32")
    assert "nvcuda.dll" in str(no_driver("x"))
    told = str(module._cannot_load(module.TENSORRT, "x", OSError("no nvinfer_10.dll")))
    assert told.endswith("or put the folder of its DLLs on PATH")


def test_where_there_are_no_groups_of_processes_a_task_that_takes_too_long_is_ended_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(os, "killpg")
    program = "import time; print('started', flush=True); time.sleep(60)"
    began = time.monotonic()
    assert run_child([sys.executable, "-c", program], os.environ, tmp_path / "log", seconds=0.5) is None
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_the_package_type_checks_as_on_windows() -> None:
    pytest.importorskip("mypy")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--platform",
        "win32",
        "--cache-dir",
        os.devnull,
        "-p",
        "rtseg",
        "-p",
        "benchmarks.gpu_check",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout
