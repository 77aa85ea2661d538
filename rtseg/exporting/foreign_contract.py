"""The two contracts of another exporter's ONNX graph: what its input and output show, and what the user must state.

Size, interface and stride are read from the graph. The graph does not show the classes, how pixels are normalised and
fitted, or the rule for upsampling logits. These must be given and are never guessed: a wrong guess would run and give
worse labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import TensorProto

from rtseg.errors import OnnxError, SpecError
from rtseg.exporting.foreign_ends import ForeignEnds
from rtseg.graphs.contract import graph_ends, require_ends
from rtseg.networks.outputs import Head, stride_of
from rtseg.specs import FITS, PADDING, ClassSpec, ImageSpec, Normalization, OutputSpec, Resolution

INTERFACES = "float32 1x3xHxW to float32 1xCLASSESxhxw (logits, scores), or uint8 1xHxWx3 to uint8 1xHxW (labels)"


@dataclass(frozen=True)
class ContractOptions:
    """The facts that a graph does not show; None means not given.

    normalization is how pixels become the network's input; a graph that gives labels normalises itself. align_corners
    is the rule for upsampling logits, needed if they are smaller than the image. fit and padding are those of
    ImageSpec, by default "stretch". resolution is for a graph of open size, head the name or index of the output with
    the class scores, threshold that of a single channel. interface "scores" keeps a Resize of the logits at the end.
    """

    classes: ClassSpec | None = None
    normalization: Normalization | None = None
    align_corners: bool | None = None
    fit: str | None = None
    padding: int | None = None
    resolution: Resolution | None = None
    head: Head = None
    threshold: float | None = None
    interface: str | None = None


def contract_of_ends(ends: ForeignEnds, said: ContractOptions, label: str) -> tuple[ImageSpec, OutputSpec]:
    """Return the contracts of a graph with floating-point ends. Raises SpecError for a missing or wrong fact."""
    _, channels, *_ = ends.scores.shape
    stride = stride_of(ends.scores.shape, channels, ends.resolution)
    assert stride is not None
    interface = "scores" if stride == 1 else "logits"
    if said.interface == "scores" and interface == "logits":
        raise SpecError(
            f"{label} gives logits at stride {stride}",
            expected="scores at the size of the picture",
            hint="leave out --interface scores",
        )
    _require_said(said, interface, label)
    assert said.classes is not None and said.normalization is not None
    told_apart = channels if ends.scores.threshold is None else 2
    if told_apart != len(said.classes):
        raise SpecError(
            f"{label} has another number of classes",
            got=len(said.classes),
            expected=told_apart,
            hint=f"pass --classes NAME|{told_apart}",
        )
    ends.resolution.require_multiple_of(stride, label)
    output = OutputSpec(said.classes, interface, stride, bool(said.align_corners), threshold=ends.scores.threshold)
    return _image(ends.resolution, said, said.normalization), output


def contract_of_labels(model: onnx.ModelProto, said: ContractOptions, label: str) -> tuple[ImageSpec, OutputSpec]:
    """Return the contracts of a graph from pixels to labels.

    Raises OnnxError for a graph with other ends, and SpecError for a missing fact.
    """
    (taken, source), (given, result) = graph_ends(model, label)
    if not (taken == given == TensorProto.UINT8 and len(source) == 4 and source[3] == 3 and len(result) == 3):
        raise OnnxError(
            f"{label} has none of rtseg's interfaces",
            got=f"{_words(taken, source)} to {_words(given, result)}",
            expected=INTERFACES,
            hint="export the network with float32 input, without Cast and division; --normalization takes their place",
        )
    _require_said(said, "labels", label)
    assert said.classes is not None and said.normalization is not None
    image = _image(Resolution(*source[1:3]), said, said.normalization)
    output = OutputSpec(said.classes, "labels", 1, bool(said.align_corners))
    require_ends(model, image, output, label)
    return image, output


def _image(resolution: Resolution, said: ContractOptions, normalization: Normalization) -> ImageSpec:
    padding = PADDING if said.padding is None else said.padding
    return ImageSpec.of(resolution, normalization, fit=said.fit or FITS[0], padding=padding)


def _require_said(said: ContractOptions, interface: str, label: str) -> None:
    missing = []
    if said.classes is None:
        missing.append("--classes NAME|N")
    if said.normalization is None:
        missing.append("--normalization imagenet|unit (or --mean, --std and --scale)")
    if said.align_corners is None and interface == "logits":
        missing.append("--align-corners or --no-align-corners")
    if missing:
        raise SpecError(
            f"the metadata of {label} does not describe its input and output", hint=f"pass {', '.join(missing)}"
        )


def _words(element: int, shape: tuple[int, ...]) -> str:
    return f"{TensorProto.DataType.Name(element).lower()} {'x'.join(map(str, shape))}"
