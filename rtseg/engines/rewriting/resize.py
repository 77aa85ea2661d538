"""A Resize of maps: the sizes that it reads and writes, and its rule."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx

from rtseg.engines.rewriting.places import is_map, static_shape
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute

Rule = tuple[str, str, str]


class MapResize(NamedTuple):
    """The sizes before and after, and the rule: mode, coordinates, and the rounding of nearest."""

    source: str
    sizes: tuple[int, int, int, int]
    scales: tuple[float, float]
    rule: Rule

    @property
    def enlarges(self) -> bool:
        """Whether no side gets smaller and at least one gets larger."""
        height, width, new_height, new_width = self.sizes
        return new_height >= height and new_width >= width and (new_height, new_width) != (height, width)

    @property
    def key(self) -> tuple[object, ...]:
        """All fields except the tensor: Resizes with equal keys do the same to two maps."""
        return self.sizes, self.scales, self.rule


def resize_of(view: GraphView, node: onnx.NodeProto | None) -> MapResize | None:
    """Return a linear or nearest Resize of height and width alone; None for any other node.

    The weights of both add up to one, so they commute with every affine in the channels.
    """
    if node is None or node.op_type != "Resize" or not is_map(view, node.output[0]) or not is_map(view, node.input[0]):
        return None
    coordinates = attribute(node, "coordinate_transformation_mode", b"half_pixel").decode()
    mode = attribute(node, "mode", b"nearest").decode()
    if mode not in ("linear", "nearest") or coordinates == "tf_crop_and_resize":
        return None
    before, after = static_shape(view, node.input[0]), static_shape(view, node.output[0])
    if before[:2] != after[:2] or len(before) != 4:
        return None
    scales = _scales(view, node, before, after)
    if scales is None:
        return None
    rounding = attribute(node, "nearest_mode", b"round_prefer_floor").decode() if mode == "nearest" else ""
    return MapResize(node.input[0], (before[2], before[3], after[2], after[3]), scales, (mode, coordinates, rounding))


def _scales(
    view: GraphView, node: onnx.NodeProto, before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[float, float] | None:
    """Return the factors of height and width: as stated, or computed from the sizes if those are stated."""
    given = node.input[2] if len(node.input) > 2 else ""
    if given and view.is_constant(given) and view.constant(given).size:
        scales = view.constant(given).astype(np.float64)
        return (float(scales[2]), float(scales[3])) if scales.size == 4 and (scales[:2] == 1).all() else None
    sizes = node.input[3] if len(node.input) > 3 else ""
    if not sizes or not view.is_constant(sizes):
        return None
    return after[2] / before[2], after[3] / before[3]


def resize_inputs(change: GraphChange, node: onnx.NodeProto, source: str, channels: int) -> list[str]:
    """Return the inputs of a Resize that does to source, with so many channels, what the node does to its input."""
    sizes = node.input[3] if len(node.input) > 3 else ""
    if not sizes:
        return [source, *node.input[1:]]
    stated = change.view.constant(sizes)
    if stated[1] == channels:
        return [source, *node.input[1:]]
    stated[1] = channels
    return [source, *node.input[1:3], change.constant(f"{source}_sizes", stated)]


def resize_attributes(node: onnx.NodeProto) -> dict[str, object]:
    """Return the attributes of a Resize, to create another one."""
    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
