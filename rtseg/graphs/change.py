"""A changed copy of a graph, made from new definitions of its tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from rtseg.graphs.names import fresh_name, names_in
from rtseg.graphs.view import GraphView


class GraphChange:
    """Collects new definitions of a graph's tensors, and makes the copy that computes them this way.

    A definition computes the same value as before, from tensors that the graph computes earlier. So any number of
    definitions work together in any order, and none can form a cycle. A pass finds its places in the original graph
    (view) and need not know what it changed elsewhere. Nodes that nothing reads any more are dropped.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.view = GraphView(model)
        self._model = model
        self._taken = names_in(model)
        self._defined: dict[str, onnx.NodeProto] = {}
        self._constants: dict[str, onnx.TensorProto] = {}

    def constant(self, wanted: str, value: NDArray[Any]) -> str:
        """Add a constant under the wanted name or a similar one; return the name."""
        name = fresh_name(wanted, self._taken)
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def add(self, kind: str, inputs: Sequence[str], wanted: str, **attributes: Any) -> str:
        """Add an operator whose result has the wanted name or a similar one; return the name."""
        name = fresh_name(wanted, self._taken)
        self._defined[name] = helper.make_node(kind, list(inputs), [name], name, **attributes)
        return name

    def define(self, tensor: str, kind: str, inputs: Sequence[str], **attributes: Any) -> None:
        """Let an operator compute a tensor of the graph. It must compute the same value as before."""
        name = fresh_name(tensor, self._taken)
        self._defined[tensor] = helper.make_node(kind, list(inputs), [tensor], name, **attributes)

    def is_defined(self, tensor: str) -> bool:
        """Return whether the tensor has a definition already."""
        return tensor in self._defined

    def result(self) -> onnx.ModelProto:
        """Return the changed copy, in computing order, or the model itself if nothing was defined."""
        if not self._defined:
            return self._model
        changed = onnx.ModelProto()
        changed.CopyFrom(self._model)
        graph = changed.graph
        makers = {name: node for node in graph.node for name in node.output if name} | self._defined
        nodes = _in_computing_order([value.name for value in graph.output], makers)
        read = {name for node in nodes for name in node.input}
        constants = [*graph.initializer, *self._constants.values()]
        kept = [self._without_redefined(node) for node in nodes]
        del graph.node[:], graph.value_info[:]
        graph.node.extend(kept)
        used = [entry for entry in constants if entry.name in read]
        del graph.initializer[:]
        graph.initializer.extend(used)
        return changed

    def _without_redefined(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """Return a copy of a node; outputs that are now computed elsewhere get names that nobody reads."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for place, name in enumerate(node.output):
            if self._defined.get(name, node) is not node:
                copy.output[place] = fresh_name(f"{name}_before", self._taken)
        return copy


def _in_computing_order(outputs: Sequence[str], makers: dict[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs need, each after those whose results it reads."""
    ordered: list[onnx.NodeProto] = []
    done: set[int] = set()
    waiting = [(makers[name], False) for name in reversed(outputs) if name in makers]
    while waiting:
        node, is_ready = waiting.pop()
        if id(node) in done:
            continue
        if is_ready:
            done.add(id(node))
            ordered.append(node)
            continue
        waiting.append((node, True))
        waiting += [(makers[name], False) for name in reversed(node.input) if name in makers]
    return ordered
