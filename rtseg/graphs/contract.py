"""The image and output contracts as an ONNX graph states them: in its metadata, and in its input and output types."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
from onnx import TensorProto

from rtseg.artifacts.files import PathLike, sha256_of
from rtseg.artifacts.import_command import import_command
from rtseg.artifacts.manifest import Manifest, require_own_weights
from rtseg.errors import OnnxError, SpecError
from rtseg.graphs.canonical import read_graph, require_canonical
from rtseg.specs import IMAGE_PROPERTY, OUTPUT_PROPERTY, ImageSpec, OutputSpec, tensor_shapes

Ends = tuple[tuple[int, tuple[int, ...]], tuple[int, tuple[int, ...]]]


def graph_ends(model: onnx.ModelProto, label: str) -> Ends:
    """Return element type and shape of the one input and the one output. Raises OnnxError for several, or no sizes."""
    constants = {entry.name for entry in model.graph.initializer}
    ends = []
    for kind, values in (("input", model.graph.input), ("output", model.graph.output)):
        stated = [value for value in values if value.name not in constants]
        if len(stated) != 1:
            raise OnnxError(f"{label} has {len(stated)} {kind}s", got=[value.name for value in stated], expected="one")
        tensor = stated[0].type.tensor_type
        shape = tuple(side.dim_value for side in tensor.shape.dim)
        if not shape or not all(size > 0 for size in shape):
            words = [side.dim_param or side.dim_value or "?" for side in tensor.shape.dim]
            raise OnnxError(
                f"the {kind} {stated[0].name} of {label} has a dynamic shape",
                got="x".join(map(str, words)) or "no shape",
                expected="sizes in numbers",
                hint="export it without dynamic axes",
            )
        ends.append((int(tensor.elem_type), shape))
    return ends[0], ends[1]


def stated_contract(model: onnx.ModelProto, label: str) -> tuple[ImageSpec, OutputSpec] | None:
    """Return the contracts in the graph's metadata, None if there are none.

    Raises OnnxError if they cannot be read or do not match the graph's input and output.
    """
    properties = {entry.key: entry.value for entry in model.metadata_props}
    if IMAGE_PROPERTY not in properties and OUTPUT_PROPERTY not in properties:
        return None
    try:
        image = ImageSpec.from_json(json.loads(properties[IMAGE_PROPERTY]))
        output = OutputSpec.from_json(json.loads(properties[OUTPUT_PROPERTY]))
    except (KeyError, ValueError, RecursionError, SpecError) as error:
        raise OnnxError(f"the metadata of {label} describes its input or output wrongly: {error}") from error
    require_ends(model, image, output, label)
    return image, output


def require_ends(model: onnx.ModelProto, image: ImageSpec, output: OutputSpec, label: str) -> None:
    """Raise OnnxError unless the graph's input and output match the contracts."""
    (_, taken), (_, given) = graph_ends(model, label)
    if (taken, given) != tensor_shapes(image, output):
        raise OnnxError(
            f"{label} has another input or output than its metadata states",
            got=f"{taken} to {given}",
            expected=" to ".join(map(str, tensor_shapes(image, output))),
            hint="export or import the file again",
        )


def stated_manifest(path: PathLike) -> Manifest:
    """Return a new manifest for a canonical file without one, from the contracts in the graph's metadata.

    Raises OnnxError for a file that is not a canonical graph, and for one that states no contract, with the command
    that imports it. Raises ManifestError for a file with weights in other files.
    """
    source = Path(path)
    model = read_graph(source)
    contract = stated_contract(model, str(source))
    if contract is None:
        raise OnnxError(
            f"{source} has no manifest, and its metadata does not describe its input and output",
            hint=f"run {import_command(source)}",
        )
    require_canonical(model, str(source))
    require_own_weights(source)
    return Manifest(
        kind="onnx",
        network=source.stem,
        options={},
        weights=f"imported from {source.name}",
        precision=graph_precision(model),
        image=contract[0],
        output=contract[1],
        sha256=sha256_of(source),
    )


def graph_precision(model: onnx.ModelProto) -> str:
    """Return int8 for a graph with Q/DQ, fp16 for one with weights in FP16, else fp32."""
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return "int8"
    half = any(entry.data_type == TensorProto.FLOAT16 for entry in model.graph.initializer)
    return "fp16" if half else "fp32"
