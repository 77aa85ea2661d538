"""Compile CUDA C++ with the toolkit's nvcc, for machines with the toolkit but without the NVRTC package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rtseg.errors import CudaError
from rtseg.runners.cuda.failures import errors_of
from rtseg.runners.cuda.nvrtc import target_for

_FOLDERS = ("CUDA_HOME", "CUDA_PATH")
_USUAL = "/usr/local/cuda"


def find_nvcc() -> str | None:
    """Return nvcc's path: on the PATH, in CUDA_HOME or CUDA_PATH, or in the usual folder; None if there is none."""
    roots = [os.environ[name] for name in _FOLDERS if os.environ.get(name)]
    places = [os.path.join(root, "bin") for root in [*roots, _USUAL]]
    return shutil.which("nvcc") or shutil.which("nvcc", path=os.pathsep.join(places))


def compile_kernel(nvcc: str, source: str, arch: str, *, name: str = "kernel.cu", options: Sequence[str] = ()) -> bytes:
    """Return device code of the CUDA C++ source for an architecture such as sm_90: cubin, else PTX.

    name appears in messages; options are those that nvcc and NVRTC share. Raises CudaError with the compiler's errors.
    """
    known = _run([nvcc, "--list-gpu-arch"], "ask nvcc for its architectures")
    target = target_for(arch, [int(number) for number in re.findall(r"compute_(\d+)", known)])
    doing, form = f"compile {name} for {arch}", "--cubin" if target.startswith("sm_") else "--ptx"
    with tempfile.TemporaryDirectory() as scratch:
        given, made = Path(scratch, name), Path(scratch, "code")
        given.write_text(source, encoding="utf-8")
        command = [nvcc, form, f"--gpu-architecture={target}", *options, "-o", str(made), name]
        _run(command, doing, folder=scratch)
        code = made.read_bytes()
    return code if form == "--cubin" else code + b"\0"  # the driver reads PTX as a C string


def _run(command: list[str], doing: str, *, folder: str | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise CudaError(doing, name=f"{command[0]} does not start: {error.strerror}") from error
    if done.returncode:
        raise CudaError(doing, name=errors_of(done.stderr + done.stdout) or f"exit code {done.returncode}")
    return done.stdout
