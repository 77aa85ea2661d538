"""ONNX Runtime without its telemetry: nothing is written below the user's folders, and no name is looked up."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from rtseg.errors import MissingDependencyError, RunnerError
from rtseg.runners.onnxruntime_package import VARIABLE, onnxruntime_package, without_telemetry

ROOT = Path(__file__).resolve().parents[2]
PLACE = "rtseg/runners/onnxruntime_package.py"

LOADED = "import sys, numpy, rtseg; rtseg.load(sys.argv[1])(numpy.zeros((64, 64, 3), numpy.uint8))"
PLAINLY = "import sys, onnxruntime; onnxruntime.InferenceSession(sys.argv[1])"
UNTIL_IT_CALLS = "; import time; time.sleep(12)"
"""Left to itself ONNX Runtime 1.31.1 looks its host up within this many seconds after a session was made."""

OPENVINO = "import sys, numpy, rtseg; rtseg.load(sys.argv[1], runner='openvino')(numpy.zeros((64, 64, 3), numpy.uint8))"


def imports_of(source: str) -> list[int]:
    """Return the lines that import onnxruntime, by a statement or by its name, those for type checkers apart."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).rpartition(".")[2]
            names = [str(node.args[0].value)] if called in ("import_module", "__import__") else []
        found += [node.lineno for name in names if name.partition(".")[0] == "onnxruntime"]
    return found


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("import onnxruntime as ort", 1),
        ("from onnxruntime.quantization import quantize", 1),
        ("def f():\n    importlib.import_module('onnxruntime')", 1),
        ("if TYPE_CHECKING:\n    import onnxruntime", 0),
        ("from rtseg.runners.onnxruntime import has_provider", 0),
    ],
)
def test_an_import_of_onnxruntime_is_found_in_source(source: str, count: int) -> None:
    assert len(imports_of(source)) == count


def test_onnxruntime_is_imported_in_one_place() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): lines
        for path in (ROOT / "rtseg").rglob("*.py")
        if "onnxruntime" in (text := path.read_text(encoding="utf-8")) and (lines := imports_of(text))
    }
    assert list(found) == [PLACE] and len(found[PLACE]) == 1


def test_the_variable_is_set_before_the_import_unless_the_user_has_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    without_telemetry()
    assert os.environ[VARIABLE] == "1"
    monkeypatch.setenv(VARIABLE, "0")
    without_telemetry()
    assert os.environ[VARIABLE] == "0"


@pytest.fixture
def watched_home(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A home with its folder for temporary files, and the variables of a user who lives there."""
    home = tmp_path / "home"
    home.mkdir()
    left = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "CI")}
    folders = {"HOME": str(home), "TMPDIR": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    return home, {**left, **folders, "RTSEG_CACHE": str(home / "rtseg"), "PYTHONPATH": str(ROOT)}


def ran(program: str, file: Path, variables: Mapping[str, str]) -> None:
    command = [sys.executable, "-c", program, str(file)]
    subprocess.run(command, check=True, env=dict(variables), cwd=file.parent, capture_output=True, timeout=120)


def strangers_in(home: Path) -> list[str]:
    """Return what lies in a home but for what rtseg keeps."""
    found = (path.relative_to(home) for path in home.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if path.parts[0] != "rtseg")


@pytest.fixture(scope="module")
def lookups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that writes down every name that a program looks up, and lets none of it out."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("a library is put before a program on Linux, and needs a C compiler")
    library = tmp_path_factory.mktemp("lookups") / "lookups.so"
    source = ROOT / "tests" / "native" / "lookups.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", str(source), "-o", str(library)], check=True)
    return library


@pytest.mark.parametrize("program", [LOADED, OPENVINO], ids=["onnxruntime", "openvino"])
def test_running_a_file_writes_nothing_and_looks_up_no_name(
    program: str, exported: Path, lookups: Path, watched_home: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    if program == OPENVINO:
        pytest.importorskip("openvino")
    home, variables = watched_home
    ran(program, exported, {**variables, "LD_PRELOAD": str(lookups), "RTSEG_LOOKUPS": str(tmp_path / "told")})
    assert strangers_in(home) == []
    assert not (tmp_path / "told").exists()


def test_a_name_that_is_looked_up_would_be_seen(
    exported: Path, lookups: Path, watched_home: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    program = "import socket, sys\ntry: socket.getaddrinfo('example.invalid', 80)\nexcept OSError: pass"
    told = tmp_path / "told"
    ran(program, exported, {**watched_home[1], "LD_PRELOAD": str(lookups), "RTSEG_LOOKUPS": str(told)})
    assert told.read_text() == "getaddrinfo example.invalid\n"


@pytest.mark.slow
def test_what_it_would_do_when_imported_plainly_it_does_not_do_here(
    exported: Path, lookups: Path, watched_home: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    home, variables = watched_home
    told = tmp_path / "told"
    watched = {**variables, "LD_PRELOAD": str(lookups), "RTSEG_LOOKUPS": str(told)}
    ran(LOADED + UNTIL_IT_CALLS, exported, watched)
    assert (strangers_in(home), told.exists()) == ([], False)
    ran(PLAINLY + UNTIL_IT_CALLS, exported, watched)
    if not strangers_in(home):
        pytest.skip("this release of ONNX Runtime has no telemetry")
    assert "getaddrinfo" in told.read_text()


def test_a_package_that_is_missing_is_told_from_one_that_is_broken_and_from_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match="running an ONNX file needs the package onnxruntime"):
        onnxruntime_package()
    monkeypatch.delitem(sys.modules, "onnxruntime")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "onnxruntime.py"
    module.write_text("raise ImportError('libfoo.so is missing')")
    with pytest.raises(RunnerError, match=r"cannot be imported: libfoo\.so is missing"):
        onnxruntime_package()
    module.write_text(
        "try:\n    raise KeyboardInterrupt\nexcept BaseException:\n    raise ImportError('initialisation')"
    )
    os.utime(module, (1, 1))  # not what was compiled before
    with pytest.raises(KeyboardInterrupt):
        onnxruntime_package()
