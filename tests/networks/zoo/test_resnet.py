from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rtseg.errors import CheckpointError
from rtseg.networks.zoo.resnet import ResNet

PARAMETERS = {18: 11_689_512 - 513_000, 34: 21_797_672 - 513_000}
"""torchvision's counts less its last layer's, 512 x 1000 weights and 1000 biases."""


def torchvision_like(network: ResNet) -> dict[str, Tensor]:
    """Return what torchvision saves: every parameter of the trunk, and the classifier's."""
    torch.manual_seed(1)
    state = {key: torch.rand_like(value) for key, value in network.state_dict().items() if value.is_floating_point()}
    return {**state, "fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}


@pytest.mark.parametrize("depth", PARAMETERS)
def test_the_parameters_are_as_many_as_torchvisions_without_its_classifier(depth: int) -> None:
    with torch.device("meta"):
        network = ResNet(depth)
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[depth]


def test_the_parameters_carry_torchvisions_names() -> None:
    with torch.device("meta"):
        names = set(ResNet(18).state_dict())
    block = ("conv1.weight", "bn1.running_var", "conv2.weight", "bn2.bias")
    assert {"conv1.weight", "bn1.weight", "layer4.0.downsample.0.weight", "layer4.0.downsample.1.running_mean"} <= names
    assert {f"layer{stage}.{index}.{part}" for stage in (1, 2, 3, 4) for index in (0, 1) for part in block} <= names


def test_only_the_first_block_of_the_later_stages_projects_its_shortcut() -> None:
    with torch.device("meta"):
        names = ResNet(34).state_dict()
    projecting = sorted({name.split(".downsample")[0] for name in names if ".downsample." in name})
    assert projecting == ["layer2.0", "layer3.0", "layer4.0"]


def test_the_four_maps_lie_at_a_quarter_to_a_thirty_second() -> None:
    with torch.device("meta"):
        maps = ResNet(18)(torch.zeros(1, 3, 64, 128))
    assert [tuple(x.shape[1:]) for x in maps] == [(64, 16, 32), (128, 8, 16), (256, 4, 8), (512, 2, 4)]


def test_a_bypassed_maximum_doubles_every_map() -> None:
    with torch.device("meta"):
        maps = ResNet(34, max_pool=False)(torch.zeros(1, 3, 64, 128))
    assert [tuple(x.shape[1:]) for x in maps] == [(64, 32, 64), (128, 16, 32), (256, 8, 16), (512, 4, 8)]


def test_torchvisions_weights_load_without_their_classifier() -> None:
    network = ResNet(18)
    state = torchvision_like(network)
    network.load_imagenet(state)
    loaded = network.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items() if not key.startswith("fc."))


def test_the_weights_of_another_depth_are_refused() -> None:
    state = torchvision_like(ResNet(34))
    with pytest.raises(CheckpointError, match=r"layer1\.2"):
        ResNet(18).load_imagenet(state)


def test_weights_of_another_shape_are_refused() -> None:
    network = ResNet(18)
    state = {**torchvision_like(network), "conv1.weight": torch.zeros(64, 3, 3, 3)}
    with pytest.raises(CheckpointError, match=r"conv1\.weight"):
        network.load_imagenet(state)
