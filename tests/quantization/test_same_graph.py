"""A quantised file computes what its original computes, but for its roundings; one that does not gets no name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from rtseg.errors import QuantizationError
from rtseg.graphs.view import GraphView
from rtseg.quantization import files
from rtseg.quantization.files import Original, int8_graph, read_original, read_table, write_derived
from rtseg.quantization.fp16 import to_fp16
from rtseg.quantization.same_graph import without_pairs
from rtseg.specs import TARGETS

Damage = Callable[[onnx.GraphProto], object]


def drop_a_relu(graph: onnx.GraphProto) -> None:
    node = next(node for node in graph.node if node.op_type == "Relu")
    node.op_type = "Identity"


def clip_large_values(graph: onnx.GraphProto) -> None:
    """Bound what the first convolution reads, to more than any normalised picture has."""
    kind = next(entry for entry in graph.initializer if entry.data_type in (1, 10)).data_type
    first = next(node for node in graph.node if node.op_type == "Conv")
    for name, bound in (("least", -30), ("most", 30)):
        values = np.array(bound, np.float32 if kind == 1 else np.float16)
        graph.initializer.append(numpy_helper.from_array(values, name))
    index = list(graph.node).index(first)
    nodes = list(graph.node)
    nodes.insert(index, helper.make_node("Clip", [first.input[0], "least", "most"], ["bounded"], "bounded"))
    first.input[0] = "bounded"
    del graph.node[:]
    graph.node.extend(nodes)


def lose_a_scale(graph: onnx.GraphProto) -> None:
    node = next(node for node in graph.node if node.op_type == "DequantizeLinear")
    graph.initializer.append(numpy_helper.from_array(np.float32(1), "one"))
    node.input[1] = "one"


def move_a_stored_weight(graph: onnx.GraphProto) -> None:
    entry = next(entry for entry in graph.initializer if entry.name.endswith("weight_quantized"))
    values = numpy_helper.to_array(entry).copy()
    values.flat[0] += 1
    entry.CopyFrom(numpy_helper.from_array(values, entry.name))


@pytest.mark.parametrize("target", TARGETS)
def test_without_its_pairs_a_file_is_its_original(exported: Path, calibrated: Path, target: str) -> None:
    original = read_original(exported)
    model, _ = int8_graph(original, read_table(calibrated, original), target=target)
    plain = without_pairs(model, original.view, "x.onnx").graph
    assert [(node.op_type, list(node.input)) for node in plain.node] == [
        (node.op_type, list(node.input)) for node in original.model.graph.node
    ]


@pytest.mark.parametrize(
    ("target", "damage"),
    [("tensorrt", drop_a_relu), ("openvino", lose_a_scale), ("onnxruntime", lose_a_scale)],
)
def test_an_int8_file_that_computes_something_else_gets_no_name(
    exported: Path, calibrated: Path, tmp_path: Path, target: str, damage: Damage
) -> None:
    original = read_original(exported)
    model, _ = int8_graph(original, read_table(calibrated, original), target=target)
    damage(model.graph)
    with pytest.raises(QuantizationError, match=r"differs too much from|of a pair differ|the original constant"):
        write_derived(original, model, tmp_path / "x.onnx", precision="int8")
    assert list(tmp_path.iterdir()) == []


def test_a_stored_weight_a_step_away_is_seen(exported: Path, calibrated: Path, tmp_path: Path) -> None:
    original = read_original(exported)
    model, _ = int8_graph(original, read_table(calibrated, original), target="onnxruntime")
    move_a_stored_weight(model.graph)
    with pytest.raises(QuantizationError, match=r"weight in .*x\.onnx differs from the original constant"):
        write_derived(original, model, tmp_path / "x.onnx", precision="int8")


@pytest.mark.parametrize("damage", [drop_a_relu, clip_large_values])
def test_an_fp16_file_that_computes_something_else_gets_no_name(
    affnet_file: Path, tmp_path: Path, damage: Damage
) -> None:
    original = read_original(affnet_file)
    model = to_fp16(original.model).model
    damage(model.graph)
    with pytest.raises(QuantizationError, match=r"x\.onnx differs too much from .*affnet\.onnx"):
        write_derived(original, model, tmp_path / "x.onnx", precision="fp16")
    assert list(tmp_path.iterdir()) == []


def test_the_comparison_is_made_before_the_file_gets_its_name(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Path]] = []
    monkeypatch.setattr(files, "require_same_results", lambda *given: seen.append(list(tmp_path.glob("x.onnx*"))))
    original = read_original(exported)
    write_derived(original, to_fp16(original.model).model, tmp_path / "x.onnx", precision="fp16")
    assert seen == [[]]


def renamed(model: onnx.ModelProto, old: str, new: str) -> None:
    """Give a constant another name, everywhere."""
    for entry in model.graph.initializer:
        if entry.name == old:
            entry.name = new
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new


@pytest.mark.parametrize(
    ("target", "suffix"),
    [("tensorrt", "scale"), ("tensorrt", "dequantized"), ("onnxruntime", "zero_point"), ("openvino", "quantized")],
)
def test_pairs_take_no_name_that_the_graph_has(exported: Path, calibrated: Path, target: str, suffix: str) -> None:
    original = read_original(exported)
    table = read_table(calibrated, original)
    first = next(node for node in original.model.graph.node if node.op_type == "Conv")
    model = onnx.ModelProto()
    model.CopyFrom(original.model)
    renamed(model, first.input[1], f"{first.input[0]}_{suffix}")
    other = Original(original.artifact, GraphView(model))
    made, _ = int8_graph(other, table, target=target)
    tensors = [name for node in made.graph.node for name in node.output]
    tensors += [entry.name for entry in made.graph.initializer]
    assert len(set(tensors)) == len(tensors)
    assert list(without_pairs(made, other.view, "x.onnx").graph.node) == list(model.graph.node)
