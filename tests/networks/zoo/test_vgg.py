from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rtseg.errors import CheckpointError
from rtseg.networks.zoo.vgg import VGG16, FullyConvolutionalVGG16

CLASSIFIER = {"classifier.0": (4096, 25088), "classifier.3": (4096, 4096), "classifier.6": (1000, 4096)}
"""torchvision's fully connected layers, outputs by inputs."""

PARAMETERS = 138_357_544 - sum(outputs * (inputs + 1) for outputs, inputs in CLASSIFIER.values())
"""torchvision's count less its fully connected layers'."""


def torchvision_like(network: VGG16) -> dict[str, Tensor]:
    """Return what torchvision saves, on the device of the network: the convolutions and three linear layers."""
    torch.manual_seed(1)
    state = {k: torch.rand_like(v) for k, v in network.state_dict().items() if k.startswith("features.")}
    device = next(network.parameters()).device
    for name, shape in CLASSIFIER.items():
        state[f"{name}.weight"] = torch.rand(1, device=device).expand(shape)
        state[f"{name}.bias"] = torch.rand(shape[:1], device=device)
    return state


def test_the_parameters_are_as_many_as_torchvisions_without_its_classifier() -> None:
    with torch.device("meta"):
        network = VGG16()
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS


@pytest.mark.parametrize("pooled", [False, True])
def test_the_convolutions_carry_torchvisions_numbers(pooled: bool) -> None:
    with torch.device("meta"):
        names = {name.split(".")[1] for name in VGG16(pooled=pooled).state_dict()}
    assert sorted(map(int, names)) == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]


def test_the_five_maps_lie_at_the_images_size_to_a_sixteenth() -> None:
    with torch.device("meta"):
        maps = VGG16()(torch.zeros(1, 3, 64, 90))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (64, 64, 90),
        (128, 32, 45),
        (256, 16, 22),
        (512, 8, 11),
        (512, 4, 5),
    ]


def test_pooled_maps_are_the_maxima_of_the_others() -> None:
    torch.manual_seed(0)
    network = VGG16(pooled=True)
    plain = VGG16()
    plain.load_state_dict(network.state_dict())
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        pairs = list(zip(network(images), plain(images)))
    assert len(pairs) == 5
    for pooled, full in pairs:
        torch.testing.assert_close(pooled, nn.functional.max_pool2d(full, 2))


def test_torchvisions_weights_load_without_their_classifier() -> None:
    network = VGG16()
    state = torchvision_like(network)
    network.load_imagenet(state)
    loaded = network.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items() if key.startswith("features."))


def test_weights_of_another_shape_are_refused() -> None:
    with torch.device("meta"):
        network = VGG16()
        state = {**torchvision_like(network), "features.0.weight": torch.zeros(64, 3, 7, 7)}
    with pytest.raises(CheckpointError, match=r"vgg16.*features\.0\.weight"):
        network.load_imagenet(state)


def test_fully_connected_layers_become_convolutions_over_the_same_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    # 4096 channels are 400 MB of weights; eight hold to the same rule.
    monkeypatch.setattr(FullyConvolutionalVGG16, "WIDTH", 8)
    torch.manual_seed(0)
    network = FullyConvolutionalVGG16().eval()
    first, second = nn.Linear(512 * 7 * 7, 8), nn.Linear(8, 8)
    layers = {"classifier.0": first, "classifier.3": second, "classifier.6": nn.Linear(8, 1000)}
    classifier = {f"{name}.{key}": v for name, layer in layers.items() for key, v in layer.state_dict().items()}
    convolutions = {k: v for k, v in torchvision_like(network).items() if k.startswith("features.")}
    network.load_imagenet({**convolutions, **classifier})

    features = torch.randn(1, 512, 7, 7)
    with torch.inference_mode():
        centre = network.classifier(features)[0, :, 3, 3]
        expected = second(first(features.flatten()).relu()).relu()
    assert expected.any()
    torch.testing.assert_close(centre, expected)


def test_fully_connected_layers_of_another_size_are_refused() -> None:
    with torch.device("meta"):
        network = FullyConvolutionalVGG16()
        state = {**torchvision_like(network), "classifier.0.weight": torch.zeros(4096, 512)}
    with pytest.raises(CheckpointError, match=r"vgg16.*classifier\.0\.weight"):
        network.load_imagenet(state)


def test_the_fully_convolutional_maps_end_at_a_thirty_second() -> None:
    with torch.device("meta"):
        maps = FullyConvolutionalVGG16()(torch.zeros(1, 3, 64, 128))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (64, 32, 64),
        (128, 16, 32),
        (256, 8, 16),
        (512, 4, 8),
        (4096, 2, 4),
    ]
