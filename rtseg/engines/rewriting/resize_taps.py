"""The two values, and their weights, that each value of a linear Resize is computed from, along one axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from rtseg.graphs.view import GraphView, attribute

MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
"""The values of coordinate_transformation_mode whose coordinates depend on one axis alone."""


@dataclass(frozen=True)
class Taps:
    """For each value along an axis: two positions, and the weight of the second; the first has 1 minus that."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    share: NDArray[np.float64]


def spatial_taps(view: GraphView, node: onnx.NodeProto) -> tuple[Taps, Taps] | None:
    """Return the taps of rows and of columns; None if the node is not a linear Resize of exactly those two axes.

    Coordinates are as ONNX's Resize states them (operator specification, opset 13), clamped to the map as ONNX
    Runtime, PyTorch and TensorRT do.
    """
    if node.op_type != "Resize" or attribute(node, "mode", b"nearest") != b"linear" or len(node.input) < 3:
        return None
    mode = attribute(node, "coordinate_transformation_mode", b"half_pixel").decode()
    if mode not in MODES:
        return None
    before, after = view.shape(node.input[0]), view.shape(node.output[0])
    if len(before) != 4 or before[:2] != after[:2] or before == after:
        return None
    scales = [wide / narrow for narrow, wide in zip(before, after)]
    if node.input[2]:
        if not view.is_constant(node.input[2]):
            return None
        scales = [float(scale) for scale in view.constant(node.input[2])]
    if scales[:2] != [1.0, 1.0]:
        return None
    rows, columns = (_taps(before[axis], after[axis], scales[axis], mode) for axis in (2, 3))
    return rows, columns


def _taps(before: int, after: int, scale: float, mode: str) -> Taps:
    places = np.arange(after, dtype=np.float64)
    if mode == "align_corners":
        source = places * (before - 1) / max(after - 1, 1)
    elif mode == "asymmetric":
        source = places / scale
    elif mode == "pytorch_half_pixel" and after == 1:
        source = np.zeros(1)
    else:
        source = (places + 0.5) / scale - 0.5
    source = np.clip(source, 0, before - 1)
    first = np.floor(source).astype(np.int64)
    return Taps(first, np.minimum(first + 1, before - 1), source - first)
