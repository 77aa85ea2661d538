"""What holds for every registered network that has a backbone with ImageNet weights."""

from __future__ import annotations

import pytest
import torch

from rtseg.errors import CheckpointError
from rtseg.networks.complexity import meta_network
from rtseg.networks.registry import network_names, network_spec

BACKED = ["deeplabv3plus_mobilenetv2", "fcn8s", "haff", "mlff", "s2fpn18", "s2fpn34", "s2fpn34m", "unet"]
"""Written down, as to ask the networks takes seconds, which every process that collects tests would spend."""


@pytest.mark.parametrize("name", BACKED)
def test_imagenet_weights_fill_the_trunk(name: str) -> None:
    network = network_spec(name).build(2)
    trunk = network.get_submodule("trunk")
    network.load_backbone({key: torch.full_like(value, 0.5) for key, value in trunk.state_dict().items()})
    assert all(bool((value == 0.5).all()) for value in trunk.parameters())


@pytest.mark.parametrize("name", BACKED)
def test_imagenet_weights_of_another_model_are_refused(name: str) -> None:
    network = network_spec(name).build(2)
    with pytest.raises(CheckpointError, match=f"not the ImageNet weights of {network.backbone}"):
        network.load_backbone({"stem.weight": torch.zeros(64, 3, 7, 7)})


def test_no_network_with_a_backbone_is_left_out() -> None:
    assert [name for name in network_names() if meta_network(network_spec(name), 5).backbone] == BACKED
