"""A real TensorRT 8.5.3 with CPython 3.9, unpacked as trt85 in the folder of tests/outside.py.

The folder holds an executable `python`: that interpreter, whose paths lead to TensorRT and its libraries, NumPy, onnx
and the CUDA bindings, and to nothing of the interpreter that runs the tests.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.outside import outside

ROOT = Path(__file__).resolve().parents[2]

needs_bundle = pytest.mark.data("trt85/python")


def has_driver() -> bool:
    """Return whether this machine has NVIDIA's driver, so that nothing need fail here."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def ran(program: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program under the bundle's Python from another folder, the checkout on its path; warnings are errors."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RTSEG_"))}
    command = [outside("trt85", "python"), "-W", "error", "-c", program, *map(str, arguments)]
    return subprocess.run(
        command,
        env={**environment, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **variables},
        cwd=Path(sys.executable).parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def printed(program: str, *arguments: object, **variables: str) -> str:
    """Return what a program prints that has to end well."""
    done = ran(program, *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout
