"""What is timed. Each boundary has a name that stands in every row; never one number for three things."""

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
    """Return the boundaries that a graph with that interface lets one time."""
    return _BOUNDARIES_OF_INTERFACE[interface]


def boundary_step(segmenter: Segmenter, boundary: str, image: NDArray[np.uint8]) -> Callable[[], None]:
    """Return a step that takes the image through a boundary of the segmenter, on buffers in place.

    Tensors and logits lie where the graph computes, in a GPU's memory on a GPU; only a frame's ends are the host's.
    """
    if boundary == "frame":
        return segmenter.bind(image)
    return segmenter.runner.bind_resident(segmenter.tensor(image))
