"""The GPU's kernels, compiled as C++: gpu_on_cpu.h emulates blocks, warps and barriers."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import rtseg
from rtseg.runners.cuda import ends

HERE = Path(__file__).parent
NATIVE = Path(rtseg.__file__).parent / "native"
CXX = shutil.which("c++")
LIBRARY = "frame_ends.so"


def compile_kernels(folder: Path, source: Path = NATIVE) -> None:
    """Compile the kernels of a folder of sources into a library in folder. Skips where that cannot be."""
    if CXX is None:
        pytest.skip("no C++ compiler (c++)")
    if not Path("/usr/include/ucontext.h").exists():
        pytest.skip("fibres are made with ucontext.h, which is not here")
    compiled = folder / "frame_ends.o"
    strict = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-unknown-pragmas", "-Wno-pass-failed"]
    exact = ["-ffp-contract=off", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE"]  # fibres jump between stacks
    command = [CXX, "-std=c++17", "-O1", "-fPIC", *strict, *exact, "-fsanitize=alignment"]
    command += [f"-I{source}", f"-I{HERE}", "-c", HERE / "frame_ends_on_cpu.cpp", "-o", compiled]
    subprocess.run(command, check=True)
    # Not with -fsanitize: the source says what then happens.
    subprocess.run([CXX, "-shared", compiled, "-o", folder / LIBRARY], check=True)


class KernelsOnCpu:
    """The kernels of the library that compile_kernels wrote into a folder, by name."""

    def __init__(self, folder: Path) -> None:
        self.library = ctypes.CDLL(str(folder / LIBRARY))
        self.library.describe.restype = self.library.launch.restype = ctypes.c_char_p
        self.library.to_float.restype = ctypes.c_float
        self.library.to_half.argtypes = [ctypes.c_float]
        self.library.to_half.restype = ctypes.c_uint16
        self._one_at_a_time = threading.Lock()

    def run(self, launch: ends.Launch, seed: int = 0) -> None:
        failure = self.failure_of(launch.kernel, launch.grid, launch.block, launch.arguments.values(), seed)
        assert failure is None, failure

    def failure_of(
        self, kernel: str, grid: ends.Grid, block: ends.Grid, arguments: Sequence[np.generic], seed: int = 0
    ) -> str | None:
        """Run a kernel and return what a GPU would end it for."""
        values = [np.array(value) for value in arguments]
        parameters = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        assert grid[1:] == (1, 1) and block[2] == 1
        with self._one_at_a_time:  # its fibres are those of the whole process
            failure = self.library.launch(kernel.encode(), grid[0], *block[:2], seed, parameters)
        return None if failure is None else failure.decode()
