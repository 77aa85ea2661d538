"""Python programs with a driver whose device is the host (host_driver.c), each in a process of its own."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]

LAZILY = "import os, runpy, sys; sys.setdlopenflags(os.RTLD_LAZY); "
"""PyCUDA's extension wants all of CUDA when it is loaded, unless each function is looked for when it is called."""


@functools.lru_cache(maxsize=1)
def library() -> Path:
    """Compile the driver once; skip where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("the host driver needs Linux and a C compiler")
    folder = Path(tempfile.mkdtemp(prefix="host-driver-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path, flags = folder / "libcuda.so.1", ("-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-Wl,-soname,libcuda.so.1")
    subprocess.run([compiler, *flags, "-o", path, HERE / "host_driver.c", "-ldl"], check=True)
    (folder / "libcuda.so").symlink_to(path.name)
    return path


def on_the_host_driver(program: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python whose libcuda.so.1 is the host driver, from the root of the checkout."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library().parent), **variables}
    command = [sys.executable, "-c", LAZILY + program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=120)
