"""Whether two graphs are the same graph, whoever wrote the files."""

from __future__ import annotations

import hashlib
import json

import onnx

from rtseg.graphs.view import GraphView


def model_sha256(model: onnx.ModelProto) -> str:
    """Return the digest of the model serialised as protobuf: for an rtseg file, the digest in its manifest."""
    return hashlib.sha256(model.SerializeToString()).hexdigest()


def structure_sha256(view: GraphView) -> str:
    """Return a digest of operators, tensor names, attributes, and the shapes of input, output and constants.

    Two exports of one checkpoint by different versions of the exporter differ in bytes (a version in the header, the
    last bit of a folded weight) but have the same digest. Integer constants, such as sizes, count with their values.
    """
    ends = [[name, view.element_type(name), list(view.shape(name))] for name in (view.input, view.output)]
    digest = hashlib.sha256(json.dumps(ends).encode())
    for node in view.nodes:
        attributes = {entry.name: _plain(onnx.helper.get_attribute_value(entry)) for entry in node.attribute}
        constants = [_constant(view, name) if view.is_constant(name) else name for name in node.input]
        facts = [node.op_type, constants, list(node.output), sorted(attributes.items())]
        digest.update(json.dumps(facts, sort_keys=True).encode())
    return digest.hexdigest()


def _constant(view: GraphView, name: str) -> list[object]:
    facts: list[object] = [view.element_type(name), list(view.shape(name))]
    if view.element_type(name) == onnx.TensorProto.INT64:
        facts.append(view.constant(name).tolist())
    return facts


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, onnx.TensorProto):
        return hashlib.sha256(value.SerializeToString()).hexdigest()
    if isinstance(value, (int, float, str)):
        return value
    return list(value)  # type: ignore[call-overload]
