from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.zoo.aspp import AtrousSpatialPyramidPooling
from rtseg.networks.zoo.deeplabv3plus import DEEPLABV3PLUS_MOBILENETV2, ProjectedQuarter
from rtseg.networks.zoo.mobilenetv2 import MobileNetV2
from rtseg.specs import Resolution

PARAMETERS = 5_818_149
"""Of the public PyTorch code for the 21 classes of PASCAL VOC."""

MACS = 26.3e9
"""At 512x512."""


def test_the_parameters_are_as_many_as_the_public_codes() -> None:
    counted = count_parameters(meta_network(DEEPLABV3PLUS_MOBILENETV2, 21))
    assert (counted.trained, counted.deployed) == (PARAMETERS, PARAMETERS)


def test_the_multiply_accumulates_are_the_public_codes() -> None:
    network = meta_network(DEEPLABV3PLUS_MOBILENETV2, 21)
    assert count_macs(network, Resolution(512, 512), "deeplabv3plus") == pytest.approx(MACS, rel=0.01)


def test_the_pyramid_sees_320_channels_at_a_sixteenth() -> None:
    seen = []
    network = meta_network(DEEPLABV3PLUS_MOBILENETV2, 21)
    pyramid = network.get_submodule("pyramid")
    pyramid.register_forward_hook(lambda _, inputs, out: seen.append((tuple(inputs[0].shape), tuple(out.shape))))
    network(torch.zeros(1, 3, 512, 512, device="meta"))
    assert seen == [((1, 320, 32, 32), (1, 256, 32, 32))]


def test_the_logits_lie_at_a_quarter_and_are_upsampled_with_their_corners_aligned() -> None:
    network = meta_network(DEEPLABV3PLUS_MOBILENETV2, 21)
    assert network(torch.zeros(1, 3, 360, 480, device="meta")).shape == (1, 21, 90, 120)
    assert (network.stride, network.align_corners) == (4, True)


def test_the_fine_map_reaches_the_decoder_with_48_channels() -> None:
    path = ProjectedQuarter().eval()
    quarter, eighth = torch.randn(1, 24, 9, 13), torch.randn(1, 32, 5, 7)
    assert path(quarter, eighth).shape == (1, 48, 9, 13)
    assert torch.equal(path(quarter, eighth), path(quarter, torch.zeros_like(eighth)))


# Atrous spatial pyramid pooling


def test_the_pyramid_dilates_by_6_12_and_18() -> None:
    pyramid = AtrousSpatialPyramidPooling(8, 4)
    assert [branch[0].dilation for branch in pyramid.atrous] == [(6, 6), (12, 12), (18, 18)]  # type: ignore[index]


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (40, 23)])
def test_the_pyramid_keeps_every_size(size: tuple[int, int]) -> None:
    assert AtrousSpatialPyramidPooling(8, 4).eval()(torch.randn(2, 8, *size)).shape == (2, 4, *size)


@pytest.mark.parametrize(
    ("branch", "offset", "reached"),
    [(0, 6, True), (0, 12, False), (1, 12, True), (1, 6, False), (2, 18, True), (2, 12, False)],
)
def test_an_atrous_branch_sees_as_far_as_its_rate(branch: int, offset: int, reached: bool) -> None:
    torch.manual_seed(0)
    convolution = AtrousSpatialPyramidPooling(1, 1).atrous[branch][0]  # type: ignore[index]
    x = torch.zeros(1, 1, 41, 41)
    x[0, 0, 20, 20] = 1
    response = convolution(x) - convolution(torch.zeros_like(x))
    assert bool(response[0, 0, 20, 20 + offset] != 0) is reached


def test_the_image_branch_is_the_mean_everywhere() -> None:
    torch.manual_seed(0)
    pyramid = AtrousSpatialPyramidPooling(8, 4).eval()
    merged: list[torch.Tensor] = []
    pyramid.merge.register_forward_hook(lambda _, inputs, __: merged.append(inputs[0]))
    x = torch.randn(1, 8, 6, 9)
    with torch.inference_mode():
        pyramid(x)
        expected = pyramid.image(F.adaptive_avg_pool2d(x, 1)).expand(1, 4, 6, 9)
    torch.testing.assert_close(merged[0][:, -4:], expected)


def test_the_trunk_of_the_public_code_is_dilated_in_its_last_stage() -> None:
    trunk = meta_network(DEEPLABV3PLUS_MOBILENETV2, 21).get_submodule("trunk")
    assert isinstance(trunk, MobileNetV2)
    dilations = [
        (number, layer.dilation[0])
        for number, block in enumerate(trunk.features)
        for layer in block.modules()
        if isinstance(layer, torch.nn.Conv2d) and layer.dilation != (1, 1)
    ]
    assert dilations == [(15, 2), (16, 2), (17, 2)]
