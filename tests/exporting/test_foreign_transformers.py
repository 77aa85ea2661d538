"""Networks of the package transformers, as it builds them: exported from their module and imported as ONNX files."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import rtseg
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.specs import IMAGENET_NORMALIZATION

pytestmark = pytest.mark.slow

SIZE = (128, 256)

SOURCE = """
import torch
import transformers as t


def settled(network):
    # Of random weights the batch statistics are those of noise: without them nothing bounds what comes out.
    torch.manual_seed(0)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(2, 3, 128, 256))
    return network.eval()


def segformer(classes):
    return settled(t.SegformerForSemanticSegmentation(t.SegformerConfig(num_labels=classes, depths=[1, 1, 1, 1])))


def mobilevit(classes):
    return settled(t.MobileViTForSemanticSegmentation(t.MobileViTConfig(num_labels=classes)))


def mobilevit_v2(classes):
    return settled(t.MobileViTV2ForSemanticSegmentation(t.MobileViTV2Config(num_labels=classes)))


def upernet(classes):
    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = t.ConvNextConfig(depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 64, 96], out_features=stages)
    config = t.UperNetConfig(backbone_config=backbone, num_labels=classes, hidden_size=32, auxiliary_in_channels=64)
    return settled(t.UperNetForSemanticSegmentation(config))


def upernet_swin(classes):
    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = t.SwinConfig(depths=[1, 1, 1, 1], embed_dim=24, num_heads=[1, 2, 4, 8], out_features=stages)
    config = t.UperNetConfig(backbone_config=backbone, num_labels=classes, hidden_size=32, auxiliary_in_channels=96)
    return settled(t.UperNetForSemanticSegmentation(config))
"""
STRIDES = {"segformer": 4, "mobilevit": 32, "mobilevit_v2": 32, "upernet": 1, "upernet_swin": 1}


@pytest.fixture(autouse=True)
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("transformers")
    (tmp_path / "users_transformers.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_transformers", raising=False)
    return __import__("users_transformers")


class LogitsAlone(nn.Module):
    """The network as its users export it: their outputs are a mapping, of which an exporter knows nothing."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image).logits  # type: ignore[no-any-return]


def script(module: nn.Module, image: Tensor, path: Path, **settings: Any) -> None:
    torch.onnx.export(module, (image,), path, dynamo=False, opset_version=17, input_names=["image"], **settings)


def default(module: nn.Module, image: Tensor, path: Path) -> None:
    torch.onnx.export(module, (image,), path, input_names=["image"], verbose=False)


@pytest.mark.parametrize("name", STRIDES)
def test_a_network_of_transformers_is_exported_from_its_module(name: str, tmp_path: Path) -> None:
    made = rtseg.export(f"users_transformers:{name}", SIZE, tmp_path / "a.onnx", classes=5, images=1)
    assert all(entry.passed for entry in made.parity.inputs)
    assert made.artifact.manifest.output.stride == STRIDES[name]


@pytest.mark.parametrize(
    ("name", "exporter"),
    # PyTorch 2.13 writes no others: its older exporter lacks col2im and pooling to 6x6 bins, the newer one Swin.
    [
        ("segformer", script),
        ("segformer", default),
        ("mobilevit", script),
        ("mobilevit", default),
        ("mobilevit_v2", default),
        ("upernet", default),
    ],
)
def test_a_network_of_transformers_is_imported_from_its_file(
    name: str, exporter: Callable[..., None], networks: Any, tmp_path: Path
) -> None:
    module, image = LogitsAlone(getattr(networks, name)(5)).eval(), torch.randn(1, 3, *SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exporter(module, image, tmp_path / "a.onnx")
    made = rtseg.import_onnx(tmp_path / "a.onnx", classes=5, normalization=IMAGENET_NORMALIZATION, align_corners=False)
    with OnnxRuntimeRunner(made.artifact.path) as runner, torch.no_grad():
        got, expected = runner.infer(image.numpy()), module(image).numpy()
    assert (got.argmax(1) == expected.argmax(1)).mean() > 0.99
    np.testing.assert_allclose(got, expected, atol=1e-3 * float(np.abs(expected).max()))


def test_a_network_with_open_sizes_is_imported_at_one(networks: Any, tmp_path: Path) -> None:
    module, image = LogitsAlone(networks.segformer(5)).eval(), torch.randn(1, 3, 64, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script(module, image, tmp_path / "a.onnx", dynamic_axes={"image": {0: "n", 2: "h", 3: "w"}})
    made = rtseg.import_onnx(
        tmp_path / "a.onnx",
        classes=5,
        normalization=IMAGENET_NORMALIZATION,
        align_corners=False,
        resolution=SIZE,
    )
    assert str(made.artifact.manifest.image.resolution) == "128x256"
