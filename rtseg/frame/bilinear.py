"""Bilinear sampling along one axis, the same for preprocessing and postprocessing: torch's rule, in float32.

Does the same arithmetic in the same order as native/bilinear.h, so the results are the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_SIDE = 1 << 23
"""Up to this length a pixel's centre is an exact float32."""


class Part(NamedTuple):
    """The part of the input that the output shows: length samples from begin on, in the input's canvas."""

    canvas: int
    begin: int
    length: int


WHOLE = Part(2, 0, 2)
"""The whole of any canvas: only with two samples or more do its corners differ."""


def ratio_and_shift(inputs: int, outputs: int, *, align_corners: bool, part: Part = WHOLE) -> tuple[float, float]:
    """Return the step between two output samples in input samples, and where the part begins in the input.

    Both are float32 numbers. Quotients of integers are rounded to float64 and then to float32. For a whole canvas that
    equals one division in float32, which torch does.
    """
    if part.length == part.canvas:
        part = WHOLE
    less = 1 if align_corners else 0
    reach, canvas = inputs - less, part.canvas - less
    ratio = reach * (part.length - less) / (canvas * (outputs - less)) if outputs > less else 0.0
    return float(np.float32(ratio)), float(np.float32(reach * part.begin / canvas))


@dataclass(frozen=True)
class Axis:
    """Output sample i is near_weight[i] * input[near[i]] + far_weight[i] * input[far[i]]."""

    near: NDArray[np.intp]
    far: NDArray[np.intp]
    near_weight: NDArray[np.float32]
    far_weight: NDArray[np.float32]

    @classmethod
    def of(cls, inputs: int, outputs: int, *, align_corners: bool, part: Part = WHOLE) -> Axis:
        """Return the taps that resize an axis from `inputs` to `outputs` samples; part is the part of it to read."""
        index = np.arange(outputs, dtype=np.float32)
        half = np.float32(0.5)
        ratio, shift = map(np.float32, ratio_and_shift(inputs, outputs, align_corners=align_corners, part=part))
        if align_corners:
            source = ratio * index + shift
        else:
            source = np.maximum(ratio * (index + half) - half + shift, np.float32(0))
        near = np.minimum(source.astype(np.intp), inputs - 1)
        far_weight = np.minimum(source - near.astype(np.float32), np.float32(1))
        return cls(near, np.minimum(near + 1, inputs - 1), np.float32(1) - far_weight, far_weight)
