"""The rule of bilinear sampling along one axis, the same for both ends: torch's, in float32.

The NumPy twin of native/bilinear.h: same arithmetic in the same order, so the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_SIDE = 1 << 23
"""Up to here a pixel's centre is an exact float32."""


@dataclass(frozen=True)
class Axis:
    """Output sample i is near_weight[i] * input[near[i]] + far_weight[i] * input[far[i]]."""

    near: NDArray[np.intp]
    far: NDArray[np.intp]
    near_weight: NDArray[np.float32]
    far_weight: NDArray[np.float32]

    @classmethod
    def of(cls, inputs: int, outputs: int, *, align_corners: bool) -> Axis:
        """Return how an axis of so many input samples becomes one of so many output samples."""
        index = np.arange(outputs, dtype=np.float32)
        half = np.float32(0.5)
        if not align_corners:
            ratio = np.float32(inputs) / np.float32(outputs)
            source = np.maximum(ratio * (index + half) - half, np.float32(0))
        elif outputs > 1:
            ratio = np.float32(inputs - 1) / np.float32(outputs - 1)
            source = ratio * index
        else:
            source = np.zeros(outputs, np.float32)
        near = np.minimum(source.astype(np.intp), inputs - 1)
        far_weight = np.minimum(source - near.astype(np.float32), np.float32(1))
        return cls(near, np.minimum(near + 1, inputs - 1), np.float32(1) - far_weight, far_weight)
