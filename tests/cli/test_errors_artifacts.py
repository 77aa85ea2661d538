"""Exported files and manifests that are damaged, altered or not what they claim."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from rtseg.artifacts.files import sha256_of
from rtseg.artifacts.manifest import manifest_path

Refused = Callable[..., str]


@pytest.fixture
def run_refused(refused: Refused, export_copy: Path, picture: Path, tmp_path: Path) -> Callable[[], str]:
    """Label a picture with the damaged file, which has to fail and to write nothing."""

    def message() -> str:
        told = refused("run", export_copy, picture, "-o", tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return told

    return message


def sign(path: Path) -> None:
    """Make the manifest state the digest that the file has now."""
    data = json.loads(manifest_path(path).read_text())
    manifest_path(path).write_text(json.dumps({**data, "sha256": sha256_of(path)}))


def test_a_file_that_does_not_exist_is_refused(refused: Refused, picture: Path, tmp_path: Path) -> None:
    message = refused("run", tmp_path / "none.onnx", picture, "-o", tmp_path / "out")
    assert message.startswith(f"cannot read {tmp_path / 'none.onnx'}: No such file")


def test_one_flipped_byte_is_noticed(run_refused: Callable[[], str], export_copy: Path) -> None:
    content = bytearray(export_copy.read_bytes())
    content[len(content) // 2] ^= 1
    export_copy.write_bytes(content)
    message = run_refused()
    assert "does not match its manifest; got sha256" in message
    assert message.endswith("Try: copy the file and its manifest again, or repeat the command that wrote them")


@pytest.mark.parametrize("kept", [0, 1, 1000, -1000], ids=["empty", "one byte", "its head", "all but its end"])
def test_a_truncated_file_is_noticed(run_refused: Callable[[], str], export_copy: Path, kept: int) -> None:
    export_copy.write_bytes(export_copy.read_bytes()[:kept])
    assert "does not match its manifest" in run_refused()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 100], ids=["empty", "text", "zeros"])
def test_what_is_no_onnx_is_refused_even_when_signed(
    run_refused: Callable[[], str], export_copy: Path, content: bytes
) -> None:
    export_copy.write_bytes(content)
    sign(export_copy)
    assert run_refused().startswith(f"ONNX Runtime cannot load {export_copy}")


def test_a_truncated_file_is_refused_even_when_signed(run_refused: Callable[[], str], export_copy: Path) -> None:
    export_copy.write_bytes(export_copy.read_bytes()[:-1000])
    sign(export_copy)
    assert run_refused().startswith(f"ONNX Runtime cannot load {export_copy}")


def test_other_metadata_are_refused_even_when_signed(run_refused: Callable[[], str], export_copy: Path) -> None:
    model = onnx.load(export_copy)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    properties["rtseg.image"] = properties["rtseg.image"].replace('"RGB"', '"BGR"')
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, export_copy)
    sign(export_copy)
    assert (
        "different contracts: rtseg.image; got {'colour_order': 'BGR'}; expected {'colour_order': 'RGB'}"
        in run_refused()
    )


def test_an_output_of_another_shape_is_refused_even_when_signed(
    run_refused: Callable[[], str], export_copy: Path
) -> None:
    model = onnx.load(export_copy)
    output = model.graph.output[0]
    model.graph.node.append(onnx.helper.make_node("Concat", [output.name, output.name], ["twice"], axis=1))
    output.name = "twice"
    output.type.tensor_type.shape.dim[1].dim_value *= 2
    onnx.save(model, export_copy)
    sign(export_copy)
    assert (
        run_refused() == "the graph's output does not match its manifest; got (1, 22, 16, 24); expected (1, 11, 16, 24)"
    )


def test_a_file_without_its_manifest_is_refused(run_refused: Callable[[], str], export_copy: Path) -> None:
    manifest_path(export_copy).unlink()
    assert run_refused().startswith(f"{export_copy} has no manifest beside it, ")


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"null", b"[]", b"3", b"{}", b"\xff\xfe\x00", b"[" * 100_000, b"1" * 10_000, b'{"kind": "onnx"'],
    ids=["empty", "text", "null", "list", "number", "no field", "no text", "deep", "long number", "cut"],
)
def test_a_manifest_that_is_none_is_refused(run_refused: Callable[[], str], export_copy: Path, content: bytes) -> None:
    manifest_path(export_copy).write_bytes(content)
    assert run_refused().startswith(f"{manifest_path(export_copy)} is not an rtseg manifest (")


def changed(data: dict[str, Any], where: str, value: object) -> dict[str, Any]:
    """Return the manifest with one value replaced; where names it as a.b.c."""
    head, _, rest = where.partition(".")
    return {**data, head: changed(data[head], rest, value) if rest else value}


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("format", "rtseg/3"),
        ("kind", 5),
        ("kind", "plan"),
        ("network", ["affnet"]),
        ("options", 3),
        ("sha256", None),
        ("parent_sha256", 3),
        ("tools", {"torch": 2}),
        ("details", []),
        ("details", {}),
        ("details.made_by", "nobody"),
        ("details.parity", 3),
        ("details.surplus", 3),
        ("image", []),
        ("image.height", "64"),
        ("image.height", 64.0),
        ("image.height", True),
        ("image.height", 0),
        ("image.mean", ["a", "b", "c"]),
        ("image.mean", [0.5, 0.5]),
        ("image.std", [0.0, 1.0, 1.0]),
        ("image.scale", None),
        ("image.colour_order", "GRB"),
        ("output", None),
        ("output.stride", "8"),
        ("output.stride", 7),
        ("output.align_corners", "false"),
        ("output.interface", {}),
        ("output.classes", 11),
        ("output.classes.names", "abcdefghijk"),
        ("output.classes.names", [1] * 11),
        ("output.classes.palette", [[0, 0, 256]] * 11),
        ("output.classes.palette", [3] * 11),
        ("output.classes.ignore_index", "x"),
        ("surplus", 1),
    ],
)
def test_a_manifest_with_a_wrong_value_is_refused_and_the_field_named(
    run_refused: Callable[[], str], export_copy: Path, where: str, value: object
) -> None:
    data = json.loads(manifest_path(export_copy).read_text())
    manifest_path(export_copy).write_text(json.dumps(changed(data, where, value)))
    message = run_refused()
    assert message.startswith(f"{manifest_path(export_copy)} is not an rtseg manifest (")
    assert len(message) < 400


@pytest.mark.parametrize("name", ["kind", "sha256", "image", "output", "details"])
def test_a_manifest_that_lacks_a_field_is_refused(run_refused: Callable[[], str], export_copy: Path, name: str) -> None:
    data = json.loads(manifest_path(export_copy).read_text())
    del data[name]
    manifest_path(export_copy).write_text(json.dumps(data))
    assert run_refused().endswith(f"is not an rtseg manifest (the manifest lacks fields; expected {name})")


def test_an_artifact_of_another_kind_is_refused(run_refused: Callable[[], str], export_copy: Path) -> None:
    data = json.loads(manifest_path(export_copy).read_text())
    manifest_path(export_copy).write_text(json.dumps({**data, "kind": "checkpoint"}))
    assert run_refused().endswith("is another kind of artifact; got checkpoint; expected onnx or engine or openvino")


@pytest.mark.parametrize("command", ["run", "validate", "bench"])
def test_every_command_that_takes_an_artifact_verifies_it(
    refused: Refused, export_copy: Path, picture: Path, tmp_path: Path, command: str
) -> None:
    export_copy.write_bytes(b"")
    rest = {
        "run": (picture, "-o", tmp_path / "out"),
        "validate": ("--data", "streets", "--limit", "1"),
        "bench": ("--seconds", "0.1"),
    }
    assert "does not match its manifest" in refused(command, export_copy, *rest[command])
