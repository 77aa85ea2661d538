"""Cuts a graph into stretches, so that all activations can be observed without having all of them in memory."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from rtseg.errors import CalibrationError
from rtseg.frame.protocol import TensorSpec
from rtseg.graphs.view import GraphView
from rtseg.runners.activations import Stretch

BUDGET_BYTES = 512 * 2**20
"""Memory for the tensors of one stretch, including its inputs."""


def tensor_spec(view: GraphView, tensor: str) -> TensorSpec:
    """Return name, shape and dtype of a tensor. Raises CalibrationError if the graph does not state its shape."""
    try:
        shape, element_type = view.shape(tensor), view.element_type(tensor)
    except KeyError:
        shape, element_type = (0,), 0
    if not all(shape) or not element_type:
        raise CalibrationError(f"the shape of {tensor} is not known before it is computed", expected="a static graph")
    return TensorSpec(tensor, shape, np.dtype(helper.tensor_dtype_to_np_dtype(element_type)).name)


def cut(view: GraphView, observed: Collection[str], *, budget_bytes: int = BUDGET_BYTES) -> tuple[Stretch, ...]:
    """Return the graph as stretches that output the observed tensors and compute each node they need once.

    The inputs and outputs of a stretch stay within the budget as far as the graph allows: a node is never split, and
    tensors that later stretches need must stay in memory. Raises CalibrationError.
    """
    nodes = _needed(view, observed)
    last_read = {name: index for index, node in enumerate(nodes) for name in node.input}
    stretches = []
    for begin, end in _bounds(view, nodes, last_read, observed, budget_bytes):
        inside = nodes[begin:end]
        made = [name for node in inside for name in node.output if name]
        taken = dict.fromkeys(name for node in inside for name in node.input if name)
        own = set(made)
        inputs = [name for name in taken if name not in own and not view.is_constant(name)]
        outputs = [name for name in made if name in observed or last_read.get(name, -1) >= end]
        stretches.append(
            Stretch(
                _model(view, inside, inputs, outputs).SerializeToString(),
                tuple(tensor_spec(view, name) for name in inputs),
                tuple(tensor_spec(view, name) for name in outputs),
                tuple(name for name in outputs if name in observed),
            )
        )
    return tuple(stretches)


def _needed(view: GraphView, observed: Collection[str]) -> list[onnx.NodeProto]:
    """Return the nodes that an observed tensor depends on, in computing order."""
    wanted, nodes = set(observed), []
    for node in reversed(view.nodes):
        if wanted.intersection(node.output):
            wanted.update(filter(None, node.input))
            nodes.append(node)
    return nodes[::-1]


def _bounds(
    view: GraphView,
    nodes: Sequence[onnx.NodeProto],
    last_read: dict[str, int],
    observed: Collection[str],
    budget_bytes: int,
) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each stretch: as long as its tensors and those kept for later ones fit the budget."""
    begin, held = 0, 0
    waiting: dict[str, int] = {}
    for index, node in enumerate(nodes):
        kept = [name for name in node.output if name and (name in observed or name in last_read)]
        made = {name: _size(view, name) for name in kept}
        if index > begin and held + sum(made.values()) > budget_bytes:
            yield begin, index
            begin = index
            waiting = {name: size for name, size in waiting.items() if last_read.get(name, -1) >= begin}
            held = sum(waiting.values())
        waiting.update(made)
        held += sum(made.values())
    if nodes:
        yield begin, len(nodes)


def _size(view: GraphView, tensor: str) -> int:
    spec = tensor_spec(view, tensor)
    return math.prod(spec.shape) * np.dtype(spec.dtype).itemsize


def _model(
    view: GraphView, nodes: Sequence[onnx.NodeProto], inputs: Sequence[str], outputs: Sequence[str]
) -> onnx.ModelProto:
    constants = dict.fromkeys(name for node in nodes for name in node.input if view.is_constant(name))
    graph = helper.make_graph(
        nodes,
        "stretch",
        [_value_info(view, name) for name in inputs],
        [_value_info(view, name) for name in outputs],
        [numpy_helper.from_array(view.constant(name), name) for name in constants],
    )
    return helper.make_model(graph, opset_imports=view.model.opset_import, ir_version=view.model.ir_version)


def _value_info(view: GraphView, tensor: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor, view.element_type(tensor), view.shape(tensor))
