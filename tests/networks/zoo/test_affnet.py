from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from rtseg.errors import UnknownNameError
from rtseg.networks.zoo.affnet import AFFNET, AFFNet
from rtseg.networks.zoo.layers import adaptive_average_pool

PARAMETERS = {
    "concat+ewa": 1_619_894,
    "ewa+concat": 1_619_894,
    "concat": 1_702_070,
    "ewa": 1_472_694,
    "fpn+pan": 1_549_238,
}
"""For 19 classes. Tables I and II print 1.62, 1.62, 1.70, 1.47 and 1.55 M."""

MACS = 5.230e9
"""At 512x1024, as printed."""


def meta_network(fusion: str = "concat+ewa") -> AFFNet:
    with torch.device("meta"):
        return AFFNet(19, fusion=fusion).eval()


@pytest.mark.parametrize("fusion", PARAMETERS)
def test_every_fusion_has_the_papers_number_of_parameters(fusion: str) -> None:
    assert sum(p.numel() for p in meta_network(fusion).parameters()) == PARAMETERS[fusion]


def test_the_options_offer_the_five_fusions_of_the_paper() -> None:
    assert set(AFFNET.options["fusion"].choices) == set(PARAMETERS)


def test_the_default_fusion_is_the_published_one() -> None:
    assert AFFNET.complete_options({}) == {"fusion": "concat+ewa"}


def test_the_multiply_accumulates_are_the_papers() -> None:
    # The counter sees convolutions and matrix products, two operations for each multiply-accumulate.
    network, images = meta_network(), torch.zeros(1, 3, 512, 1024, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images)
    assert counter.get_total_flops() / 2 == pytest.approx(MACS, rel=5e-3)


@pytest.mark.parametrize("fusion", PARAMETERS)
def test_every_fusion_joins_taps_of_odd_sizes(fusion: str) -> None:
    # 360x480 gives taps of 45x60, 23x30 and 12x15.
    logits = meta_network(fusion)(torch.zeros(1, 3, 360, 480, device="meta"))
    assert logits.shape == (1, 19, 45, 60)


def test_camvids_size_gives_finite_logits() -> None:
    torch.manual_seed(0)
    network = AFFNet(11).eval()
    with torch.inference_mode():
        logits = network(torch.randn(1, 3, 360, 480))
    assert logits.shape == (1, 11, 45, 60)
    assert logits.isfinite().all()


def test_gradients_flow_to_every_parameter() -> None:
    torch.manual_seed(0)
    network = AFFNet(11)
    (network(torch.randn(2, 3, 64, 96)) ** 2).mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("size", [(16, 32), (12, 15), (23, 30), (6, 6), (2, 3), (1, 1)])
@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_adaptive_average_pooling_equals_torchs_for_sizes_that_the_bins_do_not_divide(
    size: tuple[int, int], bins: int
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, *size)
    torch.testing.assert_close(adaptive_average_pool(x, bins), F.adaptive_avg_pool2d(x, bins), rtol=0, atol=1e-6)


def test_an_unknown_option_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown option of affnet.*'fusions'.*one of fusion"):
        AFFNET.complete_options({"fusions": "ewa"})


def test_an_unknown_fusion_is_refused_with_the_closest_one() -> None:
    with pytest.raises(UnknownNameError, match=r"'ewa-concat'.*Try: 'ewa\+concat'"):
        AFFNET.complete_options({"fusion": "ewa-concat"})
