"""Refuse graphs that were exported in training mode: they do not compute the same as the network in use."""

from __future__ import annotations

import onnx

from rtseg.errors import OnnxError
from rtseg.graphs.view import GraphView, attribute, node_name

_DRAWS = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
)


def require_evaluation(model: onnx.ModelProto, label: str) -> None:
    """Raise OnnxError, naming the node, for a BatchNormalization or Dropout in training mode, or a random draw.

    The first would normalise with the statistics of the current picture instead of the learned ones, the second drops
    values at random.
    """
    view = GraphView(model)
    for node in view.nodes:
        if node.op_type == "BatchNormalization":
            # Before opset 14 only the outputs show it: the statistics are outputs too.
            trains = attribute(node, "training_mode", 0) or len([name for name in node.output if name]) > 1
        elif node.op_type == "Dropout":
            mode = node.input[2] if len(node.input) > 2 else ""
            trains = bool(mode) and view.is_constant(mode) and bool(view.constant(mode).all())
        elif node.op_type in _DRAWS:
            raise OnnxError(
                f"{label} draws at random: {node_name(node)} is a {node.op_type}",
                expected="the same result each time",
                hint="export the network without it",
            )
        else:
            continue
        if trains:
            raise OnnxError(
                f"{label} was exported in training mode: {node_name(node)} is a {node.op_type} that trains",
                expected="the network in evaluation",
                hint="call network.eval() before torch.onnx.export, and leave out training=TrainingMode.TRAINING",
            )
