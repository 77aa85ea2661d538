"""What is no regular file is no input either: no command waits for what a named pipe may give one day."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rtseg.artifacts.manifest import manifest_path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has none of these files")

COMMANDS: dict[str, tuple[str, ...]] = {
    "audit": ("audit", "PIPE"),
    "audit, an engine's layers": ("audit", "PIPE.layers.json"),
    "bench": ("bench", "PIPE"),
    "build, the settings": ("build", "MODEL", "--settings", "PIPE"),
    "calibrate, the set": ("calibrate", "MODEL", "--data", "streets:64x64", "--set", "PIPE", "-o", "OUT"),
    "export": ("export", "affnet", "--classes", "camvid", "--checkpoint", "PIPE", "--resolution", "64x64", "-o", "OUT"),
    "import-checkpoint": ("import-checkpoint", "affnet", "PIPE", "--classes", "camvid", "-o", "OUT"),
    "import-onnx": ("import-onnx", "PIPE", "-o", "OUT"),
    "quantize": ("quantize", "PIPE", "--to", "fp16", "-o", "OUT"),
    "quantize, the table": ("quantize", "MODEL", "--to", "int8", "--table", "PIPE", "-o", "OUT"),
    "run": ("run", "PIPE", "PICTURE", "-o", "OUT"),
    "train, the recipe": ("train", "--recipe", "PIPE", "-o", "OUT"),
    "validate": ("validate", "PIPE", "--data", "streets:64x64"),
}
"""A command for each kind of file that is read, PIPE in its place."""


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_waits_for_a_named_pipe(
    name: str, export_copy: Path, picture: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    pipe = tmp_path / ("x.engine.layers.json" if "layers" in name else "x.onnx")
    os.mkfifo(pipe)
    places = {"PIPE": pipe, "PIPE.layers.json": pipe, "MODEL": export_copy, "PICTURE": picture, "OUT": tmp_path / "out"}
    told = refused(*(places.get(word, word) for word in COMMANDS[name]))
    assert "it is a named pipe, not a file" in told
    assert str(pipe) in told
    assert not (tmp_path / "out").exists()


def test_no_command_waits_for_a_named_pipe_in_place_of_a_manifest(
    export_copy: Path, refused: Callable[..., str]
) -> None:
    manifest_path(export_copy).unlink()
    os.mkfifo(manifest_path(export_copy))
    assert refused("bench", export_copy).startswith(
        f"cannot read {manifest_path(export_copy)}: it is a named pipe, not a file"
    )


def test_no_command_waits_for_a_named_pipe_beside_a_manifest(
    export_copy: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    shutil.copy(manifest_path(export_copy), manifest_path(pipe))
    assert refused("bench", pipe).startswith(f"cannot read {pipe}: it is a named pipe, not a file")
