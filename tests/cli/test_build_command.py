"""`rtseg build` where no engine can be built: one line each, and nothing written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Outcome, error_of

Cli = Callable[..., Outcome]
Refused = Callable[..., str]


@pytest.fixture
def build_refused(
    cli: Cli, tmp_path: Path, files_in: Callable[[Path], list[str]], monkeypatch: pytest.MonkeyPatch
) -> Refused:
    """Run `rtseg build` without TensorRT, which has to fail and to write nothing; return its message."""
    for module in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, module, None)

    def refused(*arguments: object) -> str:
        before = files_in(tmp_path)
        message = error_of(cli("build", *arguments, "-o", tmp_path / "a.engine"))
        assert files_in(tmp_path) == before
        return message

    return refused


def test_without_tensorrt_the_command_says_what_to_install(build_refused: Refused, exported: Path) -> None:
    told = build_refused(exported, "--precision", "fp16")
    assert told == (
        "building an engine needs the package tensorrt_rtx or tensorrt, which is not installed. "
        "Try: run pip install 'rtseg[rtx]'"
    )


def test_a_file_that_does_not_exist_or_was_altered_is_told_first(build_refused: Refused, export_copy: Path) -> None:
    assert "cannot read none.onnx: No such file" in build_refused("none.onnx")
    export_copy.write_bytes(export_copy.read_bytes()[:-1])
    assert "does not match its manifest" in build_refused(export_copy)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("optimization_level = 9", "the build setting optimization_level is out of range; got 9; expected 0 to 5"),
        ("fp16 = true", "has unknown fields; got fp16"),
        ("= 1", "is not TOML"),
    ],
)
def test_a_profile_that_cannot_be_is_told(
    build_refused: Refused, exported: Path, tmp_path: Path, text: str, told: str
) -> None:
    settings = tmp_path / "p.toml"
    settings.write_text(text)
    assert told in build_refused(exported, "--settings", settings)


def test_a_precision_that_nobody_knows_is_wrong_usage(misused: Refused, exported: Path) -> None:
    assert "'fp8' is not one of 'fp32', 'fp16', 'int8'" in misused("build", exported, "--precision", "fp8")
    assert "--workspace" in misused("build", exported, "--workspace", 0)
