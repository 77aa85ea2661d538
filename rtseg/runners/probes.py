"""Inputs that two runs of one graph are compared on, and how far apart what they give may be.

One input has the values that a normalised picture has. The other has both signs at every magnitude up to MAGNITUDE:
what saturates, clips, overflows or takes another branch there shows nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rtseg.frame.protocol import Array, TensorSpec

LARGE = "large input of both signs"

MAGNITUDE = 1e3
"""Pixels that nobody normalised reach 255, and what divides by a small deviation some times as much."""


def probe_inputs(source: TensorSpec, *, seed: int = 0) -> Iterator[tuple[str, Array]]:
    """Give names and inputs of a graph, the same every time: each a new array that is the receiver's own."""
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
    """Return how far apart two outputs are: of labels the share that differs, else their relative distance.

    That is the root of the mean square of the differences over the standard deviation of the expected values. Where
    both are not finite they are alike; infinity where one alone is not, or where the shapes differ.
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
