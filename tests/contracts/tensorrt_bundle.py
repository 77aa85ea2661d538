"""A real TensorRT 8.5.3 with CPython 3.9, unpacked in a folder of its own that RTSEG_TENSORRT_BUNDLE names.

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

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "RTSEG_TENSORRT_BUNDLE"

needs_bundle = pytest.mark.skipif(
    not os.access(Path(os.environ.get(VARIABLE, "")) / "python", os.X_OK) or VARIABLE not in os.environ,
    reason=f"{VARIABLE} names no folder with a Python 3.9 that has TensorRT 8.5.3",
)


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
    command = [Path(os.environ[VARIABLE], "python"), "-W", "error", "-c", program, *map(str, arguments)]
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
