"""What a build prints: the precision, the GPU and the origin of what was built, and the next commands."""

from __future__ import annotations

import shlex
from pathlib import Path

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import EngineDetails, OpenVinoDetails
from rtseg.artifacts.manifest import Manifest
from rtseg.engines.proof_words import megabytes
from rtseg.runners.tensorrt.module import PRODUCTS, RTX


def built_text(engine: Artifact, *, from_cache: bool) -> str:
    """Return two lines: the engine with its GPU, product and size, and how the graph was lowered for it."""
    manifest = engine.manifest
    details = manifest.details_as(EngineDetails)
    how = "built before, taken from the cache" if from_cache else f"compiled in {details.build_seconds:.1f} s"
    product = f"{PRODUCTS[details.runtime]} {details.release}"
    size = megabytes(engine.path.stat().st_size)
    return f"{manifest.precision} for {manifest.device}, {product}: {size}, {how}\ngraph: {details.lowering}"


def next_commands(engine: Artifact, source: Path) -> str:
    """Return the commands that audit an engine, compare it with the file it was built from, and time it.

    For an INT8 engine of TensorRT for RTX, the commands compare it with the FP16 engine: which of the two moves less
    data depends on the network.
    """
    this, other, manifest = shlex.quote(str(engine.path)), shlex.quote(str(source)), engine.manifest
    details = manifest.details_as(EngineDetails)
    if details.runtime == RTX:
        if manifest.precision == "int8":
            named = () if details.portable else details.compute_capabilities
            same = "".join(f"--compute-capability {capability} " for capability in named)
            return (
                "INT8 convolutions write FP32 here, and other kernels quantize it again: FP16 may move less data.\n"
                f"next: rtseg build FP32.onnx --runtime tensorrt-rtx --precision fp16 {same}-o FP16.engine\n"
                f"      rtseg audit {this} --against FP16.engine"
            )
        return f"next: rtseg audit {this}"
    data = manifest.output.classes.dataset
    pictures = "streets" if data == "streets" else f"{data or 'DATASET'}:DIR"
    return f"next: rtseg validate {this} --against {other} --data {pictures}\n      rtseg bench {this}"


def stored_text(manifest: Manifest) -> str:
    """Return two lines: the model that OpenVINO stored, and what was proven about it."""
    details = manifest.details_as(OpenVinoDetails)
    same = f"gives the same bits as the ONNX file on {len(details.identical_on)} inputs"
    compared = f"; compared with {details.compared_with}" if details.compared_with else ""
    how = f"stored in {details.build_seconds:.1f} s"
    return f"{manifest.precision} for the CPU, OpenVINO {details.release}: {how}\n{same}{compared}"


def uses_of_stored(model: Artifact) -> str:
    """Return three lines: how to run a stored model from Python, from C or C++, and by a command."""
    path = str(model.path)
    return (
        f"Python: rtseg.load({path!r})\n"
        f"C, C++: rtseg_model_open({_c_string(path)}, NULL, &model), engines/cpp\n"
        f"next: rtseg bench {shlex.quote(path)}"
    )


def _c_string(text: str) -> str:
    """Return a path as a string literal of C, with backslashes and quotation marks escaped."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
