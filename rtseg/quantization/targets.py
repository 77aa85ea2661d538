"""The runtimes that a graph can be quantized for, by name, with their placement rules."""

from __future__ import annotations

from collections.abc import Collection
from typing import Callable

from rtseg.errors import UnknownNameError
from rtseg.graphs.view import GraphView
from rtseg.quantization.onnxruntime_rules import onnxruntime_placement
from rtseg.quantization.openvino_rules import openvino_placement
from rtseg.quantization.placement import Placement
from rtseg.quantization.tensorrt_rules import tensorrt_placement

_RULES: dict[str, Callable[[GraphView, Collection[str]], Placement]] = {
    "tensorrt": tensorrt_placement,
    "onnxruntime": onnxruntime_placement,
    "openvino": openvino_placement,
}


def placement_for(target: str, view: GraphView, excluded: Collection[str] = ()) -> Placement:
    """Return the plan for that target. Nodes in excluded get neither INT8 inputs nor INT8 weights.

    Raises UnknownNameError for an unknown target.
    """
    if target not in _RULES:
        raise UnknownNameError("target", target, _RULES)
    return _RULES[target](view, excluded)
