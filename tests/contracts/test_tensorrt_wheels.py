"""The real bindings of TensorRT without a GPU: the reduced API is theirs, and our loggers and monitors are taken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts.tensorrt_wheels import WHEELS, downloaded, unpacked

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RunPython = Callable[[str], str]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(shutil.which, ("gcc", "nm", "readelf"))), reason="the stub library needs a compiler"
    ),
]


@pytest.fixture(scope="module", params=sorted(WHEELS))
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def environment(version: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp(f"trt{version}")
    wheel = downloaded(WHEELS[version], folder)
    if wheel is None:
        pytest.skip(f"no wheel {WHEELS[version]} is to be had here")
    return unpacked(wheel, folder)


@pytest.fixture
def run_python(environment: dict[str, str]) -> RunPython:
    """Run a program under the real bindings and return what it prints; warnings are errors."""

    def run(program: str) -> str:
        paths = os.pathsep.join([environment["PYTHONPATH"], str(ROOT)])
        settings = {**os.environ, **environment, "PYTHONPATH": paths}
        command = [sys.executable, "-W", "error", "-c", program]
        done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_reduced_api_is_that_of_the_real_classes(run_python: RunPython, version: str) -> None:
    program = f"""
import enum, tensorrt
from tests.contracts.tensorrt_api import BASES, Version
described = Version({version!r})
assert tensorrt.__version__.startswith({version!r}), tensorrt.__version__
wrong = []
for name, members in described.classes.items():
    real = tensorrt
    for part in name.split("."):
        real = getattr(real, part)
    wrong += [f"{{name}}.{{member}}" for member in members if not hasattr(real, member)]
    for member, value in members.items():
        if isinstance(value, int) and int(getattr(real, member)) != value:
            wrong.append(f"{{name}}.{{member}} = {{value}}")
    shown = {{entry for entry in dir(real) if not entry.startswith("_")}}
    known = {{entry for holder in described.lineage(name) for entry in described.classes.get(holder, ())}}
    if "ayer" not in name and "Dims" not in name:
        wrong += [f"{{name}} has {{entry}}" for entry in sorted(shown - known)]
for name, base in BASES.items():
    if not issubclass(getattr(tensorrt, name), getattr(tensorrt, base)):
        wrong.append(f"{{name}} is no {{base}}")
print(wrong)
"""
    assert run_python(program) == "[]\n"


def test_our_logger_is_one_of_tensorrts_and_keeps_what_it_is_told(run_python: RunPython) -> None:
    program = """
import tensorrt
from rtseg.runners.tensorrt.messages import ERROR, INTERNAL_ERROR, VERBOSE, WARNING, LogRecord, tensorrt_logger
record = LogRecord()
import tensorrt
logger = tensorrt_logger(tensorrt, record)
assert isinstance(logger, tensorrt.ILogger)
severities = tensorrt.ILogger.Severity
for severity in (severities.VERBOSE, severities.INFO, severities.WARNING, severities.ERROR, severities.INTERNAL_ERROR):
    logger.log(severity, str(severity))
print(record.errors, record.warnings)
"""
    assert run_python(program) == "('Severity.ERROR', 'Severity.INTERNAL_ERROR') ('Severity.WARNING',)\n"


def test_our_monitor_is_one_of_tensorrts_where_it_has_any(run_python: RunPython, version: str) -> None:
    program = """
import tensorrt
from rtseg.engines.progress import BuildProgress, tensorrt_monitor
progress = BuildProgress()
monitor = tensorrt_monitor(tensorrt, progress)
print(progress.heard, monitor is not None)
if monitor is not None:
    assert isinstance(monitor, tensorrt.IProgressMonitor)
    monitor.phase_start("building", None, 4)
    print(monitor.step_complete("building", 0), progress.fraction())
    progress.cancel()
    print(monitor.step_complete("building", 1))
    monitor.phase_finish("building")
"""
    printed = run_python(program).split()
    assert printed == (["False", "False"] if version == "8.6.1" else ["True", "True", "True", "0.25", "False"])


def test_a_builder_that_cannot_start_is_told_in_one_line(run_python: RunPython) -> None:
    program = """
from rtseg.engines.builder import build_plan
from rtseg.engines.plan import PlanRequest
from rtseg.engines.settings import BuildSettings
from rtseg.engines.progress import BuildProgress
from rtseg.errors import EngineError
try:
    build_plan(PlanRequest(b"", True, (), BuildSettings(), None), BuildProgress())
except EngineError as error:
    print(error)
"""
    printed = run_python(program)
    assert printed.startswith("TensorRT cannot start its builder; got from TensorRT: ")
    assert printed.endswith("Try: run nvidia-smi, which shows whether driver and GPU are present\n")


def test_the_version_is_the_first_two_numbers(run_python: RunPython, version: str) -> None:
    printed = run_python(
        "from rtseg.runners.tensorrt.release import tensorrt_version; print(*tensorrt_version(), sep='.')"
    )
    assert printed.strip() == ".".join(version.split(".")[:2])


def test_the_command_says_what_is_missing_beside_the_bindings(
    environment: dict[str, str], exported: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "rtseg", "build", str(exported), "--runtime", "tensorrt", "-o"]
    settings = {**os.environ, **environment}
    done = subprocess.run(
        [*command, str(tmp_path / "a.engine")], env=settings, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("rtseg: error: ") and done.stderr.count("\n") == 1
    assert "CUDA" in done.stderr or "cuda" in done.stderr
    assert list(tmp_path.iterdir()) == []
