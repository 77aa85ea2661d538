"""What holds for the INT8 form of any graph of our operators, whatever they are joined to."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtseg.errors import QuantizationError
from rtseg.graphs.identity import structure_sha256
from rtseg.graphs.view import GraphView
from rtseg.runners.openvino import OpenVinoRunner
from tests.quantization.small_graphs import (
    TARGETS,
    Sketch,
    images,
    measured_ranges,
    placed,
    quantized,
    ran,
    relative_error,
    without_pairs,
)

OPERATORS = ("Conv", "Conv", "Relu", "Add", "Concat", "MaxPool", "AveragePool", "Resize", "Mul", "Depthwise")
CHANNELS = 16
MAX_ERROR = 0.1
"""Root mean square, of a graph of at most ten operators whose ranges are measured on the very image."""

choices = st.lists(
    st.tuples(st.sampled_from(OPERATORS), st.integers(0, 99), st.integers(0, 99)), min_size=2, max_size=10
)


def grown(steps: list[tuple[str, int, int]]) -> Sketch:
    """A graph in which each operator reads tensors of those before it, with a convolution at the end."""
    sketch = Sketch(CHANNELS, 6, 6)
    tensors = [sketch.conv("stem", "image", CHANNELS)]
    for index, (operator, first, second) in enumerate(steps):
        name = f"{operator.lower()}{index}"
        source = tensors[first % len(tensors)]
        alike = [other for other in tensors if sketch.shapes[other] == sketch.shapes[source]]
        other = alike[second % len(alike)]
        if operator == "Conv":
            tensors.append(sketch.conv(name, source, CHANNELS, 1 + 2 * (second % 2)))
        elif operator == "Depthwise":
            channels = sketch.shapes[source][1]
            tensors.append(sketch.conv(name, source, channels, group=channels))
        elif operator == "Concat":
            narrow = [name for name in alike if sketch.shapes[name][1] <= 4 * CHANNELS]
            tensors.append(sketch.concat(name, source, narrow[second % len(narrow)]) if narrow else source)
        elif operator in ("MaxPool", "AveragePool"):
            tensors.append(sketch.pool(name, source, operator))
        elif operator == "Resize":
            tensors.append(sketch.resize(name, source) if sketch.shapes[source][2] <= 12 else source)
        elif operator == "Relu":
            tensors.append(sketch.relu(name, source))
        else:
            tensors.append(sketch.apply(operator, name, source, other))
    sketch.conv("head", sketch.conv("last", tensors[-1], CHANNELS), 11, 1)
    return sketch


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(choices)
def test_the_quantised_graph_is_valid_runs_and_is_close_to_what_it_was_made_from(
    target: str, steps: list[tuple[str, int, int]]
) -> None:
    model = grown(steps).model("head")
    [image] = images(model)
    ranges = measured_ranges(model, [image], slack=1.05)
    result = quantized(model, target, ranges=ranges)  # held to the canonical contract, which includes the order

    made = {"image"} | {entry.name for entry in result.graph.initializer}
    for node in result.graph.node:
        assert {name for name in node.input if name} <= made
        made |= set(node.output)

    assert structure_sha256(GraphView(without_pairs(result, model))) == structure_sha256(GraphView(model))

    view, placement = GraphView(result), placed(model, target)
    for group in placement.shared:
        scales = {view.constant(f"{name}_scale").item() for name in group if view.is_constant(f"{name}_scale")}
        assert len(scales) <= 1

    expected = ran(model, image)
    assert relative_error(ran(result, image), expected) < MAX_ERROR or np.abs(expected).max() < 1e-3


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
@pytest.mark.parametrize("target", ["tensorrt", "openvino"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=choices)
def test_openvino_gives_what_the_file_says(tmp_path: Path, target: str, steps: list[tuple[str, int, int]]) -> None:
    model = grown(steps).model("head")
    [image] = images(model)
    result = quantized(model, target, ranges=measured_ranges(model, [image], slack=1.05))
    onnx.save(result, tmp_path / "int8.onnx")
    with OpenVinoRunner(tmp_path / "int8.onnx", threads=1) as runner:
        given_there = runner.infer(image)
    expected = ran(result, image, optimized=False)
    assert relative_error(given_there, expected) < MAX_ERROR or np.abs(expected).max() < 1e-3


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=25, deadline=None)
@given(choices, st.integers(0, 99))
def test_an_excluded_operator_reads_what_it_read(target: str, steps: list[tuple[str, int, int]], chosen: int) -> None:
    model = grown(steps).model("head")
    names = [node.name for node in GraphView(model).nodes]
    excluded = names[chosen % len(names)]
    ranges = measured_ranges(model, images(model))
    result = quantized(model, target, ranges=ranges, excluded=[excluded[1:]])
    before, after = ({n.name: list(n.input) for n in proto.graph.node} for proto in (model, result))
    assert after[excluded] == before[excluded]


@pytest.mark.parametrize("target", TARGETS)
def test_a_tensor_the_table_does_not_know_is_named(target: str) -> None:
    model = grown([("Relu", 0, 0)]).model("head")
    ranges = measured_ranges(model, images(model))
    del ranges["last"]
    with pytest.raises(QuantizationError, match="no range for the tensor last"):
        quantized(model, target, ranges=ranges)
