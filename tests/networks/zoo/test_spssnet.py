from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.zoo.fast_scnn import FAST_SCNN, FastSCNN
from rtseg.networks.zoo.spssnet import SPSSNET, ChainedResidualPooling, SPSSNet
from rtseg.specs import Resolution

PARAMETERS = 1_461_123
"""For 19 classes."""

PUBLISHED = 1.42e6

PUBLISHED_MACS = 27.281e9
"""AFFNet, Table III, at a resolution it does not say."""


def test_the_parameters_are_within_3_percent_of_the_published_number() -> None:
    counted = count_parameters(meta_network(SPSSNET, 19))
    assert (counted.trained, counted.deployed) == (PARAMETERS, PARAMETERS)
    assert pytest.approx(PUBLISHED, rel=0.03) == PARAMETERS


def test_the_four_modules_are_all_that_is_added_to_fast_scnn() -> None:
    network = meta_network(SPSSNET, 19)
    assert isinstance(network, SPSSNet)
    assert len(network.poolings) == 4
    added = sum(parameter.numel() for parameter in network.poolings.parameters())
    assert PARAMETERS - added == count_parameters(meta_network(FAST_SCNN, 19)).deployed


def test_the_published_multiply_accumulates_are_those_of_none_of_the_papers_sizes() -> None:
    network = meta_network(SPSSNET, 19)
    counted = [count_macs(network, Resolution(*size), "spssnet") for size in ((512, 512), (512, 1024), (1024, 2048))]
    assert max(counted) < PUBLISHED_MACS / 3


@pytest.mark.parametrize(("height", "width"), [(360, 480), (512, 1024), (8, 24)])
def test_the_logits_are_an_eighth_of_any_size_that_8_divides(height: int, width: int) -> None:
    logits = meta_network(SPSSNET, 11)(torch.zeros(2, 3, height, width, device="meta"))
    assert logits.shape == (2, 11, height // 8, width // 8)


def test_with_modules_that_give_nothing_it_is_fast_scnn() -> None:
    torch.manual_seed(0)
    plain, network = FastSCNN(11).eval(), SPSSNet(11).eval()
    network.load_state_dict(plain.state_dict(), strict=False)
    images = torch.randn(1, 3, 72, 104)
    with torch.inference_mode():
        assert not torch.equal(network(images), plain(images))
        for parameter in network.poolings.parameters():
            parameter.zero_()
        assert torch.equal(network(images), plain(images))


@pytest.mark.parametrize("index", range(4))
def test_every_module_changes_the_logits(index: int) -> None:
    torch.manual_seed(0)
    network = SPSSNet(11).eval()
    images = torch.randn(1, 3, 72, 104)
    with torch.inference_mode():
        logits = network(images)
        for parameter in network.poolings[index].parameters():
            parameter.zero_()
        assert not torch.equal(network(images), logits)


def test_the_chain_adds_the_maxima_of_growing_windows() -> None:
    pooling = ChainedResidualPooling(3).eval()
    for convolution in pooling.convolutions:
        torch.nn.init.dirac_(convolution[0].weight)
    x = torch.randn(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    expected = x + F.max_pool2d(x, 5, 1, 2) + F.max_pool2d(x, 9, 1, 4)
    with torch.inference_mode():
        torch.testing.assert_close(pooling(x), expected, rtol=1e-4, atol=1e-4)
