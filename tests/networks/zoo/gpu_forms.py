"""What tests of networks written for a GPU's compiler share: statistics as if trained, exports, costs, FP16 errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rtseg.engines.rewriting.cost import Cost, compiled_cost
from rtseg.exporting.folding import fold_constants
from rtseg.exporting.interfaces import interface_module
from rtseg.exporting.onnx_file import _traced
from rtseg.exporting.static_graph import static_copy
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.spec import SegmentationNetwork
from rtseg.quantization.fp16 import to_fp16
from rtseg.quantization.fp16_rounding import every_operator_rounded
from rtseg.runners.tensorrt.module import load_rtx, rtx_has_wheels
from rtseg.runners.torch import TorchRunner
from rtseg.specs import Resolution

ROUNDING = 3e-5
"""Of the greatest magnitude: what another order of float32 operations may come to."""

CHECKPOINTS = Path(__file__).parents[3] / "export" / "checkpoints"

Values = NDArray[np.float64]


def as_if_trained(module: nn.Module) -> nn.Module:
    """Return the module in evaluation mode, its normalisations with statistics, scales and shifts that differ."""
    generator = torch.Generator().manual_seed(7)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            for values, low, high in (
                (layer.running_mean, -0.5, 0.5),
                (layer.running_var, 0.5, 2.0),
                (layer.weight.data, 0.2, 0.8),
                (layer.bias.data, -0.5, 0.5),
            ):
                values.copy_(low + (high - low) * torch.rand(values.shape, generator=generator))
    return module.eval()


def relative_difference(got: Tensor, expected: Tensor) -> float:
    """Return the greatest difference over the greatest expected magnitude."""
    return float((got - expected).abs().max() / expected.abs().max())


def exported(network: PreparedNetwork, module: SegmentationNetwork, resolution: Resolution) -> onnx.ModelProto:
    """Return the module, in place of the network's own, as static ONNX with logits."""
    form, source = interface_module(replace(network, module=module), "logits", resolution)
    model = _traced(form, source)
    fold_constants(model, network.name)
    with TorchRunner(form, source) as runner:
        return static_copy(model, runner.output, {})


def cost_on_gpu(
    network: PreparedNetwork,
    module: SegmentationNetwork,
    resolution: Resolution,
    capability: tuple[int, int] = (8, 6),
) -> Cost:
    """Return what TensorRT for RTX makes of the module in FP16 for that capability; skip the test without it."""
    if not rtx_has_wheels():
        pytest.skip("TensorRT for RTX has wheels for x86-64 Linux and Windows only")
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install 'rtseg[rtx]'")
    return compiled_cost(load_rtx("the cost of a form"), exported(network, module, resolution), "fp16", capability)


def fp16_error(model: onnx.ModelProto, picture: NDArray[np.float32], expected: Values) -> float:
    """Return the root of the mean squared error where the result of every operator is rounded to FP16."""
    return float(np.sqrt(((computed(every_operator_rounded(to_fp16(model).model), picture) - expected) ** 2).mean()))


def computed(model: onnx.ModelProto, picture: NDArray[np.float32]) -> Values:
    """Return what ONNX Runtime computes, operator by operator as the graph has them."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: picture})[0], np.float64)


def pictures(resolution: Resolution, scale: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a smooth and a random normalised picture, (1, 3, height, width)."""
    y, x = np.mgrid[0 : resolution.height, 0 : resolution.width]
    smooth = np.stack([1.5 * np.sin(y / 37 + x / 53 + colour) * np.cos(x / 71 - colour) for colour in range(3)])[None]
    noise = np.random.default_rng(0).standard_normal(smooth.shape)
    return (scale * smooth).astype(np.float32), (scale * noise).astype(np.float32)
