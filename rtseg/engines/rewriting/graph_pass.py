"""What a graph pass is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import onnx


@dataclass(frozen=True)
class GraphPass:
    """An exact rewriting of a static graph, for float32 and float16.

    rewrite returns a changed copy that computes the same up to rounding, or the model itself where it has no place; it
    raises nothing. Applied to its own result it may find more. saves says in words what it saves. carries_over: the
    reasons hold for TensorRT too, whose kernels nobody counts before they are built on a GPU.
    """

    name: str
    rewrite: Callable[[onnx.ModelProto], onnx.ModelProto]
    saves: str
    carries_over: bool
