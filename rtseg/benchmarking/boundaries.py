"""What is timed. Every row names its boundary, so one number never stands for three different things."""

from __future__ import annotations

from typing import Callable

import numpy as np
from numpy.typing import NDArray

from rtseg.frame.segmenter import Segmenter

BOUNDARIES = {
    "network": "normalised tensor -> full-resolution scores, what the papers time",
    "engine": "normalised tensor -> logits at the head's own stride",
    "frame": "uint8 image -> uint8 label map, both in host memory",
}

_BOUNDARIES_OF_INTERFACE = {"scores": ("network",), "logits": ("engine", "frame"), "labels": ("frame",)}


def boundaries_of(interface: str) -> tuple[str, ...]:
    """Return the names of the boundaries that can be timed for a graph with that interface."""
    return _BOUNDARIES_OF_INTERFACE[interface]


def boundary_step(segmenter: Segmenter, boundary: str, image: NDArray[np.uint8]) -> Callable[[], None]:
    """Return a step that takes the image through a boundary of the segmenter, on preallocated buffers.

    Tensors and logits are where the graph computes: on a GPU, in its memory. Only the input and output of a frame are
    in host memory.
    """
    if boundary == "frame":
        return segmenter.bind(image)
    return segmenter.runner.bind_resident(segmenter.tensor(image))
