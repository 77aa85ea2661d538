"""Inputs for comparing two runs of one graph, and the distance between their outputs.

One input has the values of a normalised picture. The other has both signs at every magnitude up to MAGNITUDE:
saturation, clipping, overflow and other branches only show there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rtseg.frame.protocol import Array, TensorSpec

LARGE = "large input of both signs"

MAGNITUDE = 1e3
"""Pixels that are not normalised reach 255; divided by a small deviation, some times as much."""


def probe_inputs(source: TensorSpec, *, seed: int = 0) -> Iterator[tuple[str, Array]]:
    """Yield names and inputs for a graph, the same on every call. Each array is new and belongs to the caller."""
    random = np.random.default_rng(seed)
    if source.dtype == "uint8":
        yield "random pixels", random.integers(0, 256, source.shape, np.uint8)
        yield "black and white pixels", np.where(random.random(source.shape) < 0.5, 0, 255).astype(np.uint8)
        return
    dtype = np.dtype(source.dtype)
    yield "random input", random.standard_normal(source.shape, np.float32).astype(dtype, copy=False)
    exponents = random.uniform(-1, np.log10(MAGNITUDE), source.shape)
    signs = np.where(random.random(source.shape) < 0.5, -1, 1)
    yield LARGE, (signs * 10**exponents).astype(dtype)


def distance(expected: Array, got: Array) -> float:
    """Return the distance of two outputs: for labels the share that differs, else the relative distance.

    The relative distance is the root mean square of the differences, divided by the standard deviation of the expected
    values. Values that are not finite in both outputs count as equal. The result is infinity if a value is not finite
    in one output only, or if the shapes differ.
    """
    if expected.shape != got.shape:
        return float("inf")
    if expected.dtype == np.uint8:
        return float(np.mean(expected != got))
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(got)):
        return float("inf")
    if not finite.any():
        return 0.0
    wanted, given = (side[finite].astype(np.float64) for side in (expected, got))
    difference = float(np.sqrt(np.mean((given - wanted) ** 2)))
    return difference / (float(wanted.std()) or float(np.abs(wanted).max()) or 1.0)
