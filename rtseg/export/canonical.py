"""The canonical ONNX contract: opset 17, IR 8, static shapes, one input, one output, no shape arithmetic.

TensorRT 8.5 and 8.6 read newer opsets without complaint and compute something else (ReduceMean's
axes became an input in opset 18 and are ignored there), and ONNX Runtime refuses newer IR versions.
So both numbers are asserted on the file that was written, not on what was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from rtseg.artifacts import PathLike
from rtseg.errors import OnnxError
from rtseg.export.simplify import fold_batch_norms, without_identities
from rtseg.runners.protocol import TensorSpec

OPSET = 17
IR_VERSION = 8
SHAPE_OPERATORS = frozenset({"Shape", "Size", "NonZero", "If", "Loop", "Scan"})
"""Operators that a static graph has no use for; one left over means a shape was not constant."""


def read_canonical(path: PathLike, *, label: str = "") -> onnx.ModelProto:
    """Return the model in the file, called label. Raises OnnxError where it is not ONNX or breaks the contract."""
    try:
        model = onnx.load(Path(path))
    except (OSError, DecodeError, ValueError) as error:
        raise OnnxError(f"{label or path} is not an ONNX file: {error}") from error
    require_canonical(model, label or str(path))
    return model


def require_canonical(model: onnx.ModelProto, label: str) -> None:
    """Raise OnnxError unless the model keeps every point of the contract."""
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if opsets != {"ai.onnx": OPSET}:
        raise OnnxError(f"{label} has another opset", got=opsets, expected={"ai.onnx": OPSET})
    if model.ir_version != IR_VERSION:
        raise OnnxError(f"{label} has another IR version", got=model.ir_version, expected=IR_VERSION)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise OnnxError(f"{label} is not valid ONNX: {str(error).splitlines()[0]}") from error
    for values in (model.graph.input, model.graph.output):
        if len(values) != 1:
            raise OnnxError(f"{label} has several inputs or outputs", got=[v.name for v in values], expected="one each")
        sides = values[0].type.tensor_type.shape.dim
        if not sides or not all(side.dim_value > 0 for side in sides):
            raise OnnxError(f"{label} has a dynamic shape", got=values[0].name, expected="static sizes")
    left_over = sorted({node.op_type for node in model.graph.node} & SHAPE_OPERATORS)
    if left_over:
        raise OnnxError(
            f"{label} computes shapes at run time",
            got=", ".join(left_over),
            expected="constants",
            hint="plain integers for sizes in forward(), such as int(x.shape[-1])",
        )


def static_copy(model: onnx.ModelProto, result: TensorSpec, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Return the model simplified, with constant resize sizes, a named static output and the metadata properties."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    without_identities(copy)
    fold_batch_norms(copy)
    _fold_resize_sizes(copy)
    _drop_unused(copy)
    del copy.graph.value_info[:]
    sides = copy.graph.output[0].type.tensor_type.shape
    del sides.dim[:]
    for side in result.shape:
        sides.dim.add().dim_value = side
    onnx.helper.set_model_props(copy, dict(metadata))
    copy.producer_name = "rtseg"
    return copy


def _fold_resize_sizes(model: onnx.ModelProto) -> None:
    """Give each Resize its sizes as a constant, where an exporter computes them from the input's shape."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    shapes = {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in [*inferred.graph.value_info, *inferred.graph.output]
    }
    constants = {initializer.name for initializer in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Resize" or len(node.input) < 4 or node.input[3] in constants:
            continue
        sizes = shapes.get(node.output[0], [])
        if len(sizes) != 4 or not all(sizes):
            raise OnnxError(f"the size of {node.name} is not static", hint="plain integers for sizes in forward()")
        name = f"{node.output[0]}_sizes"
        model.graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [4], sizes))
        node.input[3] = name


def _drop_unused(model: onnx.ModelProto) -> None:
    """Remove nodes and initializers nothing reads, last to first, until none is left."""
    graph = model.graph
    while True:
        read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
        unused = [node for node in graph.node if not read.intersection(node.output)]
        if not unused:
            break
        for node in unused:
            graph.node.remove(node)
    for initializer in [entry for entry in graph.initializer if entry.name not in read]:
        graph.initializer.remove(initializer)
