"""The two contracts of anybody's ONNX graph: what its two ends show, and what somebody has to say.

Size, interface and stride are read off the graph. The classes, how pixels are normalised, and by which rule logits are
upsampled cannot be seen: they are asked for, never guessed, as a wrong guess runs and gives worse labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import TensorProto

from rtseg.errors import OnnxError, SpecError
from rtseg.graphs.contract import graph_ends, require_ends, stated_contract
from rtseg.specs import ClassSpec, ImageSpec, Normalization, OutputSpec, Resolution

INTERFACES = "float32 1x3xHxW to float32 1xCLASSESxhxw (logits, scores), or uint8 1xHxWx3 to uint8 1xHxW (labels)"


@dataclass(frozen=True)
class ContractOptions:
    """What a graph cannot show; None is what nobody said.

    normalization is how pixels become the network's input; a graph that gives labels does it itself. align_corners is
    the rule by which logits are upsampled, and is asked for where they are smaller than the image.
    """

    classes: ClassSpec | None = None
    normalization: Normalization | None = None
    align_corners: bool | None = None


def foreign_contract(model: onnx.ModelProto, said: ContractOptions, label: str) -> tuple[ImageSpec, OutputSpec]:
    """Return the contracts of a graph: those in its metadata, else by its two ends and what was said.

    Raises OnnxError for a graph whose ends are of no interface, and SpecError for what is not said or does not fit.
    """
    stated = stated_contract(model, label)
    if stated is not None:
        if said != ContractOptions():
            raise SpecError(f"{label} states its contracts in its metadata", hint="the same without options")
        return stated
    interface, resolution, stride = _interface(model, label)
    _require_said(said, interface, label)
    assert said.classes is not None and said.normalization is not None
    (_, _), (_, given) = graph_ends(model, label)
    if interface != "labels" and given[1] != len(said.classes):
        raise SpecError(
            f"{label} has another number of classes", got=len(said.classes), expected=given[1], hint="--classes"
        )
    image = ImageSpec.of(resolution, said.normalization)
    output = OutputSpec(said.classes, interface, stride, bool(said.align_corners))
    require_ends(model, image, output, label)
    return image, output


def _interface(model: onnx.ModelProto, label: str) -> tuple[str, Resolution, int]:
    """Return the interface, the size of the image and the stride of the output, by shapes and types alone."""
    (taken, source), (given, result) = graph_ends(model, label)
    if taken == given == TensorProto.UINT8 and len(source) == 4 and source[3] == 3 and len(result) == 3:
        return "labels", Resolution(*source[1:3]), 1
    if taken == given == TensorProto.FLOAT and len(source) == len(result) == 4 and source[1] == 3:
        resolution = Resolution(*source[2:])
        stride = max(1, round(resolution.height / result[2]))
        return ("scores" if result[2:] == source[2:] else "logits"), resolution, stride
    raise OnnxError(
        f"{label} has no interface of rtseg",
        got=f"{_words(taken, source)} to {_words(given, result)}",
        expected=INTERFACES,
    )


def _require_said(said: ContractOptions, interface: str, label: str) -> None:
    missing = []
    if said.classes is None:
        missing.append("--classes NAME|N")
    if said.normalization is None:
        missing.append("--normalization imagenet|unit (or --mean, --std and --scale)")
    if said.align_corners is None and interface == "logits":
        missing.append("--align-corners or --no-align-corners")
    if missing:
        raise SpecError(f"the metadata of {label} states no contract of rtseg", hint=", ".join(missing))


def _words(element: int, shape: tuple[int, ...]) -> str:
    return f"{TensorProto.DataType.Name(element).lower()} {'x'.join(map(str, shape))}"
