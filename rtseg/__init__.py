"""rtseg: a real-time segmentation network, from PyTorch to a measured, validated engine.

    import rtseg
    segmenter = rtseg.load("affnet-camvid-360x480.onnx")
    labels = segmenter(image)            # uint8 (height, width, 3) RGB  ->  uint8 (height, width)

Importing this package imports nothing else: names are looked up when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtseg.errors import RtsegError
    from rtseg.segmenter import Segmenter, load
    from rtseg.specs import ClassSpec, ImageSpec, OutputSpec, Resolution

__version__ = "0.1.0"
__all__ = ["ClassSpec", "ImageSpec", "OutputSpec", "Resolution", "RtsegError", "Segmenter", "load"]

_HOMES = {
    "ClassSpec": "rtseg.specs",
    "ImageSpec": "rtseg.specs",
    "OutputSpec": "rtseg.specs",
    "Resolution": "rtseg.specs",
    "RtsegError": "rtseg.errors",
    "Segmenter": "rtseg.segmenter",
    "load": "rtseg.segmenter",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rtseg' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
