"""The canonical ONNX contract: opset 17, IR 8, static shapes, one input, one output, no shape arithmetic.

TensorRT 8.5 and 8.6 accept newer opsets silently and compute something else: ReduceMean's axes became an input in
opset 18, and these versions ignore it. ONNX Runtime refuses newer IR versions. So both numbers are checked in the file
that was written, not in the request.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from rtseg.artifacts.files import PathLike
from rtseg.artifacts.onnx_bytes import external_files
from rtseg.errors import OnnxError

OPSET = 17
IR_VERSION = 8
SHAPE_OPERATORS = frozenset({"Shape", "Size", "NonZero", "If", "Loop", "Scan"})
"""Operators that a static graph does not need; if one is left, some shape is not constant."""


def read_canonical(path: PathLike, *, label: str = "") -> onnx.ModelProto:
    """Return the model in the file; errors call it label. Raises OnnxError if it is not ONNX or breaks the contract."""
    model = read_graph(path, label=label)
    require_canonical(model, label or str(path))
    return model


def read_graph(path: PathLike, *, label: str = "") -> onnx.ModelProto:
    """Return any ONNX model in the file; errors call it label. Raises OnnxError if it cannot be read or is not ONNX."""
    try:
        require_external_data(path, label or str(path))
        return onnx.load(Path(path), format="protobuf")  # whatever the file's suffix
    except OSError as error:
        raise OnnxError(f"cannot read {label or path}: {error.strerror or error}") from error
    except (DecodeError, ValueError, onnx.checker.ValidationError) as error:  # the last: weights in other files
        raise OnnxError(f"{label or path} is not an ONNX file: {error}") from error


def require_external_data(path: PathLike, label: str) -> None:
    """Raise OnnxError if files with weights are missing. Raises OSError if the file itself is missing."""
    folder = Path(path).parent
    if missing := [name for name in external_files(path) if not (folder / name).is_file()]:
        raise OnnxError(
            f"{label} keeps weights in another file, which is not beside it",
            got=", ".join(missing[:3]),
            hint=f"copy it to {folder}, under the same name",
        )


def require_canonical(model: onnx.ModelProto, label: str) -> None:
    """Raise OnnxError unless the model meets every point of the contract."""
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
            hint="use plain integers for sizes in forward(), such as int(x.shape[-1])",
        )
