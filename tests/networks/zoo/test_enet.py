from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from rtseg.datasets.registry import class_spec
from rtseg.exporting.interfaces import interface_module
from rtseg.exporting.onnx_file import export_onnx
from rtseg.exporting.tensorrt_operators import unsupported_operators
from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.zoo.enet import ENET, Bottleneck, DownsamplingBottleneck, max_unpool, maximum_mask
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.specs import Resolution

PUBLIC = {19: 360_422, 20: 360_694}
"""Parameters, by classes, of the public PyTorch version that is followed."""

HEAD = {19: 2_432, 20: 2_560}
"""Those of its 1x1 head from 128 channels to the classes, which it never calls."""

MACS = 4.12e9
"""At 512x1024, as counted on the public version."""

SMALL = Resolution(64, 96)

SAME_LABELS = 0.999
"""Share of pixels; two classes that tie to within rounding may go either way."""

MOVING = {"Gather", "GatherElements", "GatherND", "MaxUnpool", "NonZero", "Scatter", "ScatterElements", "ScatterND"}
"""Operators that look up or write at computed places."""

finite = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)
few_values = st.sampled_from([-1.0, -0.0, 0.0, 1.0])  # most windows tie
even_sizes = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)).map(
    lambda n: (n[0], n[1], 2 * n[2], 2 * n[3])
)
maps = even_sizes.flatmap(
    lambda size: st.one_of(*(arrays.arrays(np.float32, size, elements=kind) for kind in (finite, few_values)))
)


def unpooled_by_indices(pooled_like: Tensor, x: Tensor) -> Tensor:
    _, indices = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(pooled_like, indices, 2)


@settings(deadline=None)
@given(maps)
def test_the_mask_has_its_ones_where_torchs_indices_are(array: np.ndarray) -> None:
    x = torch.from_numpy(array)
    assert torch.equal(maximum_mask(x), unpooled_by_indices(torch.ones_like(x[..., ::2, ::2]), x))


@settings(deadline=None)
@given(maps, st.integers(0, 2**32 - 1))
def test_unpooling_by_the_mask_is_torchs_unpooling(array: np.ndarray, seed: int) -> None:
    x = torch.from_numpy(array)
    values = torch.randn(x[..., ::2, ::2].shape, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(max_unpool(values, maximum_mask(x)), unpooled_by_indices(values, x))


@settings(deadline=None, max_examples=20)
@given(maps)
def test_the_gradient_through_the_unpooling_is_torchs(array: np.ndarray) -> None:
    x = torch.from_numpy(array)
    weight = torch.arange(x.numel(), dtype=torch.float32).reshape(x.shape)
    gradients = []
    for unpool in (lambda v: max_unpool(v, maximum_mask(x)), lambda v: unpooled_by_indices(v, x)):
        values = torch.ones_like(x[..., ::2, ::2]).requires_grad_()
        (unpool(values) * weight).sum().backward()
        gradients.append(values.grad)
    assert torch.equal(*gradients)


def test_of_equal_values_the_first_in_row_major_order_is_the_maximum() -> None:
    x = torch.tensor([[2.0, 2.0, 1.0, 3.0, 1.0, 2.0], [2.0, 2.0, 3.0, 3.0, 3.0, 3.0]])[None, None]
    expected = torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]])
    assert torch.equal(maximum_mask(x)[0, 0], expected)


@pytest.mark.parametrize("classes", PUBLIC)
def test_the_parameters_are_those_of_the_public_version_less_its_uncalled_head(classes: int) -> None:
    counted = count_parameters(meta_network(ENET, classes))
    assert counted.trained == counted.deployed == PUBLIC[classes] - HEAD[classes]


def test_the_multiply_accumulates_are_those_of_the_public_version() -> None:
    macs = count_macs(meta_network(ENET, 19), Resolution(512, 1024), "enet")
    assert macs == pytest.approx(MACS, rel=1e-2)


@pytest.mark.parametrize(("height", "width"), [(360, 480), (512, 1024), (8, 24)])
def test_the_logits_have_the_images_size(height: int, width: int) -> None:
    logits = meta_network(ENET, 11)(torch.zeros(2, 3, height, width, device="meta"))
    assert logits.shape == (2, 11, height, width)


def test_an_encoder_block_has_one_slope_and_a_decoder_block_none() -> None:
    slopes = [
        sum(
            parameter.numel()
            for layer in block.modules()
            if isinstance(layer, torch.nn.PReLU)
            for parameter in layer.parameters()
        )
        for block in (Bottleneck(64, dropout=0.1, asymmetric=True), Bottleneck(64, dropout=0.1, relu=True))
    ]
    assert slopes == [1, 0]


def test_the_downsampled_main_path_is_padded_with_empty_channels() -> None:
    torch.manual_seed(0)
    block = DownsamplingBottleneck(4, 8, dropout=0.0).eval()
    for parameter in block.convolutions.parameters():
        parameter.data.zero_()
    x = torch.rand(1, 4, 6, 8)
    with torch.inference_mode():
        features, mask = block(x)
    assert torch.equal(features[:, :4], F.max_pool2d(x, 2))
    assert not features[:, 4:].any()
    assert mask.shape == x.shape


@pytest.mark.parametrize("interface", ["logits", "scores", "labels"])
def test_the_exported_graph_moves_nothing_by_computed_indices(interface: str, tmp_path: Path) -> None:
    network = network_with_random_weights("enet", class_spec("camvid"), seed=1)
    export_onnx(network, SMALL, tmp_path / "enet.onnx", interface=interface)
    model = onnx.load(tmp_path / "enet.onnx")
    assert unsupported_operators(model) == []
    assert not {node.op_type for node in model.graph.node} & MOVING


def test_the_exported_labels_of_a_picture_with_flat_areas_agree(tmp_path: Path) -> None:
    # Flat areas give equal features, so that most windows tie.
    network = network_with_random_weights("enet", class_spec("camvid"), seed=1)
    export_onnx(network, SMALL, tmp_path / "enet.onnx", interface="labels")
    picture = np.full((1, 64, 96, 3), 255, np.uint8)
    picture[:, 30:50, 20:70] = np.random.default_rng(0).integers(0, 256, (20, 50, 3), np.uint8)
    module, _ = interface_module(network, "labels", SMALL)
    with torch.inference_mode():
        expected = module(torch.from_numpy(picture)).numpy()
    with OnnxRuntimeRunner(tmp_path / "enet.onnx", threads=1) as runner:
        assert np.mean(runner.infer(picture) == expected) > SAME_LABELS
