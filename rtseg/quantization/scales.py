"""Compute scales from ranges: symmetric INT8, with one scale for each group of tensors that share it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from rtseg.calibration.table import TensorRange
from rtseg.errors import QuantizationError

SIGNED_STEPS = 127
"""The greatest value of symmetric INT8; -128 is not used, so that zero is in the middle."""

UNSIGNED_STEPS = 255
"""The greatest value of uint8 with zero point 0, for tensors that are never negative."""

SMALLEST = float(np.finfo(np.float16).tiny)
"""The smallest step of activations: below FP16's normal numbers an FP16 engine would have another one."""

SMALLEST_OF_WEIGHTS = float(np.finfo(np.float16).smallest_subnormal)
"""The smallest step of weights: the lowering to FP16 rounds it and quantizes the weights with the rounded step. A first
layer that reads pixels from 0 to 255 has steps between the two limits."""


def shared_ranges(ranges: Mapping[str, TensorRange], groups: Iterable[frozenset[str]]) -> dict[str, TensorRange]:
    """Return the ranges, with the widest of each group for all its tensors. Groups with a common tensor are merged."""
    leader: dict[str, str] = {}

    def root(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for group in groups:
        first, *rest = sorted(group)
        for name in rest:
            leader[root(name)] = root(first)
    widest: dict[str, TensorRange] = {}
    for name in leader:
        _require(name, ranges)
        mine, key = ranges[name], root(name)
        other = widest.get(key, mine)
        widest[key] = TensorRange(
            max(mine.threshold, other.threshold), min(mine.minimum, other.minimum), max(mine.maximum, other.maximum)
        )
    return {**ranges, **{name: widest[root(name)] for name in leader}}


def activation_scale(name: str, ranges: Mapping[str, TensorRange]) -> np.float32:
    """Return the step of a tensor: its threshold divided by 127. Raises QuantizationError if it has no range."""
    _require(name, ranges)
    return np.float32(max(ranges[name].threshold / SIGNED_STEPS, SMALLEST))


def channel_scales(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a step for each output channel (axis 0): its greatest magnitude divided by 127."""
    magnitudes = np.abs(weight.reshape(len(weight), -1)).max(1)
    steps = np.where(magnitudes > 0, np.maximum(magnitudes / SIGNED_STEPS, SMALLEST_OF_WEIGHTS), SMALLEST)
    return steps.astype(np.float32)


def constant_scale(values: NDArray[np.float32]) -> np.float32:
    """Return the step of a constant matrix: at least its greatest magnitude divided by 127.

    The result is that quotient or the next power of two, whichever changes the values less: upsampling uses halves,
    quarters and eighths, which are multiples of a power of two and do not change at all. Raises QuantizationError for
    values that are not finite.
    """
    if not np.isfinite(values).all():
        raise QuantizationError(
            "a constant matrix holds values that are not finite", hint="leave its product out of INT8 with --exclude"
        )
    largest = float(np.abs(values).max(initial=0))
    if largest == 0:
        return np.float32(1)
    finest = max(largest / SIGNED_STEPS, float(np.finfo(np.float32).tiny))
    steps = [finest, 2.0 ** math.ceil(math.log2(finest))]
    return np.float32(min(steps, key=lambda step: float(np.abs(np.rint(values / step) * step - values).max(initial=0))))


def _require(name: str, ranges: Mapping[str, TensorRange]) -> None:
    if name not in ranges:
        raise QuantizationError(f"the calibration table has no range for the tensor {name}", hint="run rtseg calibrate")
