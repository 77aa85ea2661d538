"""Turn an exporter's graph into a static one: simplified, with constant sizes and the contracts in its metadata."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from rtseg.exporting.simplify import drop_unused, fold_batch_norms, without_identities
from rtseg.frame.protocol import TensorSpec


def static_copy(model: onnx.ModelProto, result: TensorSpec, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Return a simplified copy of the model with a static output and the metadata properties."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    without_identities(copy)
    fold_batch_norms(copy)
    drop_unused(copy)
    del copy.graph.value_info[:]
    sides = copy.graph.output[0].type.tensor_type.shape
    del sides.dim[:]
    for side in result.shape:
        sides.dim.add().dim_value = side
    onnx.helper.set_model_props(copy, dict(metadata))
    copy.producer_name = "rtseg"
    return copy
