from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.errors import SpecError
from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.zoo.fcn8s import FCN8S, TRUNKS, FCN8s
from rtseg.networks.zoo.resnet_bottleneck import ResNet50
from rtseg.specs import Resolution

UPSAMPLING_KERNELS = 21 * 21 * (4 * 4 + 4 * 4 + 16 * 16)
"""Weights of the paper's three transposed convolutions for 21 classes, which are bilinear here."""

PAPERS_FORM = {"resnet50": 23_710_367, "vgg16": 134_489_759}
"""Parameters for 21 classes with those kernels: 23.71 M and 134.49 M."""

HUO_MEBIBYTES = 91.3
"""Size of the file that Huo et al. compare with, Table 4."""


@pytest.mark.parametrize("trunk", TRUNKS)
def test_the_parameters_are_those_of_the_papers_form_less_its_upsampling_kernels(trunk: str) -> None:
    counted = count_parameters(meta_network(FCN8S, 21, {"trunk": trunk}))
    assert (counted.trained, counted.deployed) == (PAPERS_FORM[trunk] - UPSAMPLING_KERNELS,) * 2


def test_the_default_trunk_gives_the_size_of_the_published_file() -> None:
    network = meta_network(FCN8S, 21)
    values = sum(v.numel() for v in network.state_dict().values() if v.is_floating_point())
    assert 4 * (values + UPSAMPLING_KERNELS) / 2**20 == pytest.approx(HUO_MEBIBYTES, rel=1e-2)


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize(("height", "width"), [(360, 480), (512, 1024), (40, 72)])
def test_the_logits_lie_at_an_eighth(height: int, width: int, trunk: str) -> None:
    network = meta_network(FCN8S, 11, {"trunk": trunk})
    logits = network(torch.zeros(2, 3, height, width, device="meta"))
    assert logits.shape == (2, 11, height // 8, width // 8)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_the_backbone_is_the_trunk(trunk: str) -> None:
    assert meta_network(FCN8S, 11, {"trunk": trunk}).backbone == trunk


def test_a_side_that_8_does_not_divide_is_refused() -> None:
    with pytest.raises(SpecError, match="multiples of 8"):
        count_macs(meta_network(FCN8S, 11), Resolution(512, 1020), "fcn8s")


def test_the_scores_are_summed_from_the_coarsest_to_an_eighth() -> None:
    torch.manual_seed(0)
    network = FCN8s(2).eval()
    images = torch.randn(1, 3, 72, 104)
    with torch.inference_mode():
        eighth, sixteenth, thirty_second = (s(x) for s, x in zip(network.scores, network.trunk(images)[1:]))
        assert [x.shape[2:] for x in (eighth, sixteenth, thirty_second)] == [(9, 13), (5, 7), (3, 4)]
        expected = eighth + upsampled(sixteenth + upsampled(thirty_second, (5, 7)), (9, 13))
        torch.testing.assert_close(network(images), expected)


def upsampled(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def test_vgg16_scores_its_third_and_fourth_maximum_and_its_second_fully_connected_layer() -> None:
    network = meta_network(FCN8S, 21, {"trunk": "vgg16"})
    scores = network.get_submodule("scores")
    assert [layer.in_channels for layer in scores.children() if isinstance(layer, nn.Conv2d)] == [256, 512, 4096]


def test_torchvisions_weights_fill_the_trunk_only() -> None:
    network = FCN8s(2)
    scores = {k: v.clone() for k, v in network.scores.state_dict().items()}
    state = {k: torch.rand_like(v) for k, v in ResNet50().state_dict().items() if v.is_floating_point()}
    network.load_backbone({**state, "fc.bias": torch.zeros(1000)})
    loaded = network.trunk.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
    assert all(torch.equal(network.scores.state_dict()[key], value) for key, value in scores.items())
