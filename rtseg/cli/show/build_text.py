"""What is said of what was built: what it computes in, where it came from, what to do with it next."""

from __future__ import annotations

import shlex
from pathlib import Path

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import EngineDetails, OpenVinoDetails
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


def stored_text(manifest: Manifest) -> str:
    """Return in two lines what OpenVINO stored, and what was proven of it."""
    details = manifest.details_as(OpenVinoDetails)
    same = f"gives the same bits as the ONNX file on {len(details.identical_on)} inputs"
    compared = f"; compared with {details.compared_with}" if details.compared_with else ""
    how = f"stored in {details.build_seconds:.1f} s"
    return f"{manifest.precision} for the CPU, OpenVINO {details.release}: {how}\n{same}{compared}"


def uses_of_stored(model: Artifact) -> str:
    """Return how a stored model is run: from Python, from C or C++, and by a command."""
    path = str(model.path)
    return (
        f"Python: rtseg.load({path!r})\n"
        f"C, C++: rtseg_model_open({_c_string(path)}, NULL, &model), engines/cpp\n"
        f"next: rtseg bench {shlex.quote(path)}"
    )


def _c_string(text: str) -> str:
    """Return a path as C writes it: a backslash and a quotation mark stand behind a backslash."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
