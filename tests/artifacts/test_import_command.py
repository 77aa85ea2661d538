"""The command that takes in a file, as far as the file tells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtseg.artifacts.import_command import import_command

Side = int | str
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
HEIGHT_WIDTH = (64, 96)


def written(
    path: Path, source: Sequence[Side] | None, result: Sequence[Side] | None, element: int = FLOAT, **metadata: str
) -> Path:
    """Write a graph of those ends, with a constant that IR 3 wants among its inputs."""
    weight = numpy_helper.from_array(__import__("numpy").zeros((5, 3, 1, 1), "float32"), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, source), helper.make_tensor_value_info("w", FLOAT, (5, 3, 1, 1))],
        [helper.make_tensor_value_info("y", element, result)],
        [weight],
    )
    model = helper.make_model(graph)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("source", "result", "element", "options"),
    [
        ((1, 3, 64, 96), (1, 5, 64, 96), FLOAT, "--classes 5 --normalization NAME"),
        (
            (1, 3, 64, 96),
            (1, 5, 8, 12),
            FLOAT,
            "--classes 5 --normalization NAME --no-align-corners",
        ),
        ((1, 64, 96, 3), (1, 64, 96, 5), FLOAT, "--classes 5 --normalization NAME"),
        (("n", 3, "h", "w"), ("n", 5, "h", "w"), FLOAT, "--classes 5 --normalization NAME --resolution HxW"),
        ((1, 3, 64, 96), (1, 1, 64, 96), FLOAT, "--classes 2 --normalization NAME"),
        ((1, 3, 64, 96), (1, 64, 96), INT64, "--classes N --normalization NAME"),
        ((1, 3, 64, 96), None, FLOAT, "--classes N --normalization NAME"),
    ],
)
def test_what_the_file_shows_is_filled_in(
    source: Sequence[Side], result: Sequence[Side] | None, element: int, options: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "mine.onnx", source, result, element)
    assert import_command(path) == f"rtseg import-onnx {path} {options}"


def test_a_file_that_states_its_contracts_needs_no_options(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.onnx", (1, 3, 64, 96), (1, 5, 64, 96), **{"rtseg.image": "{}"})
    assert import_command(path) == f"rtseg import-onnx {path}"


@pytest.mark.parametrize("content", [b"", b"hello", b"\x3a\xff\xff\xff\xff\x0f", bytes(range(256))])
def test_of_what_is_no_onnx_file_the_command_has_no_options(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    assert import_command(tmp_path / "a.onnx") == f"rtseg import-onnx {tmp_path / 'a.onnx'}"


def test_a_file_cut_anywhere_gives_a_command(tmp_path: Path) -> None:
    content = written(tmp_path / "a.onnx", (1, 3, 64, 96), (1, 5, 64, 96)).read_bytes()
    for length in range(len(content)):
        (tmp_path / "b.onnx").write_bytes(content[:length])
        assert import_command(tmp_path / "b.onnx").startswith(f"rtseg import-onnx {tmp_path / 'b.onnx'}")
