from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.zoo.fast_scnn import FAST_SCNN, AlignedPyramidPooling, FastSCNN, SeparableConv
from rtseg.specs import Resolution
from tests.networks.zoo.gpu_forms import ROUNDING, as_if_trained, relative_difference

DEPLOYED = 1_138_051
"""Parameters of the public PyTorch version for 19 classes without its auxiliary head."""

TRAINED = 1_157_174
"""With it."""

MACS = {"512x1024": 1.677e9, "1024x2048": 6.708e9}
"""As counted on the public version, whose first convolution is not padded."""


def test_the_parameters_are_those_of_the_public_version_with_and_without_its_auxiliary_head() -> None:
    counted = count_parameters(meta_network(FAST_SCNN, 19))
    assert (counted.trained, counted.deployed) == (TRAINED, DEPLOYED)


@pytest.mark.parametrize("size", MACS)
def test_the_multiply_accumulates_are_those_of_the_public_version(size: str) -> None:
    macs = count_macs(meta_network(FAST_SCNN, 19), Resolution.parse(size), "fast_scnn")
    assert macs == pytest.approx(MACS[size], rel=1e-2)


@pytest.mark.parametrize(("height", "width"), [(360, 480), (512, 1024), (8, 24)])
def test_both_outputs_are_an_eighth_of_any_size_that_8_divides(height: int, width: int) -> None:
    # 360x480 gives deep maps of 23x30 and 12x15 beside a shallow one of 45x60.
    main, auxiliary = meta_network(FAST_SCNN, 11).training_logits(torch.zeros(2, 3, height, width, device="meta"))
    assert main.shape == auxiliary.shape == (2, 11, height // 8, width // 8)


def test_the_auxiliary_logits_depend_on_the_shared_layers_only() -> None:
    torch.manual_seed(0)
    network = FastSCNN(11).eval()
    _, auxiliary = network.training_logits(torch.randn(1, 3, 64, 96))
    auxiliary.sum().backward()
    reached = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert reached == {"downsample", "auxiliary"}


def test_a_separable_convolution_lets_negative_values_through_to_its_pointwise_half() -> None:
    convolution = SeparableConv(1, 1).eval()
    for parameter in (convolution[0][0].weight, convolution[1][0].weight):
        parameter.data.fill_(-1)
    with torch.inference_mode():
        assert (convolution(torch.ones(1, 1, 3, 3)) > 0).all()


@pytest.mark.parametrize("size", [(12, 15), (6, 7)])
def test_pyramid_pooling_upsamples_its_bins_corner_to_corner(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    pooling = AlignedPyramidPooling(8, 8).eval()
    x = torch.randn(2, 8, *size)
    with torch.inference_mode():
        levels = [
            F.interpolate(level(F.adaptive_avg_pool2d(x, bins)), size=size, mode="bilinear", align_corners=True)
            for bins, level in zip((1, 2, 3, 6), pooling.levels)
        ]
        expected = pooling.merge(torch.cat([x, *levels], 1))
        torch.testing.assert_close(pooling(x), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 96), (72, 104)])
def test_the_form_for_a_gpu_has_the_same_logits(size: tuple[int, int]) -> None:
    network = as_if_trained(FastSCNN(11))
    assert isinstance(network, FastSCNN)
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        form = network.for_gpu(Resolution(*size))
        assert relative_difference(form(images), network(images)) <= ROUNDING
