"""rtseg turns a real-time segmentation network from PyTorch into a measured, validated engine.

    import rtseg
    exported = rtseg.export("affnet-camvid.safetensors", "360x480")
    segmenter = rtseg.load(exported)
    labels = segmenter(image)            # uint8 (height, width, 3) RGB  ->  uint8 (height, width)

Importing this package imports nothing else: each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtseg.artifacts.artifact import Artifact
    from rtseg.errors import RtsegError
    from rtseg.frame.segmenter import Segmenter
    from rtseg.observer import Observer
    from rtseg.pipeline.accuracy_stage import validate
    from rtseg.pipeline.benchmark_stage import bench
    from rtseg.pipeline.calibration_stage import calibrate
    from rtseg.pipeline.checkpoint_stages import TrainingRecipe, import_checkpoint, train
    from rtseg.pipeline.drift_stage import drift
    from rtseg.pipeline.engine_stages import audit, build
    from rtseg.pipeline.labelling_stage import run
    from rtseg.pipeline.onnx_stages import export, import_onnx
    from rtseg.pipeline.quantization_stages import quantize, sensitivity
    from rtseg.pipeline.scenes_stage import scenes
    from rtseg.runners.loading import load
    from rtseg.specs import ClassSpec, ImageSpec, Normalization, OutputSpec, Resolution

__version__ = "0.1.0"
__all__ = [
    "Artifact",
    "ClassSpec",
    "ImageSpec",
    "Normalization",
    "Observer",
    "OutputSpec",
    "Resolution",
    "RtsegError",
    "Segmenter",
    "TrainingRecipe",
    "audit",
    "bench",
    "build",
    "calibrate",
    "drift",
    "export",
    "import_checkpoint",
    "import_onnx",
    "load",
    "quantize",
    "run",
    "scenes",
    "sensitivity",
    "train",
    "validate",
]

_HOMES = {
    "Artifact": "rtseg.artifacts.artifact",
    "ClassSpec": "rtseg.specs",
    "ImageSpec": "rtseg.specs",
    "Normalization": "rtseg.specs",
    "Observer": "rtseg.observer",
    "OutputSpec": "rtseg.specs",
    "Resolution": "rtseg.specs",
    "RtsegError": "rtseg.errors",
    "Segmenter": "rtseg.frame.segmenter",
    "TrainingRecipe": "rtseg.training.recipe",
    "audit": "rtseg.pipeline.engine_stages",
    "bench": "rtseg.pipeline.benchmark_stage",
    "build": "rtseg.pipeline.engine_stages",
    "calibrate": "rtseg.pipeline.calibration_stage",
    "drift": "rtseg.pipeline.drift_stage",
    "export": "rtseg.pipeline.onnx_stages",
    "import_checkpoint": "rtseg.pipeline.checkpoint_stages",
    "import_onnx": "rtseg.pipeline.onnx_stages",
    "load": "rtseg.runners.loading",
    "quantize": "rtseg.pipeline.quantization_stages",
    "run": "rtseg.pipeline.labelling_stage",
    "scenes": "rtseg.pipeline.scenes_stage",
    "sensitivity": "rtseg.pipeline.quantization_stages",
    "train": "rtseg.pipeline.checkpoint_stages",
    "validate": "rtseg.pipeline.accuracy_stage",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rtseg' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
