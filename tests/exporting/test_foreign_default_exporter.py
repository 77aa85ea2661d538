"""Files that PyTorch's default exporter writes: opset 18 and newer, with their weights beside them or inside."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtseg.datasets.registry import class_spec
from rtseg.exporting.foreign import canonical_import
from rtseg.exporting.foreign_contract import ContractOptions
from rtseg.graphs.canonical import read_canonical
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.registry import network_names
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.specs import IMAGENET_NORMALIZATION

CLASSES = 5
SAID = ContractOptions(class_spec(str(CLASSES)), IMAGENET_NORMALIZATION, align_corners=False)
SHAPE = (1, 3, 32, 48)


class Convolutional(nn.Module):
    """Norms of groups and layers, parts, pools to a grid, pads, and what was new in opset 18 and 20."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 4, 1)
        self.groups = nn.GroupNorm(4, 16)
        self.layers = nn.LayerNorm(16)
        self.context = nn.AdaptiveAvgPool2d((2, 3))
        self.head = nn.Conv2d(16, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.groups(self.stem(x)))
        first, second, third = x.chunk(3, 1)
        x = F.mish(torch.cat([third, first, second], 1))
        context = F.interpolate(self.context(x), size=x.shape[-2:], mode="bilinear", align_corners=False)
        x = self.layers((x + context).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1)
        return self.head(x * torch.sigmoid(x.mean((2, 3), keepdim=True)) + x.amax(1, keepdim=True))


class Attending(nn.Module):
    """Attention between patches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 4, 4)
        self.norm = nn.LayerNorm(16)
        self.mixed = nn.Linear(16, 48)
        self.head = nn.Conv2d(16, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        batch, channels, height, width = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        parts = self.mixed(self.norm(tokens)).reshape(batch, height * width, 3, 2, 8).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(*parts.unbind(0)).transpose(1, 2).reshape(batch, height * width, channels)
        return self.head((tokens + seen).transpose(1, 2).reshape(x.shape))


class Sampling(nn.Module):
    """Maps read between their pixels, and columns put together to a map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 4, 1)
        self.moves = nn.Conv2d(16, 2, 1)
        self.head = nn.Conv2d(16, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        moved = F.grid_sample(x, torch.tanh(self.moves(x)).permute(0, 2, 3, 1), align_corners=True)
        pooled = F.interpolate(F.max_pool2d(F.hardswish(moved), 2, 2, ceil_mode=True), scale_factor=2)
        columns = F.fold(F.unfold(x, 3, padding=1), x.shape[-2:], 3, padding=1)
        return self.head(F.silu(moved) + pooled + columns + x.std(1, keepdim=True))


def written(network: nn.Module, path: Path, shape: tuple[int, ...] = SHAPE, **options: Any) -> Path:
    """Write the network as the default exporter does."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, of what it will do in a newer PyTorch
        torch.onnx.export(network.eval(), (torch.zeros(shape),), path, dynamo=True, verbose=False, **options)
    return path


def require_equal_to_pytorch(network: nn.Module, source: Path) -> list[str]:
    """Import the file and compare what came of it with the network; return the operators of the file."""
    imported = canonical_import(source, said=SAID)
    read_canonical(imported.artifact.path)
    array = np.random.default_rng(1).standard_normal(SHAPE, np.float32)
    with OnnxRuntimeRunner(imported.artifact.path, threads=1) as runner, torch.no_grad():
        found, expected = runner.infer(array), network(torch.from_numpy(array)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * float(np.abs(expected).max()))
    return [node.op_type for node in onnx.load(source, load_external_data=False).graph.node]


def test_a_file_of_opset_18_is_taken(tmp_path: Path) -> None:
    network = Convolutional()
    source = written(network, tmp_path / "mine.onnx", opset_version=18, external_data=False)
    assert {"Split", "Mish", "ReduceMax"} <= set(require_equal_to_pytorch(network, source))


def test_a_file_of_opset_20_with_its_weights_beside_it_is_taken(tmp_path: Path) -> None:
    network = Convolutional()
    source = written(network, tmp_path / "mine.onnx", opset_version=20, external_data=True)
    assert source.with_name("mine.onnx.data").exists()
    assert {"Gelu", "Mish", "Split"} <= set(require_equal_to_pytorch(network, source))


@pytest.mark.slow
@pytest.mark.parametrize("network", [Convolutional, Attending, Sampling])
@pytest.mark.parametrize("opset", [None, 18, 20, 21, 23])
def test_a_file_of_any_opset_that_the_exporter_writes_is_taken(
    tmp_path: Path, network: type[nn.Module], opset: int | None
) -> None:
    made = network()
    options = {} if opset is None else {"opset_version": opset}
    operators = require_equal_to_pytorch(made, written(made, tmp_path / "mine.onnx", **options))
    assert ("GroupNormalization" in operators) == (network is Convolutional and (opset or 0) >= 21)
    assert ("Attention" in operators) == (network is Attending and (opset or 0) >= 23)


@pytest.mark.slow
@pytest.mark.parametrize("name", network_names())
def test_every_network_of_the_registry_is_taken_from_the_default_exporter(name: str, tmp_path: Path) -> None:
    network = network_with_random_weights(name, class_spec("camvid"), seed=1).module.eval()
    source = written(network, tmp_path / "mine.onnx", (1, 3, 64, 128), opset_version=20)
    imported = canonical_import(source, said=replace(SAID, classes=class_spec("camvid")))
    assert "opset 20 became 17" in imported.account
