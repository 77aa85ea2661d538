from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.zoo.unet import UNET, DecoderStage
from rtseg.networks.zoo.vgg import VGG16
from rtseg.specs import Resolution

PARAMETERS = 24_892_437
"""Of the public code for 21 classes."""

MACS = 225.5e9
"""Of the public code at 512x512."""


def test_the_parameters_are_as_many_as_published() -> None:
    counted = count_parameters(meta_network(UNET, 21))
    assert (counted.deployed, counted.trained) == (PARAMETERS, PARAMETERS)


def test_the_weights_have_the_size_of_the_published_file() -> None:
    size = sum(4 * v.numel() for v in meta_network(UNET, 21).state_dict().values()) / 2**20
    assert size == pytest.approx(94.97, abs=0.02)


def test_the_multiply_accumulates_are_the_public_codes() -> None:
    assert count_macs(meta_network(UNET, 21), Resolution(512, 512), "unet") == pytest.approx(MACS, rel=1e-2)


@pytest.mark.parametrize(("height", "width"), [(360, 480), (512, 512), (32, 32), (45, 61)])
def test_the_logits_have_the_images_size(height: int, width: int) -> None:
    logits = meta_network(UNET, 11)(torch.zeros(2, 3, height, width, device="meta"))
    assert logits.shape == (2, 11, height, width)


def test_every_size_is_taken() -> None:
    assert meta_network(UNET, 11).multiple == 1


def test_a_stage_joins_the_finer_map_with_the_coarser_one_at_twice_its_size() -> None:
    torch.manual_seed(0)
    stage = DecoderStage(2, 3, 4)
    fine, coarse = torch.randn(1, 2, 8, 12), torch.randn(1, 3, 4, 6)
    upsampled = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=True)
    with torch.inference_mode():
        torch.testing.assert_close(stage(fine, coarse), stage.convolutions(torch.cat([fine, upsampled], 1)))


def test_torchvisions_weights_fill_the_encoder_only() -> None:
    network = UNET.build(2)
    decoder = {k: v.clone() for k, v in network.state_dict().items() if not k.startswith("trunk.")}
    state = {k: torch.rand_like(v) for k, v in VGG16().state_dict().items()}
    network.load_backbone({**state, "classifier.6.bias": torch.zeros(1000)})
    loaded = network.state_dict()
    assert network.backbone == "vgg16"
    assert all(torch.equal(loaded[f"trunk.{key}"], value) for key, value in state.items())
    assert all(torch.equal(loaded[key], value) for key, value in decoder.items())
