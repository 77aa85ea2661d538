"""Fix a graph to one picture size: batch 1, static height and width, and all sizes that follow from them."""

from __future__ import annotations

import onnx

from rtseg.errors import OnnxError
from rtseg.exporting.folding import fold_constants, inferred_types
from rtseg.graphs.names import graph_inputs
from rtseg.specs import Resolution

RGB = 3


def settle_at(model: onnx.ModelProto, resolution: Resolution | None, label: str) -> list[str]:
    """Give the graph's input batch 1 and that size, in place; return one phrase for each change.

    resolution is required if the file leaves the size open, and must be the file's own if it does not. Computed sizes
    become constants; the shapes of the outputs follow from them, whatever the file states. Raises OnnxError for a
    missing or different size, and if the graph does not support it.
    """
    source = only_input(model, label)
    sides, stated = source.type.tensor_type.shape.dim, _words(source)
    if not source.type.tensor_type.HasField("shape") or len(sides) != 4:
        raise OnnxError(
            f"the input {source.name} of {label} is not a picture",
            got=stated,
            expected="1x3xHxW, or 1xHxWx3",
        )
    for side in sides:
        if side.HasField("dim_value") and side.dim_value <= 0:  # some exporters mark an open size so
            side.ClearField("dim_value")
    channel = 3 if sides[3].dim_value == RGB and sides[1].dim_value != RGB else 1
    places = (1, 2) if channel == 3 else (2, 3)
    changes = []
    if sides[0].dim_value != 1:
        changes.append(f"batch {_side(sides[0])} became 1")
        sides[0].dim_value = 1
    if not sides[channel].dim_value:
        sides[channel].dim_value = RGB
    sizes = (None, None) if resolution is None else (resolution.height, resolution.width)
    for place, size, name in zip(places, sizes, ("height", "width")):
        own = sides[place].dim_value
        if not own and size is None:
            raise OnnxError(
                f"the input {source.name} of {label} has a dynamic shape",
                got=stated,
                expected="sizes in numbers",
                hint="pass --resolution HxW, such as 512x1024",
            )
        if own and size is not None and own != size:
            raise OnnxError(
                f"{label} accepts only one {name}",
                got=size,
                expected=own,
                hint="leave out --resolution, or pass that size",
            )
        if not own:
            changes.append(f"{name} {_side(sides[place])} became {size}")
            sides[place].dim_value = size
    del model.graph.value_info[:]  # they may state another size
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    fold_constants(model, label)
    _state_outputs(model, label)
    return changes


def only_input(model: onnx.ModelProto, label: str) -> onnx.ValueInfoProto:
    """Return the graph's one input. Raises OnnxError for several, or none."""
    found = graph_inputs(model)
    if len(found) != 1:
        raise OnnxError(f"{label} has {len(found)} inputs", got=[value.name for value in found], expected="one")
    return found[0]


def _state_outputs(model: onnx.ModelProto, label: str) -> None:
    """Write the inferred shapes of the outputs into the graph."""
    types = inferred_types(model, label)
    for value in model.graph.output:
        if value.name in types:
            element, shape = types[value.name]
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, element, shape))


def _words(source: onnx.ValueInfoProto) -> str:
    return "x".join(_side(side) for side in source.type.tensor_type.shape.dim) or "no shape"


def _side(side: onnx.TensorShapeProto.Dimension) -> str:
    return str(side.dim_param or side.dim_value or "?")
