"""Programs of engines/cpp/tests, compiled: what shows a part of the C++ library to a test."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

CPP = Path(__file__).resolve().parents[2] / "engines" / "cpp"
CXX = shutil.which("c++")
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")


def compiled(folder: Path, sources: Sequence[str], *flags: str) -> Path:
    """Compile sources of engines/cpp as one program, named after the first, into folder. Skips without a compiler."""
    if CXX is None:
        pytest.skip("no C++ compiler (c++)")
    program = folder / Path(sources[0]).stem
    includes = [f"-I{CPP / name}" for name in ("", "include", "src")]
    subprocess.run(
        [CXX, "-std=c++17", "-O0", *STRICT, *includes, *(CPP / name for name in sources), "-o", program, *flags],
        check=True,
    )
    return program
