from __future__ import annotations

import pytest
import torch

from rtseg.errors import UnknownNameError
from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.zoo.haff import HAFF, ChannelGate, GatedProjection, HybridAttentionFusion, SpatialGate
from rtseg.specs import Resolution

DEPLOYED = {"128": 2_007_109, "64": 1_878_997, "256": 2_447_653}
"""For 19 classes, by width; the paper's count is not known."""

AUXILIARY = 277_324
"""Of the four auxiliary heads, for 19 classes."""

MACS = {"128": 4.68e9, "64": 3.45e9, "256": 9.26e9}
"""At 512x1024."""


@pytest.mark.parametrize("channels", DEPLOYED)
@pytest.mark.parametrize("attention", ["crossed", "own"])
def test_the_parameters_are_those_of_the_width_and_the_heads_are_not_deployed(channels: str, attention: str) -> None:
    counted = count_parameters(meta_network(HAFF, 19, {"channels": channels, "attention": attention}))
    assert (counted.deployed, counted.trained) == (DEPLOYED[channels], DEPLOYED[channels] + AUXILIARY)


@pytest.mark.parametrize("channels", MACS)
def test_the_multiply_accumulates_are_those_of_the_width(channels: str) -> None:
    network = meta_network(HAFF, 19, {"channels": channels})
    assert count_macs(network, Resolution(512, 1024), "haff") == pytest.approx(MACS[channels], rel=0.01)


def test_by_default_it_is_128_wide_and_crossed() -> None:
    assert HAFF.complete_options({}) == {"channels": "128", "attention": "crossed"}


def test_another_width_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match="one of 128, 256, 64"):
        HAFF.complete_options({"channels": "96"})


def test_the_spec_says_that_only_the_abstract_is_known() -> None:
    assert HAFF.inferred[0].startswith("only the abstract is public to us")
    assert HAFF.published_parameters is None


def test_the_auxiliary_logits_are_of_the_four_stages_finest_first() -> None:
    logits = meta_network(HAFF, 11).training_logits(torch.zeros(2, 3, 360, 480, device="meta"))
    assert [tuple(x.shape) for x in logits] == [
        (2, 11, 90, 120),
        (2, 11, 90, 120),
        (2, 11, 45, 60),
        (2, 11, 23, 30),
        (2, 11, 12, 15),
    ]


@pytest.mark.parametrize("attention", ["crossed", "own"])
def test_maps_of_odd_sizes_are_joined(attention: str) -> None:
    logits = meta_network(HAFF, 11, {"attention": attention})(torch.zeros(1, 3, 36, 52, device="meta"))
    assert logits.shape == (1, 11, 9, 13)


@pytest.mark.parametrize("attention", ["crossed", "own"])
def test_gradients_reach_every_parameter(attention: str) -> None:
    torch.manual_seed(0)
    network = HAFF.build(11, attention=attention)
    logits = network.training_logits(torch.randn(2, 3, 64, 96))
    torch.stack([(x**2).mean() for x in logits]).sum().backward()  # type: ignore[no-untyped-call]
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


# Gates


def test_a_channel_gate_weighs_whole_channels_by_their_means() -> None:
    torch.manual_seed(0)
    gate, x = ChannelGate(16), torch.randn(2, 16, 5, 7)
    shuffled = x.flatten(2)[:, :, torch.randperm(35)].view_as(x)
    assert gate(x).shape == (2, 16, 1, 1)
    assert bool(((gate(x) > 0) & (gate(x) < 1)).all())
    torch.testing.assert_close(gate(shuffled), gate(x))


def test_a_spatial_gate_weighs_places_whatever_the_order_of_the_channels() -> None:
    torch.manual_seed(0)
    gate, x = SpatialGate(), torch.randn(2, 16, 5, 7)
    assert gate(x).shape == (2, 1, 5, 7)
    assert bool(((gate(x) > 0) & (gate(x) < 1)).all())
    torch.testing.assert_close(gate(x.flip(1)), gate(x))


def test_a_map_is_under_both_of_its_own_gates() -> None:
    torch.manual_seed(0)
    module, x = GatedProjection(8, 16).eval(), torch.randn(1, 8, 5, 7)
    with torch.inference_mode():
        gated, channel, spatial = module(x)
        torch.testing.assert_close(gated, module.project(x) * channel * spatial)


def test_crossed_gates_are_the_high_levels_channels_and_the_low_levels_places() -> None:
    torch.manual_seed(0)
    fusion = HybridAttentionFusion(8, 12, 16, crossed=True).eval()
    joined: list[torch.Tensor] = []
    fusion.out.register_forward_hook(lambda _, inputs, __: joined.append(inputs[0]))
    low, high = torch.randn(1, 8, 5, 7), torch.randn(1, 12, 5, 7)
    with torch.inference_mode():
        fusion(low, high)
        own_low, _, places = fusion.low(low)
        own_high, weights, _ = fusion.high(high)
    torch.testing.assert_close(joined[0], own_low * weights + own_high * places)


def test_own_gates_leave_the_other_map_alone() -> None:
    torch.manual_seed(0)
    fusion = HybridAttentionFusion(8, 12, 16, crossed=False).eval()
    joined: list[torch.Tensor] = []
    fusion.out.register_forward_hook(lambda _, inputs, __: joined.append(inputs[0]))
    low, high = torch.randn(1, 8, 5, 7), torch.randn(1, 12, 5, 7)
    with torch.inference_mode():
        fusion(low, high)
        torch.testing.assert_close(joined[0], fusion.low(low)[0] + fusion.high(high)[0])
