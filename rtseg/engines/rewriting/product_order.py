"""Order products of maps and vectors so that they fuse: the maps first, then smaller factors from large to small.

    (r * s) * l    becomes    (r * l) * s        r and l maps, s a vector of channels or a plane

A convolution's epilogue multiplies by a map, but not by a vector alone (TensorRT for RTX 1.7). So r * s takes a
separate kernel, and r * l takes none. In FP16 r * l must not overflow; it is larger than r * s where s is below 1.
"""

from __future__ import annotations

import math

import onnx

from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView


def _rewritten(model: onnx.ModelProto) -> onnx.ModelProto:
    change = GraphChange(model)
    view = change.view
    for node in view.nodes:
        if node.op_type == "Mul" and not _is_inner(view, node):
            _order(change, node)
    return change.result()


def _is_inner(view: GraphView, node: onnx.NodeProto) -> bool:
    """Return whether the product is a factor of another, and has no other reader."""
    readers = view.readers(node.output[0])
    return len(readers) == 1 and readers[0].node.op_type == "Mul" and node.output[0] != view.output


def _order(change: GraphChange, root: onnx.NodeProto) -> None:
    view, result = change.view, root.output[0]
    shape = view.shape(result)
    factors = _factors(view, root)
    maps = [name for name in factors if view.shape(name) == shape]
    small = [name for name in factors if view.shape(name) != shape]
    if len(maps) < 2 or not small or not _mixes(view, root, shape):
        return
    small.sort(key=lambda name: -math.prod(view.shape(name)))
    made, *others, last = [*maps, *small]
    for number, other in enumerate(others, 1):
        made = change.add("Mul", [made, other], f"{result}_product_{number}")
    change.define(result, "Mul", [made, last])


def _factors(view: GraphView, node: onnx.NodeProto) -> list[str]:
    """Return what a tree of products multiplies, from left to right."""
    found: list[str] = []
    waiting = list(reversed(node.input))
    while waiting:
        name = waiting.pop()
        inner = _inner(view, name)
        if inner is None:
            found.append(name)
        else:
            waiting += reversed(inner.input)
    return found


def _inner(view: GraphView, tensor: str) -> onnx.NodeProto | None:
    node = view.producer(tensor)
    return node if node is not None and node.op_type == "Mul" and _is_inner(view, node) else None


def _mixes(view: GraphView, node: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    """Return whether a map is multiplied by a smaller factor before it is multiplied by a map."""
    waiting = [node]
    while waiting:
        product = waiting.pop()
        inner = [found for name in product.input if (found := _inner(view, name)) is not None]
        if any(view.shape(name) != shape for name in product.input):
            waiting += inner
        elif any(view.shape(name) != shape for side in inner for name in _factors(view, side)):
            return True
    return False


PRODUCT_ORDER = GraphPass(
    name="product-order",
    rewrite=_rewritten,
    carries_over=False,
)
