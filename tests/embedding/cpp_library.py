"""The C++ library, built and installed once for all tests of a run."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.outside import outside

CPP = Path(__file__).resolve().parents[2] / "engines" / "cpp"

GOLDEN = CPP / "tests" / "golden"
PLAIN_ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
"""Nothing in reach that a user's program would not have: no Python, no virtual environment."""


@dataclass(frozen=True)
class CppLibrary:
    """A build tree, and the place where it is installed."""

    build: Path
    prefix: Path

    def program(self, name: str) -> Path:
        """Return an installed program."""
        return self.prefix / "bin" / name

    def test_program(self, name: str) -> Path:
        """Return a program of engines/cpp/tests."""
        return self.build / "bin" / name

    def run(self, name: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run an installed program without Python in reach."""
        return run([self.program(name), *arguments], **variables)


def run(command: Sequence[object], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program without Python in reach, and give what it printed."""
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, env={**PLAIN_ENVIRONMENT, **variables}, timeout=300)


def openvino_folder() -> Path:
    """Return where pip put OpenVINO. Skips where it did not."""
    found = importlib.util.find_spec("openvino")
    if found is None or found.origin is None:
        pytest.skip("OpenVINO is not installed")
    return Path(found.origin).parent


def onnxruntime_headers() -> Path | None:
    """Return the folder of ONNX Runtime's C header: Debian's, or one of the tests' data. None where there is none."""
    places = (Path("/usr/include/onnxruntime"), outside("onnxruntime"))
    return next((folder for folder in places if (folder / "onnxruntime_c_api.h").exists()), None)


def onnxruntime_library() -> Path:
    """Return the library in the package onnxruntime. Skips where there is none."""
    found = importlib.util.find_spec("onnxruntime")
    folder = Path(found.origin).parent / "capi" if found is not None and found.origin is not None else Path()
    library = next(folder.glob("libonnxruntime.so*"), None)
    if library is None:
        pytest.skip("onnxruntime is not installed, or has no library")
    return library


def _onnxruntime_options() -> list[str]:
    headers = onnxruntime_headers()
    if headers is None:
        return []
    library = onnxruntime_library()
    return ["-DRTSEG_ONNXRUNTIME=ON", f"-DRTSEG_ONNXRUNTIME_ROOT={headers}", f"-DRTSEG_ONNXRUNTIME_LIBRARY={library}"]


def configure(build: Path, *options: str) -> None:
    """Configure the library in a folder; every warning is an error. Skips without cmake and what engines/cpp needs."""
    if shutil.which("cmake") is None:
        pytest.skip("no cmake")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    command = ["cmake", "-S", CPP, "-B", build, *generator, "-DCMAKE_PREFIX_PATH=" + str(openvino_folder()), *options]
    if not any(option.startswith("-DCMAKE_CXX_FLAGS") for option in options):
        command += ["-DCMAKE_C_FLAGS=-Werror", "-DCMAKE_CXX_FLAGS=-Werror"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode and ("Could NOT find" in done.stderr or "Could not find" in done.stderr):
        pytest.skip("a Debian package that engines/cpp/README.md names is not installed")
    assert done.returncode == 0, done.stderr


def make(build: Path, *targets: str) -> None:
    """Build and, where the target is install, install."""
    done = subprocess.run(
        ["cmake", "--build", str(build), "-j2", *(word for name in targets for word in ("--target", name))],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def library_in(folder: Path) -> CppLibrary:
    """Return the library that build wrote into a folder."""
    return CppLibrary(folder / "build", folder / "prefix")


def build(folder: Path) -> None:
    """Build the library, its programs and its tests in a folder, and install it there."""
    library = library_in(folder)
    # Less optimised than a user's: no bit depends on it, and it takes half as long.
    configure(
        library.build,
        f"-DCMAKE_INSTALL_PREFIX={library.prefix}",
        "-DCMAKE_BUILD_TYPE=None",
        "-DRTSEG_TESTS=ON",
        *_onnxruntime_options(),
    )
    make(library.build, "all", "install")
