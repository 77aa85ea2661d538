"""The command line as tests call it, and one exported file for all of them.

What is heavy is imported by the fixture that needs it: tests/gpu runs where NumPy is all there is.
"""

from __future__ import annotations

import functools
import gc
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from rtseg.artifacts.manifest import manifest_path
from rtseg.specs import Resolution
from tests.made_once import made_once, run_folder
from tests.outside import why_not

HERE = Path(__file__).resolve().parent
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes that tests start would compile rtseg anew
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for tests that import onnxruntime before the package does
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # there is a worker for each core

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # as the command line does; it is read when FFmpeg is first used

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts in the background deaf to Ctrl-C, and whatever that starts is deaf too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

if TYPE_CHECKING:
    from tests.native.kernels_on_cpu import KernelsOnCpu
    from tests.staged_network import Staged

PREFIX = "rtseg: error: "
PAGE = r"docs/troubleshooting\.md#[a-z]+error\)"


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Refused = Callable[..., str]
"""Called with the arguments of a command that has to fail; returns its message."""


def error_of(outcome: Outcome) -> str:
    """Return the message of an outcome that has to be one line with the error's page, exit code 1, no traceback."""
    assert "Traceback" not in outcome.err + outcome.out
    assert outcome.err.startswith(PREFIX), outcome.err
    assert outcome.err.count("\n") == 1 and outcome.err.endswith("\n"), outcome.err
    assert outcome.code == 1
    message, _, page = outcome.err[len(PREFIX) : -1].rpartition(" (see ")
    assert re.fullmatch(PAGE, page), outcome.err
    return message


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Look for `pytest -m gpu` in tests/gpu only: the other folders want packages that a GPU host need not have."""
    elsewhere = collection_path.parent == HERE and collection_path.name != "gpu"
    return True if elsewhere and config.option.markexpr == "gpu" else None


@pytest.hookimpl(hookwrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep the garbage collector from what lasts as long as the process: thousands of tests, and what they import."""
    gc.disable()
    yield
    gc.enable()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a file that is not there: here, so that pytest tells each reason once."""
    for mark in item.iter_markers("data"):
        if reason := why_not(mark.args):
            pytest.skip(reason)


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    """Keep PyTorch to one thread: on small pictures several mostly wait for one another."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command in this process."""
    from rtseg.cli import main

    def ran(*arguments: object) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return ran


@pytest.fixture
def refused(cli: Callable[..., Outcome]) -> Refused:
    """Run a command in this process that has to fail with one line; return its message."""
    return lambda *arguments: error_of(cli(*arguments))


@pytest.fixture
def misused(cli: Callable[..., Outcome]) -> Refused:
    """Run a command in this process that has to be told it is wrong usage; return what it is told."""

    def told(*arguments: object) -> str:
        outcome = cli(*arguments)
        assert outcome.code == 2, outcome
        assert outcome.err.startswith("Usage: rtseg") and "Traceback" not in outcome.err
        return outcome.err.splitlines()[-1]

    return told


def process(*arguments: object, before: tuple[str, ...] = (), **settings: Any) -> subprocess.Popen[str]:
    """Start `python -m rtseg` as a process of its own, its two streams piped unless settings say otherwise."""
    command = [*before, sys.executable, "-m", "rtseg", *map(str, arguments)]
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
    return subprocess.Popen(command, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, **settings)


def outcome_of(running: subprocess.Popen[str]) -> Outcome:
    """Wait for a process and return how it ended."""
    out, err = running.communicate(timeout=120)
    return Outcome(running.returncode, out or "", err or "")


@pytest.fixture
def started() -> Callable[..., subprocess.Popen[str]]:
    """Start a command as a process of its own."""
    return process


@pytest.fixture
def ended() -> Callable[..., Outcome]:
    """Run a command as a process of its own, to its end."""
    return lambda *arguments, **settings: outcome_of(process(*arguments, **settings))


