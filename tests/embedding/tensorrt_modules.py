"""The backend `tensorrt` of the C++ library, built by its own CMake file, and the programs that open it.

What is built needs nvcc and the headers of a release, folders of `tensorrt_headers` among the tests' data.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import rtseg
from rtseg.runners.cuda.nvcc import find_nvcc
from tests.embedding.tensorrt_tables import tables

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CPP = ROOT / "engines" / "cpp"
BACKEND = CPP / "backends" / "tensorrt"
NATIVE = Path(rtseg.__file__).parent / "native"
TABLES = ("VRuntime", "VCudaEngine", "VExecutionContext", "VRuntimeConfig", "VRuntimeCache")
RTX_PREAMBLE = 64
"""Bytes before the text of an engine of the double, for TensorRT for RTX, which reads its release there."""


@dataclass(frozen=True)
class Module:
    """A module, the program that opens it, and the release of its headers, such as "8.5.3"."""

    path: Path
    host: Path
    folder: Path
    headers: Path
    release: str
    is_rtx: bool

    @contextmanager
    def opened(self, *libraries: Path, **variables: str) -> Iterator[Conversation]:
        """Start the program with those folders to look for libraries in."""
        environment = {**os.environ, **variables, "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))}
        process = subprocess.Popen(
            [self.host, self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        try:
            yield Conversation(process)
        finally:
            process.communicate(timeout=120)
        assert process.returncode == 0


class Conversation:
    """A running program, and its answers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, *words: object) -> str:
        """Return the answer to a line."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().rstrip("\n")

    def describe(self, fields: Mapping[str, object]) -> None:
        """Set fields of the manifest."""
        for name, value in fields.items():
            assert self.ask("set", name, int(value) if isinstance(value, bool) else value) == "ok"


def built_module(headers: Path, folder: Path) -> Module:
    """Return the module of a folder with the headers in include/, and the program."""
    if find_nvcc() is None or shutil.which("cmake") is None:
        pytest.skip("no nvcc or no cmake")
    version = {}
    for line in (headers / "include" / "NvInferVersion.h").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["#define"] and len(words) > 2 and words[2].isdigit():
            version[words[1]] = words[2]
    is_rtx = "TRT_MAJOR_RTX" in version
    names = next(n for n in ("TRT_{}_RTX", "TRT_{}_ENTERPRISE", "NV_TENSORRT_{}") if n.format("MAJOR") in version)
    release = ".".join(version[names.format(part)] for part in ("MAJOR", "MINOR", "PATCH"))
    option = "TENSORRT_RTX_ROOT" if is_rtx else "TENSORRT_ROOT"
    command = ["cmake", "-S", BACKEND, "-B", folder / "build", f"-D{option}={headers}"]
    _run([*command, "-DRTSEG_CUDA_ARCHITECTURES=80", "-DCMAKE_CXX_FLAGS=-Werror"])
    _run(["cmake", "--build", folder / "build"])
    host = folder / "host"
    _run(
        [
            "c++",
            "-std=c++17",
            f"-I{CPP / 'include'}",
            f"-I{CPP / 'src'}",
            HERE / "tensorrt_host.cpp",
            "-o",
            host,
            "-ldl",
        ]
    )
    name = "tensorrt-rtx" if is_rtx else "tensorrt"
    module = folder / "build" / f"librtseg_backend_{name}.so"
    return Module(module, host, folder, headers / "include", release, is_rtx)


def doubles_for(module: Module) -> Path:
    """Return a folder with doubles of the driver and of TensorRT's library, for a module."""
    folder = module.folder / "doubles"
    folder.mkdir()
    toolkit = _toolkit()
    (folder / "tables.h").write_text(tables(module.headers, TABLES), encoding="utf-8")
    exact = ["-std=c++17", "-O1", "-w", "-fPIC", "-ffp-contract=off", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE"]
    includes = [f"-I{NATIVE}", f"-I{HERE.parent / 'native'}", f"-I{folder}", f"-I{module.headers}", f"-I{toolkit}"]
    # pragmas of loops and what the kernels' emulation does with fibres: -w; its own test is strict
    driver = folder / "libcuda.so.1"
    sources = [HERE.parent / "native" / "frame_ends_on_cpu.cpp", HERE / "cuda_double.cpp"]
    _run(["c++", *exact, *includes, "-shared", "-Wl,-soname,libcuda.so.1", *sources, "-o", driver])
    major = module.release.split(".")[0]
    name = f"libtensorrt_rtx.so.{major}" if module.is_rtx else f"libnvinfer.so.{major}"
    skips = f"-DRTSEG_DOUBLE_SKIPS={RTX_PREAMBLE if module.is_rtx else 0}"
    soname = f"-Wl,-soname,{name}"
    _run(
        ["c++", *exact, *includes, skips, "-shared", soname, HERE / "tensorrt_double.cpp", driver, "-o", folder / name]
    )
    return folder


def engine_file(module: Module, path: Path, text: str) -> Path:
    """Write an engine of TensorRT's double."""
    preamble = b""
    if module.is_rtx:
        release = bytes(int(number) for number in module.release.split("."))
        preamble = b"R" + bytes(23) + release + bytes(RTX_PREAMBLE - 27)
    path.write_bytes(preamble + text.encode())
    return path


def _toolkit() -> Path:
    """Return the folder of cuda.h."""
    nvcc = find_nvcc()
    assert nvcc is not None
    told = subprocess.run(
        [nvcc, "-v", "-E", "-x", "cu", os.devnull, "--dryrun"], capture_output=True, text=True, check=False
    )
    top = next(line.split("=", 1)[1] for line in told.stderr.splitlines() if line.startswith("#$ TOP="))
    return Path(top.strip(), "include")


def _run(command: list[object]) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
