"""Which Python has what: this one and those named beside it, each asked once, in a process of its own.

A GPU host may have TensorRT under one interpreter and torch under another.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from rtseg.errors import RtsegError

PACKAGE = "benchmarks.gpu_check"
PROBE_SECONDS = 180.0
"""Importing torch from a cold disk takes minutes."""

Text = Optional[str]
SEARCH_PATHS = ("PYTHONPATH", "LD_LIBRARY_PATH")
"""What a launcher puts folders of its own into, before those that are the machine's: the driver's may be there."""


@dataclass(frozen=True)
class Findings:
    """What an interpreter has: versions, None where it cannot be used, and then why not.

    tensorrt counts only with CUDA bindings and a GPU to build for, whose name and architecture gpu is. torch_gpu is the
    GPU that torch sees, None where it sees none.
    """

    python: str
    tensorrt: Text
    why_no_tensorrt: str
    gpu: Text
    torch: Text
    why_no_torch: str
    torch_gpu: Text

    def has(self, package: str, device: str = "cuda") -> bool:
        """Return whether tasks that need tensorrt or torch can run on that device, cuda or cpu."""
        if package == "tensorrt":
            return self.tensorrt is not None and device == "cuda"
        return self.torch is not None and (device == "cpu" or self.torch_gpu is not None)


@dataclass(frozen=True)
class Interpreter:
    """A Python by its command, and what it has."""

    command: str
    found: Findings

    @property
    def own(self) -> bool:
        """Whether it is the one that runs this."""
        return self.command == sys.executable

    def arguments(self, *arguments: str) -> list[str]:
        """Return the command line of this package under that interpreter."""
        return [self.command, "-m", PACKAGE, *arguments]

    def variables(self) -> dict[str, str]:
        """Return the environment variables for its processes."""
        return child_variables(own=self.own)


def probe(command: str) -> Interpreter:
    """Ask an interpreter what it has. Raises RtsegError where it does not start, or cannot import this package."""
    own = command == sys.executable
    try:
        done = subprocess.run(
            [command, "-m", PACKAGE, "probe"],
            env=child_variables(own=own),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RtsegError(f"{command} does not start", got=str(error), expected="a Python 3.9 or newer") from error
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    try:
        return Interpreter(command, Findings(**json.loads(lines[-1])))
    except (IndexError, ValueError, TypeError) as error:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RtsegError(
            f"{command} cannot run {PACKAGE}",
            got=told[-1] if told else f"exit code {done.returncode}",
            expected="a Python 3.9 or newer with NumPy",
        ) from error


def chosen(interpreters: Sequence[Interpreter], package: str, device: str = "cuda") -> Interpreter | None:
    """Return the first that has the package, one that has both before one that has it alone; None where none has."""
    having = [one for one in interpreters if one.found.has(package, device)]
    both = [one for one in having if one.found.has("tensorrt", device) and one.found.has("torch", device)]
    return next(iter([*both, *having]), None)


def findings() -> Findings:
    """Return what this interpreter has."""
    return Findings(platform.python_version(), *_tensorrt(), *_torch())


def print_findings() -> None:
    """Print what this interpreter has, as one line of JSON after whatever the packages print."""
    print(f"\n{json.dumps(asdict(findings()))}")


def child_variables(*, own: bool, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment variables of a process under this interpreter (own) or another.

    A checkout is put in front of the import path: the other interpreter need not have rtseg installed. What a
    launcher set up for this interpreter (it sets PYTHONHOME) would lead another one to the wrong libraries: of the
    search paths those folders are left out that lie beside the interpreter's home.
    """
    kept = dict(variables)
    if not own and (home := kept.pop("PYTHONHOME", "")):
        for name in SEARCH_PATHS:
            others = [place for place in kept.pop(name, "").split(os.pathsep) if not _is_beside(home, place)]
            if any(others):
                kept[name] = os.pathsep.join(others)
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file():
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(root), kept.get("PYTHONPATH", ""))))
    return kept


def _is_beside(home: str, place: str) -> bool:
    """Return whether a folder lies in the one that holds an interpreter's home, unless that is the file system's."""
    folder = Path(os.path.abspath(home)).parent
    return folder != Path(folder.anchor) and folder in Path(os.path.abspath(place)).parents


def _tensorrt() -> tuple[Text, str, Text]:
    from rtseg.runners.cuda.registry import open_cuda
    from rtseg.runners.tensorrt.release import tensorrt_release

    try:
        release = tensorrt_release("building an engine")
        device = open_cuda().device
    except RtsegError as error:
        return None, str(error), None
    return release, "", f"{device.name} ({device.architecture})"


def _torch() -> tuple[Text, str, Text]:
    try:
        from benchmarks.gpu_check.torch_task import torch_and_gpu
    except Exception as error:  # a torch that is there and does not load raises what it likes
        return None, f"torch cannot be imported: {error}", None
    version, device = torch_and_gpu()
    return version, "" if device else f"torch {version} sees no GPU", device


def to_json(interpreters: Sequence[Interpreter]) -> list[dict[str, Any]]:
    """Return what was found, without the paths of the interpreters."""
    return [asdict(one.found) for one in interpreters]
