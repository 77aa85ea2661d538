"""What is said of an engine that was built: what it computes in, where it came from, what to do with it next."""

from __future__ import annotations

import shlex
from pathlib import Path

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import EngineDetails
from rtseg.artifacts.manifest import Manifest
from rtseg.runners.tensorrt.module import PRODUCTS, RTX


def built_text(manifest: Manifest, *, from_cache: bool) -> str:
    """Return in two lines what was built for what, and how the graph was made fit."""
    details = manifest.details_as(EngineDetails)
    how = "built before, taken from the cache" if from_cache else f"built in {details.build_seconds:.0f} s"
    product = f"{PRODUCTS[details.runtime]} {details.release}"
    return f"{manifest.precision} for {manifest.device}, {product}: {how}\ngraph: {details.lowering}"


def next_commands(engine: Artifact, source: Path) -> str:
    """Return the commands that look into an engine, compare it with the file it was built from, and time it.

    Of an INT8 engine of TensorRT for RTX, the last shows it beside the FP16 one: which of them moves less depends on
    the network.
    """
    this, other, manifest = shlex.quote(str(engine.path)), shlex.quote(str(source)), engine.manifest
    if manifest.details_as(EngineDetails).runtime == RTX:
        if manifest.precision == "int8":
            return (
                "INT8 convolutions write FP32 here, which other kernels quantise again: FP16 may move less data.\n"
                f"next: rtseg build FP32.onnx --runtime tensorrt-rtx --precision fp16 -o FP16.engine\n"
                f"      rtseg audit {this} --against FP16.engine"
            )
        return f"next: rtseg audit {this}"
    data = manifest.output.classes.dataset
    pictures = "streets" if data == "streets" else f"{data or 'DATASET'}:DIR"
    return f"next: rtseg validate {this} --against {other} --data {pictures}\n      rtseg bench {this}"
