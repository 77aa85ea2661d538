"""Make an FP32 ONNX file: export a network, or import another exporter's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.artifacts.files import PathLike, require_regular_file, require_replaceable
from rtseg.artifacts.manifest import manifest_path, require_separate
from rtseg.errors import OnnxError, UnknownNameError
from rtseg.observer import SILENT, Observer
from rtseg.pipeline.arguments import (
    Classes,
    NetworkLike,
    NormalizationLike,
    OwnNetwork,
    Size,
    classes_of,
    normalization_of,
    path_of,
    prepared_network,
    require_at_least,
    resolution_of,
)
from rtseg.pipeline.packages import needed_for
from rtseg.pipeline.results import Result
from rtseg.specs import FLOAT_INTERFACES, TARGETS

if TYPE_CHECKING:
    from rtseg.exporting.parity_report import ParityReport


@dataclass(frozen=True, repr=False)
class ExportResult(Result):
    """The ONNX file, and its comparison with PyTorch on a random input and on some pictures of a dataset."""

    artifact: Artifact
    parity: ParityReport
    pictures: int
    data: str

    def _document(self) -> Mapping[str, Any]:
        """Return path and manifest, which holds the comparison."""
        return self.artifact.to_json()


@dataclass(frozen=True, repr=False)
class OnnxImportResult(Result):
    """The canonical ONNX file, the changes to the source, and the comparison; None if nothing was changed."""

    artifact: Artifact
    account: str
    parity: ParityReport | None

    def _document(self) -> Mapping[str, Any]:
        """Return path, account and manifest, which holds the comparison."""
        return {**self.artifact.to_json(), "account": self.account}


def export(
    network: NetworkLike | None,
    resolution: Size,
    output: PathLike | None = None,
    *,
    checkpoint: ArtifactLike | None = None,
    entry: str | None = None,
    classes: Classes | None = None,
    options: Mapping[str, str] | None = None,
    interface: str = "logits",
    target: str = "onnxruntime",
    head: str | int | None = None,
    threshold: float | None = None,
    normalization: NormalizationLike | None = None,
    fit: str | None = None,
    padding: int | None = None,
    data: str = "streets",
    split: str = "val",
    images: int = 2,
    seed: int = 0,
    observer: Observer = SILENT,
) -> ExportResult:
    """Write a network as a canonical ONNX file, after checking that ONNX Runtime and PyTorch agree on it.

    network is a registered name, "package.module:function" for one of your own, or an rtseg checkpoint. checkpoint
    holds the weights of a named network: an rtseg checkpoint, or a file from torch.save or safetensors. entry is the
    place of the weights in such a file ("ema"), by default wherever they fit. Without checkpoint the weights are
    random, drawn with seed. head is the name or index of the output with the logits, if several outputs of your own
    network could be that. threshold is that of its single channel for two classes, by default 0.5 for probabilities,
    else 0. normalization, fit and padding describe how its pictures were prepared: by default as its module states,
    else with ImageNet's mean and std, and stretched. classes are by default the checkpoint's, else Cityscapes'.
    interface is "logits" (at the head's stride), "scores" (full resolution) or "labels" (uint8 in and out). target is
    the runtime that the network is written for, if it has a special form for it: "tensorrt" for engines, else
    "onnxruntime" or "openvino".
    The comparison runs on a random input and on `images` pictures of data. output is by default
    NETWORK-CLASSES-HxW.onnx in the current folder, .gpu.onnx for the form for GPUs.

    Raises MissingDependencyError, UnknownNameError, NetworkError, CheckpointError, ManifestError, SpecError, OnnxError,
    ParityError and WriteError.
    """
    with needed_for("exporting a network", "export"):
        from rtseg.exporting.onnx_file import default_name, export_onnx
    from rtseg.datasets.registry import open_dataset

    if target not in TARGETS:
        raise UnknownNameError("target", target, TARGETS)
    require_at_least(0, images=images, seed=seed)
    size = resolution_of(resolution)
    dataset = open_dataset(data, split, observer)
    prepared = prepared_network(
        network,
        checkpoint=checkpoint,
        entry=entry,
        classes=classes,
        options=options,
        seed=seed,
        resolution=size,
        own=OwnNetwork(head, threshold, normalization_of(normalization), fit, padding),
    )
    pictures = [dataset[index].image for index in range(min(images, len(dataset)))]
    path = Path(output) if output is not None else Path(default_name(prepared, size, interface, target))
    for written in (path, manifest_path(path)):
        require_separate(written, *filter(None, map(path_of, (network, checkpoint))))
        require_replaceable(written)
    exported = export_onnx(prepared, size, path, interface=interface, target=target, images=pictures, observer=observer)
    return ExportResult(exported.artifact, exported.parity, len(pictures), data.partition(":")[0])


def import_onnx(
    source: PathLike,
    output: PathLike | None = None,
    *,
    classes: Classes | None = None,
    normalization: NormalizationLike | None = None,
    align_corners: bool | None = None,
    resolution: Size | None = None,
    head: str | int | None = None,
    threshold: float | None = None,
    fit: str | None = None,
    padding: int | None = None,
    interface: str | None = None,
    observer: Observer = SILENT,
) -> OnnxImportResult:
    """Write the canonical form of another exporter's ONNX file, after checking that ONNX Runtime agrees on both.

    Size, interface and stride are read from the graph. Labels and masks at its end are removed, and so is a Resize of
    the logits to the picture's size, because rtseg upsamples by the same rule; interface "scores" keeps it. The graph
    does not show classes, normalization, align_corners, or fit and padding of ImageSpec, so pass them. resolution sets
    the size of a graph whose height and width are open. head is the name or index of the output with the class scores,
    if several outputs could be. threshold is that of a single channel: by default the mask's own, else 0.5 for
    probabilities and 0 for logits, by measurement. An rtseg file without its manifest needs none of these arguments.
    output is by default NAME.canonical.onnx beside source.

    Raises MissingDependencyError, OnnxError, NetworkError if several outputs could be the scores, SpecError with the
    options that are missing, ParityError, RunnerError and WriteError.
    """
    with needed_for("importing an ONNX file", "export"):
        from rtseg.exporting.foreign import canonical_import
        from rtseg.exporting.foreign_contract import ContractOptions

    if interface is not None and interface not in FLOAT_INTERFACES:
        raise UnknownNameError("interface of an imported file", interface, FLOAT_INTERFACES)
    if output is not None:
        require_replaceable(output, manifest_path(output))
    said = ContractOptions(
        None if classes is None else classes_of(classes),
        normalization_of(normalization),
        align_corners,
        fit,
        padding,
        None if resolution is None else resolution_of(resolution),
        head,
        threshold,
        interface,
    )
    try:
        require_regular_file(source)
    except OSError as error:
        raise OnnxError(f"cannot read {source}: {error.strerror}") from error
    imported = canonical_import(source, output, said=said)
    return OnnxImportResult(imported.artifact, imported.account, imported.parity)
