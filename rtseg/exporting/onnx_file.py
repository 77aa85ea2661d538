"""Export one network at one resolution: trace, make canonical, compare, and only then write the file under its name."""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import ExportDetails
from rtseg.artifacts.files import PathLike, name_part, written_together
from rtseg.artifacts.manifest import Manifest, manifest_path, write_manifest
from rtseg.errors import NetworkError, OnnxError
from rtseg.exporting.folding import fold_constants
from rtseg.exporting.interfaces import interface_module
from rtseg.exporting.last_resize import Upsampled, last_resize, without_last_resize
from rtseg.exporting.network_form import CPU_TARGET, GPU, form_for, written_for
from rtseg.exporting.parity import parity_of
from rtseg.exporting.parity_report import ParityReport
from rtseg.exporting.static_graph import static_copy
from rtseg.exporting.tensorrt_operators import unsupported_operators
from rtseg.exporting.written_out import WrittenOut
from rtseg.frame.protocol import Runner, TensorSpec
from rtseg.graphs.canonical import OPSET, read_canonical
from rtseg.networks.prepared import PreparedNetwork
from rtseg.observer import SILENT, Observer
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.runners.torch import TorchRunner
from rtseg.specs import Resolution, contract_metadata

Pixels = NDArray[np.uint8]

TASK = "exporting"

_TRACING = threading.Lock()
"""PyTorch's exporter and the warning filters are global to the process: one thread at a time."""


@dataclass(frozen=True)
class Exported:
    """The written file, and its comparison with PyTorch."""

    artifact: Artifact
    parity: ParityReport


def default_name(network: PreparedNetwork, resolution: Resolution, interface: str, target: str = CPU_TARGET) -> str:
    """Return a descriptive file name: affnet-camvid-512x1024.onnx, .scores.onnx, .gpu.onnx."""
    parts = [name_part(network.name), name_part(network.classes.dataset) or f"{len(network.classes)}classes"]
    suffix = "" if interface == "logits" else f".{interface}"
    if written_for(network.module, target) == GPU:
        suffix += f".{GPU}"
    return f"{'-'.join(parts)}-{resolution}{suffix}.onnx"


def export_onnx(
    network: PreparedNetwork,
    resolution: Resolution,
    path: PathLike,
    *,
    interface: str = "logits",
    target: str = CPU_TARGET,
    images: Sequence[Pixels] = (),
    seed: int = 0,
    observer: Observer = SILENT,
) -> Exported:
    """Write the canonical ONNX file and its manifest; return them with the proof.

    target is the runtime that the network is written for (network_form). The file is compared with the network in eager
    PyTorch on a random input and on the given uint8 RGB images before it gets its name, so an existing path holds a
    graph that agrees. If the two differ by more than a small amount, a run in FP64 decides whether rounding explains
    it. If the logits of a user's network end with a Resize to the picture's size, the file has those before it, because
    rtseg upsamples them by the same rule (last_resize); they are compared after upsampling, and a note says so. Raises
    SpecError for a resolution that does not fit, NetworkError, OnnxError, ParityError and WriteError.
    """
    image, output = network.image_spec(resolution), network.output_spec(interface)
    module, source = interface_module(network, interface, resolution)
    form = form_for(network.module, target, resolution)
    rewritten, _ = interface_module(replace(network, module=form), interface, resolution)
    reference = TorchRunner(module, source)
    with reference, written_together(path, manifest_path(path)) as (part, sidecar):
        if interface == "logits":
            _require_stride(network, resolution, reference.output)
        traced = _traced(rewritten, source)
        if not traced.graph.input:
            raise NetworkError(f"{network.name} does not depend on the picture", expected="logits computed from it")
        fold_constants(traced, str(path))
        model = static_copy(traced, reference.output, contract_metadata(image, output))
        last = last_resize(model, resolution) if interface == "logits" and network.spec is None else None
        written = output if last is None else last.contract(output)
        if last is not None:
            without_last_resize(model, last, contract_metadata(image, written))
            observer.note(last.note(network.name, resolution))
        observer.progress(TASK, 1, 2, "traced")
        part.write_bytes(model.SerializeToString())
        read_canonical(part, label=str(path))
        runner: Runner = OnnxRuntimeRunner(part)
        if last is not None:
            runner = Upsampled(runner, resolution, align_corners=last.align_corners)
        with runner as exported:
            report = parity_of(reference, exported, image, output, images, fp64=reference, seed=seed)
        report.require_agreement(str(path))
        observer.progress(TASK, 2, 2, "compared with PyTorch")
        manifest = Manifest(
            kind="onnx",
            network=network.name,
            options=dict(network.options),
            weights=network.weights,
            precision="fp32",
            image=image,
            output=written,
            parent_sha256=network.parent_sha256,
            details=ExportDetails(
                report.to_json(), tuple(unsupported_operators(model)), written_for(network.module, target)
            ),
        )
        manifest = write_manifest(part, manifest, sidecar=sidecar)
    return Exported(Artifact(Path(path), manifest), report)


def _require_stride(network: PreparedNetwork, resolution: Resolution, result: TensorSpec) -> None:
    stride = network.module.stride
    channels = network.output_spec("logits").channels
    expected = (1, channels, resolution.height // stride, resolution.width // stride)
    if result.shape != expected:
        raise NetworkError(
            f"{network.name} gives logits at {resolution} whose size does not fit its stride {stride}",
            got=result.shape,
            expected=expected,
            hint="use a network whose output size follows its input size, or the interface scores",
        )


@contextlib.contextmanager
def _without_graph_dumps() -> Iterator[None]:
    """Suppress the dump of every node that PyTorch 2.7 to 2.13 always print for a graph that they cannot write."""
    printing = torch._C._jit_onnx_log
    torch._C._jit_onnx_log = lambda *_: None
    try:
        yield
    finally:
        torch._C._jit_onnx_log = printing


def _traced(module: nn.Module, source: TensorSpec) -> onnx.ModelProto:
    """Return the ONNX model from the TorchScript exporter, with BatchNorm folded.

    That exporter is the only one that writes a true opset 17; the dynamo exporter writes 18 instead and warns.
    """
    dtype = torch.uint8 if source.dtype == "uint8" else torch.float32
    buffer = io.BytesIO()
    with _TRACING, warnings.catch_warnings(), _without_graph_dumps(), WrittenOut():
        warnings.simplefilter("ignore")  # this exporter's deprecation, and int(x.shape[-1]), which is intended
        try:
            torch.onnx.export(
                module,
                (torch.zeros(source.shape, dtype=dtype),),
                buffer,  # type: ignore[arg-type]  # a stream is taken too, by this exporter
                opset_version=OPSET,
                dynamo=False,
                input_names=[source.name],
                output_names=["output"],
                do_constant_folding=True,
            )
        except Exception as error:  # the exporter may raise anything, torch.onnx.errors included
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise OnnxError(f"PyTorch cannot export this network: {first}") from error
    return onnx.load_model_from_string(buffer.getvalue())
