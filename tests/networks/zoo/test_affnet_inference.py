"""AFFNet rewritten for inference: the same logits, fewer multiply-accumulates, no batch normalisation left."""

from __future__ import annotations

import pytest
import torch
import torch.fx
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rtseg.datasets.registry import class_spec
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.zoo.affnet import AFFNet
from rtseg.networks.zoo.affnet_fusion import FUSIONS
from rtseg.networks.zoo.affnet_inference import upsampled_taps

ROUNDING = 1e-4
"""Of the largest value: what another order of summation in float32 may come to."""

sides = st.integers(1, 9)


@settings(max_examples=60, deadline=None)
@given(h=sides, w=sides, up_h=sides, up_w=sides, seed=st.integers(0, 2**31))
def test_nine_taps_upsampled_shifted_and_summed_are_the_convolution_of_the_upsampled_map(
    h: int, w: int, up_h: int, up_w: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, 5, h, w, generator=generator)
    kernel = torch.randn(4, 5, 3, 3, generator=generator)
    size = (h + up_h * (h - 1) // 2 + up_h, w + up_w * (w - 1) // 2 + up_w)
    expected = F.conv2d(F.interpolate(x, size=size, mode="bilinear", align_corners=False), kernel, padding=1)
    mixed = F.conv2d(x, kernel.permute(0, 2, 3, 1).reshape(36, 5, 1, 1))
    assert torch.allclose(upsampled_taps(mixed, size), expected, atol=ROUNDING * float(expected.abs().max()))


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("size", [(64, 96), (72, 104), (360, 480)])
def test_the_rewritten_network_has_the_same_logits(fusion: str, size: tuple[int, int]) -> None:
    network = network_with_random_weights("affnet", class_spec("camvid"), options={"fusion": fusion}).module
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, got = network(images), network.for_inference()(images)
    assert float((got - expected).abs().max()) <= ROUNDING * float(expected.abs().max())


def test_nothing_stands_between_a_downsampling_unit_and_its_concatenation() -> None:
    network = network_with_random_weights("affnet", class_spec("camvid")).module.for_inference()
    nodes = torch.fx.symbolic_trace(network.down).graph.nodes
    readers = [{reader.target for reader in node.users} for node in nodes if node.target is torch.cat]
    assert len(readers) == 2
    assert not any(F.relu in targets for targets in readers)


def test_rewriting_leaves_the_trained_network_as_it_was() -> None:
    network = network_with_random_weights("affnet", class_spec("camvid")).module
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.for_inference()
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_rewritten_network_takes_four_sevenths_of_the_work() -> None:
    def macs(network: nn.Module) -> int:
        counter = FlopCounterMode(display=False)
        with counter, torch.inference_mode():
            network(torch.empty(1, 3, 512, 1024, device="meta"))
        return counter.get_total_flops() // 2

    with torch.device("meta"):
        network = AFFNet(19).eval()
        assert macs(network.for_inference()) / macs(network) == pytest.approx(4 / 7, rel=0.1)