@pytest.fixture
def refused_process() -> Refused:
    """Run a command as a process of its own that has to fail with one line; return its message."""
    return lambda *arguments, **settings: error_of(outcome_of(process(*arguments, **settings)))


@pytest.fixture(autouse=True, scope="session")
def a_cache_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep off the user's cache: what one run finds there, another does not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RTSEG_CACHE", str(run_folder(tmp_path_factory) / "cache"))
        yield


@pytest.fixture(autouse=True, scope="session")
def scenes_are_drawn_once() -> Iterator[None]:
    """Let each worker draw each scene of the streets once: they are the same every time, and half of many tests."""
    try:
        from rtseg.datasets.streets import dataset
    except ImportError:  # a host of tests/gpu, where nothing is drawn
        yield
        return
    drawn = functools.lru_cache(maxsize=128)(dataset.render_scene)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "render_scene", lambda *asked: tuple(array.copy() for array in drawn(*asked)))
        yield


@pytest.fixture
def few_rendered_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let benchmarks without data measure INT8's ranges on four pictures."""
    monkeypatch.setattr("rtseg.pipeline.benchmark_files.RENDERED_PICTURES", 4)


@pytest.fixture(scope="session")
def kernels_on_cpu(tmp_path_factory: pytest.TempPathFactory) -> KernelsOnCpu:
    """The GPU's kernels, compiled for the CPU."""
    from tests.native.kernels_on_cpu import KernelsOnCpu, compile_kernels

    return KernelsOnCpu(made_once(tmp_path_factory, "kernels-on-cpu", compile_kernels))


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of affnet with CamVid's classes; not to be changed."""
    from rtseg.datasets.registry import class_spec
    from rtseg.networks.checkpoints import save_checkpoint
    from rtseg.networks.prepared import build_network

    path = tmp_path_factory.mktemp("weights") / "affnet.safetensors"
    save_checkpoint(path, build_network("affnet", class_spec("camvid")), Resolution(64, 64))
    return path


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Staged:
    """The small network's file, table and pictures; not to be changed."""
    from tests.staged_network import staged_files, write_staged

    return staged_files(made_once(tmp_path_factory, "staged", write_staged))


@pytest.fixture(scope="session")
def exported(staged: Staged) -> Path:
    """The file of a network of five convolutions at 64x96 with CamVid's classes; not to be changed."""
    return staged.onnx


@pytest.fixture(scope="session")
def calibrated(staged: Staged) -> Path:
    """A calibration table of the exported file; not to be changed."""
    return staged.table


@pytest.fixture(scope="session")
def affnet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with affnet's file and its calibration table."""
    from tests.affnet_files import write_affnet

    return made_once(tmp_path_factory, "affnet", write_affnet)


@pytest.fixture(scope="session")
def affnet_file(affnet_folder: Path) -> Path:
    """affnet at 64x64 with CamVid's classes; not to be changed."""
    return affnet_folder / "affnet.onnx"


@pytest.fixture(scope="session")
def affnet_table(affnet_folder: Path) -> Path:
    """A calibration table of affnet's file, from three random inputs; not to be changed."""
    return affnet_folder / "affnet.table.json"


@pytest.fixture(scope="session")
def affnet_interfaces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """affnet at 64x96 with CamVid's classes and the weights of seed 5, by interface; not to be changed."""
    from rtseg.specs import INTERFACES
    from tests.affnet_files import write_interfaces

    folder = made_once(tmp_path_factory, "affnet-interfaces", write_interfaces)
    return {interface: folder / f"{interface}.onnx" for interface in INTERFACES}


@pytest.fixture
def export_copy(exported: Path, tmp_path: Path) -> Path:
    """The exported file with its manifest, for a test that damages it."""
    path = tmp_path / "copy.onnx"
    shutil.copy(exported, path)
    shutil.copy(manifest_path(exported), manifest_path(path))
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A small colour PNG."""
    import cv2

    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    return path


def left_in(folder: Path) -> list[str]:
    """Return every file below a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def files_in() -> Callable[[Path], list[str]]:
    """List every file below a folder, hidden ones too."""
    return left_in
