"""A command that is killed, interrupted, or whose reader goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rtseg.runners.loading import load

Started = Callable[..., "subprocess.Popen[str]"]
Listing = Callable[[Path], list[str]]


@pytest.fixture
def export(weights: Path) -> tuple[object, ...]:
    """An export large enough to be met between the first byte written and the last check passed."""
    return ("export", "--checkpoint", weights, "--resolution", "512x512", "--images", "0")


def wait_for_part(running: subprocess.Popen[str], folder: Path) -> None:
    """Return as soon as a temporary file is there."""
    deadline = time.monotonic() + 60
    while not list(folder.glob(".*.part*")):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)


def test_a_kill_in_the_middle_of_a_write_leaves_a_hidden_part_and_a_rerun_succeeds(
    export: tuple[object, ...],
    started: Started,
    cli: Callable[..., Any],
    tmp_path: Path,
    files_in: Listing,
) -> None:
    target = tmp_path / "x.onnx"
    running = started(*export, "-o", target)
    wait_for_part(running, tmp_path)
    running.kill()
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    left = files_in(tmp_path)
    assert left and all(name.startswith(".") and ".part" in name for name in left)
    assert cli(*export, "-o", target).code == 0
    assert sorted(set(files_in(tmp_path)) - set(left)) == ["x.onnx", "x.onnx.json"]
    with load(target, threads=1) as segmenter:
        assert segmenter.output.classes.dataset == "camvid"


def test_an_interrupt_exits_with_130_and_one_line_and_leaves_nothing(
    export: tuple[object, ...], started: Started, tmp_path: Path, files_in: Listing
) -> None:
    running = started(*export, "-o", tmp_path / "x.onnx")
    wait_for_part(running, tmp_path)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert err.strip("\n") == "rtseg: error: interrupted"  # a new line first, for the ^C a terminal shows
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("command", [("--help",), ("networks", "affnet", "--json")], ids=" ".join)
def test_a_reader_that_goes_away_is_no_traceback(started: Started, command: tuple[str, ...]) -> None:
    running = started(*command)
    assert running.stdout is not None and running.stderr is not None
    running.stdout.close()
    assert running.wait(timeout=60) == 1
    assert running.stderr.read() == ""
    running.stderr.close()


INTERRUPTED = """
import sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
"""
"""Read by Python before the program: a Ctrl-C comes while that module is imported."""


@pytest.mark.parametrize("name", ["rtseg.cli", "numpy", "onnxruntime"])
def test_an_interrupt_while_modules_are_imported_exits_with_130_and_one_line(
    name: str,
    exported: Path,
    picture: Path,
    ended: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(INTERRUPTED.format(name=name))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"), prepend=os.pathsep)
    outcome = ended("run", exported, picture, "-o", tmp_path / "out")
    assert (outcome.code, outcome.out, outcome.err.strip("\n")) == (130, "", "rtseg: error: interrupted")
