"""What is said of a stored model: the line of C compiles whatever the path is."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import OpenVinoDetails
from rtseg.artifacts.manifest import Manifest
from rtseg.cli.show.build_text import stored_text, uses_of_stored
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec

OUTPUT = OutputSpec(ClassSpec("", ("a", "b"), ((0, 0, 0), (1, 2, 3))), "logits", 8, False)


def manifest(details: OpenVinoDetails) -> Manifest:
    return Manifest("openvino", "affnet", {}, "", "int8", ImageSpec(64, 96), OUTPUT, details=details)


def test_what_it_was_compared_with_is_said_where_it_was() -> None:
    details = OpenVinoDetails("openvino", "2026.4.1", identical_on=("a", "b"), build_seconds=1.25)
    assert stored_text(manifest(details)).splitlines() == [
        "int8 for the CPU, OpenVINO 2026.4.1: stored in 1.2 s",
        "gives the same bits as the ONNX file on 2 inputs",
    ]
    compared = OpenVinoDetails("openvino", "2026.4.1", compared_with="onnxruntime 1.20.0")
    assert stored_text(manifest(compared)).endswith("; compared with onnxruntime 1.20.0")


@pytest.mark.parametrize(
    ("path", "string"),
    [
        ("q.openvino.xml", '"q.openvino.xml"'),
        ('a "b".xml', r'"a \"b\".xml"'),
        ("a\\b.xml", r'"a\\b.xml"'),
    ],
)
def test_the_path_is_a_string_of_c_and_of_python(path: str, string: str) -> None:
    text = uses_of_stored(Artifact(PurePosixPath(path), manifest(OpenVinoDetails())))  # type: ignore[arg-type]
    assert f"rtseg.load({path!r})" in text
    assert f"rtseg_model_open({string}, NULL, &model)" in text
