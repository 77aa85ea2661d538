"""The C++ library, built and installed once for all tests of a run."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

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


def built_once(folder: Path) -> CppLibrary:
    """Return the library built below a folder that all workers of a run share: the first builds it, others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    library = CppLibrary(folder / "build", folder / "prefix")
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            # Less optimised than a user's: no bit depends on it, and it takes half as long.
            configure(
                library.build,
                f"-DCMAKE_INSTALL_PREFIX={library.prefix}",
                "-DCMAKE_BUILD_TYPE=None",
                "-DRTSEG_TESTS=ON",
            )
            make(library.build, "all", "install")
            (folder / "done").touch()
    return library


def shared_folder(base: Path, is_worker: bool) -> Path:
    """Return a folder that all workers of a pytest run share, given the temporary folder of one."""
    return (base.parent if is_worker else base) / "cpp-library"


def is_worker() -> bool:
    """Return whether this process is one of several that share the tests."""
    return "PYTEST_XDIST_WORKER" in os.environ
