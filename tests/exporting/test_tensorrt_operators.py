from __future__ import annotations

import onnx
import pytest
from onnx import helper

from rtseg.exporting.tensorrt_operators import unsupported_operators


def model_of(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(list(nodes), "g", [], []))


def node(kind: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, ["x"], ["y"], **attributes)


def test_operators_that_no_parser_of_8_5_has_are_named_once() -> None:
    model = model_of(node("Conv"), node("MaxUnpool"), node("Mish"), node("MaxUnpool"))
    assert unsupported_operators(model) == ["MaxUnpool", "Mish"]


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_is_parsed_in_the_modes_there_are(mode: str) -> None:
    assert unsupported_operators(model_of(node("Resize", mode=mode))) == []


def test_a_cubic_resize_is_not_parsed() -> None:
    assert unsupported_operators(model_of(node("Resize", mode="cubic"))) == ["Resize (cubic, half_pixel)"]


def test_a_resize_of_a_foreign_coordinate_rule_is_not_parsed() -> None:
    resize = node("Resize", mode="linear", coordinate_transformation_mode="tf_crop_and_resize")
    assert unsupported_operators(model_of(resize)) == ["Resize (linear, tf_crop_and_resize)"]
