from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from rtseg.errors import CheckpointError
from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.zoo.pspnet import PSPNET, PSPNet, PyramidPoolingModule
from rtseg.specs import Resolution

PARAMETERS = 46_716_373
"""Of the public code for 21 classes without its auxiliary head."""

WITH_HEAD = 49_081_578

MACS = 51.5e9
"""Of the public code at 473x473 with features at 1/16."""


def test_the_parameters_are_as_many_as_published() -> None:
    counted = count_parameters(meta_network(PSPNET, 21))
    assert (counted.deployed, counted.trained) == (PARAMETERS, WITH_HEAD)


def test_weights_and_batch_statistics_have_the_size_of_the_published_file() -> None:
    network = meta_network(PSPNET, 21)
    head = {f"head.{name}" for name in network.get_submodule("head").state_dict()}
    kept = (v for k, v in network.state_dict().items() if k not in head and v.is_floating_point())
    assert sum(4 * v.numel() for v in kept) / 2**20 == pytest.approx(178.5, rel=1e-3)


def test_the_multiply_accumulates_of_features_at_a_sixteenth_are_the_public_codes() -> None:
    # 473 is no multiple of 8; 480 gives maps of the same 30x30, from a slightly larger stem.
    macs = count_macs(meta_network(PSPNET, 21), Resolution(480, 480), "pspnet")
    assert macs == pytest.approx(MACS, rel=2e-2)


def test_features_at_an_eighth_cost_three_times_as_much() -> None:
    macs = count_macs(meta_network(PSPNET, 21, {"output_stride": "8"}), Resolution(480, 480), "pspnet")
    assert macs == pytest.approx(162e9, rel=1e-2)


@pytest.mark.parametrize("output_stride", PSPNet.OUTPUT_STRIDES)
@pytest.mark.parametrize(("height", "width"), [(360, 480), (512, 1024), (8, 24)])
def test_the_logits_lie_at_an_eighth(height: int, width: int, output_stride: str) -> None:
    network = meta_network(PSPNET, 11, {"output_stride": output_stride})
    logits = network(torch.zeros(2, 3, height, width, device="meta"))
    assert logits.shape == (2, 11, height // 8, width // 8)


@pytest.mark.parametrize(("output_stride", "size"), [("16", (23, 30)), ("8", (45, 60))])
def test_the_auxiliary_logits_lie_at_the_output_stride(output_stride: str, size: tuple[int, int]) -> None:
    network = meta_network(PSPNET, 11, {"output_stride": output_stride})
    _, auxiliary = network.training_logits(torch.zeros(1, 3, 360, 480, device="meta"))
    assert auxiliary.shape == (1, 11, *size)


def test_the_pyramid_merges_the_input_with_its_averages() -> None:
    torch.manual_seed(0)
    module = PyramidPoolingModule(8).eval()
    x = torch.randn(2, 8, 7, 9)
    with torch.inference_mode():
        pooled = [level(F.adaptive_avg_pool2d(x, bins)) for bins, level in zip((1, 2, 3, 6), module.levels)]
        upsampled = [F.interpolate(p, size=(7, 9), mode="bilinear", align_corners=True) for p in pooled]
        torch.testing.assert_close(module(x), module.merge(torch.cat([x, *upsampled], 1)))


def test_there_are_no_imagenet_weights_for_the_deep_stem() -> None:
    network = meta_network(PSPNET, 21)
    assert network.backbone == ""
    with pytest.raises(CheckpointError, match="no backbone"):
        network.load_backbone({})
