from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rtseg.errors import CheckpointError
from rtseg.networks.zoo.resnet_bottleneck import Bottleneck, ResNet50

PARAMETERS = 25_557_032 - 2_049_000
"""torchvision's count less its last layer's, 2048 x 1000 weights and 1000 biases."""

DEEP_STEM = 123_776
"""What three 3x3 convolutions to 64, 64 and 128 have over one 7x7 to 64, the wider first block included."""


def torchvision_like(network: ResNet50) -> dict[str, Tensor]:
    """Return what torchvision saves, on the device of the network: the trunk's parameters and the classifier's."""
    torch.manual_seed(1)
    state = {key: torch.rand_like(value) for key, value in network.state_dict().items() if value.is_floating_point()}
    return {**state, "fc.weight": torch.rand(1000, 2048), "fc.bias": torch.rand(1000)}


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize(("deep_stem", "parameters"), [(False, PARAMETERS), (True, PARAMETERS + DEEP_STEM)])
def test_the_parameters_are_as_many_as_published(deep_stem: bool, parameters: int, output_stride: int) -> None:
    with torch.device("meta"):
        network = ResNet50(deep_stem=deep_stem, output_stride=output_stride)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_the_parameters_carry_torchvisions_names() -> None:
    with torch.device("meta"):
        names = set(ResNet50().state_dict())
    block = [f"{part}{n}" for n in (1, 2, 3) for part in ("conv", "bn")]
    stages = {1: 3, 2: 4, 3: 6, 4: 3}
    blocks = {
        f"layer{s}.{index}.{part}.weight" for s, count in stages.items() for index in range(count) for part in block
    }
    projections = {f"layer{s}.0.downsample.{index}.weight" for s in stages for index in (0, 1)}
    assert {name for name in names if name.endswith(".weight")} == {"conv1.weight", "bn1.weight"} | blocks | projections


@pytest.mark.parametrize("deep_stem", [False, True])
@pytest.mark.parametrize(
    ("output_stride", "sides"), [(32, (32, 16, 8, 4)), (16, (32, 16, 8, 8)), (8, (32, 16, 16, 16))]
)
def test_no_map_is_coarser_than_the_output_stride(output_stride: int, sides: tuple[int, ...], deep_stem: bool) -> None:
    with torch.device("meta"):
        maps = ResNet50(output_stride=output_stride, deep_stem=deep_stem)(torch.zeros(1, 3, 128, 256))
    expected = [(channels, side, 2 * side) for channels, side in zip((256, 512, 1024, 2048), sides)]
    assert [tuple(x.shape[1:]) for x in maps] == expected


@pytest.mark.parametrize(
    ("output_stride", "third", "fourth"),
    [(32, [1] * 6, [1] * 3), (16, [1] * 6, [1, 2, 2]), (8, [1, 2, 2, 2, 2, 2], [2, 4, 4])],
)
def test_a_stage_dilates_after_its_first_block(output_stride: int, third: list[int], fourth: list[int]) -> None:
    with torch.device("meta"):
        network = ResNet50(output_stride=output_stride)
    assert [dilations(stage) for stage in (network.layer3, network.layer4)] == [third, fourth]


def dilations(stage: nn.Sequential) -> list[int]:
    return [int(block.conv2.dilation[0]) for block in stage if isinstance(block, Bottleneck)]


def test_dilated_stages_answer_every_second_place_as_strided_ones_do() -> None:
    # The reason for dilation: the weights of the strided network keep their meaning.
    torch.manual_seed(0)
    strided = ResNet50().eval()
    dilated = ResNet50(output_stride=16).eval()
    dilated.load_state_dict(strided.state_dict())
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected, given = strided(images)[3], dilated(images)[3]
    torch.testing.assert_close(given[:, :, ::2, ::2], expected)


def test_torchvisions_weights_load_without_their_classifier() -> None:
    network = ResNet50()
    state = torchvision_like(network)
    network.load_imagenet(state)
    loaded = network.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items() if not key.startswith("fc."))


def test_the_deep_stem_refuses_torchvisions_weights() -> None:
    with torch.device("meta"):
        network = ResNet50(deep_stem=True)
        state = torchvision_like(ResNet50())
    with pytest.raises(CheckpointError, match=r"resnet50.*conv1\."):
        network.load_imagenet(state)
