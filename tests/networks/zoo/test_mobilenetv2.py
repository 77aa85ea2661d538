from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.errors import CheckpointError
from rtseg.networks.zoo.mobilenetv2 import CHANNELS, MobileNetV2

PARAMETERS = 2_223_872 - (320 * 1280 + 2 * 1280)
"""torchvision's count of `features` less its last layer, 320 x 1280 weights and their normalisation."""

WIDTHS = (16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)
"""Output channels of features.1 to features.17."""


def torchvision_shapes() -> dict[str, tuple[int, ...]]:
    """Return names and shapes of torchvision's mobilenet_v2 up to features.17."""
    shapes = {**convolution("features.0.0", 32, 3, 3), **normalisation("features.0.1", 32)}
    channels = 32
    for number, width in enumerate(WIDTHS, start=1):
        block, hidden = f"features.{number}.conv", channels * (1 if number == 1 else 6)
        depthwise, project, norm = ("0", "1", "2") if number == 1 else ("1", "2", "3")
        if number > 1:
            shapes |= convolution(f"{block}.0.0", hidden, channels, 1) | normalisation(f"{block}.0.1", hidden)
        shapes |= convolution(f"{block}.{depthwise}.0", hidden, 1, 3) | normalisation(f"{block}.{depthwise}.1", hidden)
        shapes |= convolution(f"{block}.{project}", width, hidden, 1) | normalisation(f"{block}.{norm}", width)
        channels = width
    return shapes


def convolution(name: str, out_channels: int, in_channels: int, kernel: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out_channels, in_channels, kernel, kernel)}


def normalisation(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    vectors = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**vectors, f"{name}.num_batches_tracked": ()}


def torchvision_state() -> dict[str, Tensor]:
    """Return what torchvision saves: the trunk, the 1280 channels and the classifier, with random values."""
    torch.manual_seed(1)
    rest = {
        **convolution("features.18.0", 1280, 320, 1),
        **normalisation("features.18.1", 1280),
        "classifier.1.weight": (1000, 1280),
        "classifier.1.bias": (1000,),
    }
    return {name: torch.rand(shape) for name, shape in (torchvision_shapes() | rest).items()}


def meta_trunk(output_stride: int = 32) -> MobileNetV2:
    with torch.device("meta"):
        return MobileNetV2(output_stride=output_stride)


def test_the_parameters_carry_torchvisions_names_and_shapes() -> None:
    state = meta_trunk().state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == torchvision_shapes()


def test_the_parameters_are_as_many_as_torchvisions_up_to_the_last_bottleneck() -> None:
    assert sum(p.numel() for p in meta_trunk().parameters()) == PARAMETERS


@pytest.mark.parametrize(("height", "width"), [(64, 128), (360, 480), (36, 52)])
def test_the_five_maps_lie_at_a_half_to_a_thirty_second_rounded_up(height: int, width: int) -> None:
    maps = meta_trunk()(torch.zeros(1, 3, height, width, device="meta"))
    sizes = [(-(-height // stride), -(-width // stride)) for stride in (2, 4, 8, 16, 32)]
    assert [tuple(x.shape[1:]) for x in maps] == [(c, *size) for c, size in zip(CHANNELS, sizes)]


def test_output_stride_16_doubles_the_last_map_alone() -> None:
    plain, dilated = (meta_trunk(stride)(torch.zeros(1, 3, 64, 128, device="meta")) for stride in (32, 16))
    assert [x.shape for x in dilated[:4]] == [x.shape for x in plain[:4]]
    assert (plain[4].shape[2:], dilated[4].shape[2:]) == ((2, 4), (4, 8))


def test_a_dilated_trunk_has_the_same_names() -> None:
    assert list(meta_trunk(16).state_dict()) == list(meta_trunk(32).state_dict())


def test_every_second_pixel_of_the_dilated_map_is_the_plain_trunks() -> None:
    torch.manual_seed(0)
    plain, dilated = MobileNetV2().eval(), MobileNetV2(output_stride=16).eval()
    dilated.load_state_dict(plain.state_dict())
    images = torch.randn(1, 3, 128, 192)
    with torch.inference_mode():
        expected, finer = plain(images)[4], dilated(images)[4]
    torch.testing.assert_close(finer[:, :, ::2, ::2], expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("output_stride", [8, 64])
def test_other_output_strides_are_refused(output_stride: int) -> None:
    with pytest.raises(ValueError, match=f"16 or 32, got {output_stride}"):
        MobileNetV2(output_stride=output_stride)


def test_a_residual_joins_the_blocks_that_keep_size_and_channels() -> None:
    residual = [number for number, block in enumerate(meta_trunk().features) if getattr(block, "residual", False)]
    assert residual == [3, 5, 6, 8, 9, 10, 12, 13, 15, 16]


def test_a_residual_block_without_weights_returns_its_input() -> None:
    block = MobileNetV2().features[3].eval()
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(1, 24, 5, 7)
    assert torch.equal(block(x), x)


def test_activations_end_at_six() -> None:
    stem = MobileNetV2().features[0].eval()
    assert isinstance(stem, nn.Sequential)
    images = 1000 * torch.randn(1, 3, 16, 16)
    with torch.inference_mode():
        out = stem(images)
        normalised = stem[1](stem[0](images))
    assert torch.equal(out, F.relu6(normalised))
    assert out.max() == 6


def test_torchvisions_weights_load_without_the_last_convolution_and_the_classifier() -> None:
    trunk, state = MobileNetV2(), torchvision_state()
    trunk.load_imagenet(state)
    loaded = {k: v for k, v in trunk.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert all(torch.equal(value, state[name]) for name, value in loaded.items())


def test_the_weights_of_another_model_are_refused_and_nothing_is_copied() -> None:
    trunk = MobileNetV2()
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    with pytest.raises(CheckpointError, match="not the ImageNet weights of mobilenet_v2"):
        trunk.load_imagenet({**torchvision_state(), "features.17.conv.2.weight": torch.zeros(160, 960, 1, 1)})
    assert all(torch.equal(value, before[name]) for name, value in trunk.state_dict().items())
