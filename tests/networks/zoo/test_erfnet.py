from __future__ import annotations

import pytest
import torch

from rtseg.errors import SpecError
from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.zoo.erfnet import ERFNET, NonBottleneck1D
from rtseg.specs import Resolution

OFFICIAL = 2_066_642
"""Parameters of the official module for 19 classes."""

ENCODER_HEAD = 2_451
"""Those of the 1x1 convolution from 128 channels to 19 classes that only the encoder's own training calls."""

MACS = 26.60e9
"""At 512x1024, as counted on the official code."""


def test_the_parameters_are_the_official_ones_less_the_encoders_own_head() -> None:
    counted = count_parameters(meta_network(ERFNET, 19))
    assert (counted.trained, counted.deployed) == (OFFICIAL - ENCODER_HEAD, OFFICIAL - ENCODER_HEAD)


def test_the_multiply_accumulates_are_the_official_ones() -> None:
    macs = count_macs(meta_network(ERFNET, 19), Resolution(512, 1024), "erfnet")
    assert macs == pytest.approx(MACS, rel=1e-2)


@pytest.mark.parametrize(("height", "width"), [(360, 480), (512, 1024), (8, 24)])
def test_the_logits_have_the_images_size(height: int, width: int) -> None:
    logits = meta_network(ERFNET, 11)(torch.zeros(2, 3, height, width, device="meta"))
    assert logits.shape == (2, 11, height, width)


def test_a_side_that_8_does_not_divide_is_refused() -> None:
    with pytest.raises(SpecError, match="multiples of 8"):
        count_macs(meta_network(ERFNET, 19), Resolution(512, 1020), "erfnet")


@pytest.mark.parametrize("dilation", [1, 2, 16])
def test_a_block_reaches_as_far_as_its_3x3_and_its_dilated_3x3(dilation: int) -> None:
    torch.manual_seed(0)
    block = NonBottleneck1D(1, dilation=dilation).eval()
    for parameter in block.parameters():
        parameter.data.abs_()  # or rectification hides what a path carries
    centre = 40
    images = torch.zeros(1, 1, 2 * centre + 1, 2 * centre + 1)
    with torch.inference_mode():
        rest = block(images)
        images[0, 0, centre, centre] = 1
        rows, columns = (block(images) - rest)[0, 0].nonzero().T
    reach = 1 + dilation
    assert (rows.min(), rows.max()) == (centre - reach, centre + reach)
    assert (columns.min(), columns.max()) == (centre - reach, centre + reach)


def test_only_the_encoders_blocks_drop_channels() -> None:
    network = meta_network(ERFNET, 19)
    rates = [layer.p for layer in network.modules() if isinstance(layer, torch.nn.Dropout2d) and layer.p]
    assert rates == [0.03] * 5 + [0.3] * 8
