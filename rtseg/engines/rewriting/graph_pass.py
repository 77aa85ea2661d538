"""The type of a graph pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import onnx


@dataclass(frozen=True)
class GraphPass:
    """An exact rewriting of a static graph, for float32 and float16.

    rewrite returns a changed copy that computes the same up to rounding, or the model itself if the pass does not
    apply. It raises nothing. Applied to its own result it may find more. carries_over is True if the pass should also
    help TensorRT, whose kernels cannot be counted without a build on a GPU. engines/RTX.md says what each pass does.
    """

    name: str
    rewrite: Callable[[onnx.ModelProto], onnx.ModelProto]
    carries_over: bool
