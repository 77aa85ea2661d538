"""A graph that was exported while training is refused by the name of what trains."""

from __future__ import annotations

import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from rtseg.errors import OnnxError
from rtseg.exporting.training_mode import require_evaluation


def exported(module: nn.Module, **settings: object) -> onnx.ModelProto:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 3, 16, 16),), stream, dynamo=False, **settings)  # type: ignore[arg-type]
    return onnx.load_model_from_string(stream.getvalue())


TRAINING = {"training": torch.onnx.TrainingMode.TRAINING, "do_constant_folding": False}


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("layer", [nn.BatchNorm2d(4), nn.Dropout(0.5)], ids=["BatchNormalization", "Dropout"])
def test_a_layer_that_trains_is_refused_by_name(layer: nn.Module, opset: int) -> None:
    model = exported(nn.Sequential(nn.Conv2d(3, 4, 1), layer).train(), opset_version=opset, **TRAINING)
    with pytest.raises(OnnxError, match=r"was exported in training mode: .* that trains.*Try: call network\.eval"):
        require_evaluation(model, "the file")


def test_a_network_in_evaluation_is_taken() -> None:
    network = nn.Sequential(nn.MaxPool2d(2), nn.BatchNorm2d(3), nn.Dropout(0.5))
    require_evaluation(exported(network.eval(), opset_version=17), "the file")


def test_dropout_is_judged_by_the_mode_that_it_is_given() -> None:
    constants = {"ratio": np.array(0.5, np.float32), "mode": np.array(False)}
    graph = helper.make_graph(
        [helper.make_node("Dropout", ["x", "ratio", "mode"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    require_evaluation(model, "the file")
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array(True), "mode"))
    with pytest.raises(OnnxError):
        require_evaluation(model, "the file")
