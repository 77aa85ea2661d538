from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from rtseg.datasets.registry import class_spec
from rtseg.errors import UnknownNameError
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.resolve import resolve_network
from rtseg.networks.zoo.affnet import AFFNET, AFFNet
from rtseg.networks.zoo.affnet_fusion import FUSIONS
from rtseg.networks.zoo.layers import adaptive_average_pool
from rtseg.specs import Resolution
from tests.networks.zoo.gpu_forms import (
    CHECKPOINTS,
    ROUNDING,
    as_if_trained,
    computed,
    cost_on_gpu,
    exported,
    fp16_error,
    pictures,
    relative_difference,
)

TRAINED = CHECKPOINTS / "affnet-camvid.safetensors"

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
    with pytest.raises(UnknownNameError, match=r"'ewa-concat'.*Try: use 'ewa\+concat'"):
        AFFNET.complete_options({"fusion": "ewa-concat"})


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("size", [(64, 96), (72, 104), (120, 200)])
def test_the_form_for_a_gpu_has_the_same_logits(fusion: str, size: tuple[int, int]) -> None:
    network = as_if_trained(AFFNet(11, fusion=fusion))
    assert isinstance(network, AFFNet)
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        form = network.for_gpu(Resolution(*size))
        assert relative_difference(form(images), network(images)) <= ROUNDING


def test_the_form_for_a_gpu_leaves_the_network_as_it_was() -> None:
    network = AFFNet(11)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.for_gpu(Resolution(64, 96))
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_trained_form_for_a_gpu_agrees_as_onnx() -> None:
    network, resolution = resolve_network(None, None, checkpoint=TRAINED), Resolution(120, 160)
    form = exported(network, network.module.for_gpu(resolution), resolution)
    for picture in pictures(resolution, 1.0):
        with torch.inference_mode():
            expected = network.module.eval()(torch.from_numpy(picture)).numpy()
        assert np.abs(computed(form, picture) - expected).max() <= ROUNDING * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("resolution", [Resolution(256, 512), Resolution(360, 480)])
def test_the_form_for_a_gpu_errs_hardly_more_in_fp16(resolution: Resolution) -> None:
    network = resolve_network(None, None, checkpoint=TRAINED)
    plain = exported(network, network.module, resolution)
    form = exported(network, network.module.for_gpu(resolution), resolution)
    for picture in pictures(resolution, 1.0):
        expected = computed(plain, picture)
        assert fp16_error(form, picture, expected) <= 1.2 * fp16_error(plain, picture, expected)


def test_the_form_for_a_gpu_costs_its_compiler_less() -> None:
    network, resolution = network_with_random_weights("affnet", class_spec("cityscapes")), Resolution(128, 256)
    plain = cost_on_gpu(network, network.module, resolution)
    form = cost_on_gpu(network, network.module.for_gpu(resolution), resolution)
    assert form.kernels <= 80 < plain.kernels
    assert form.bytes <= 0.85 * plain.bytes
    assert form.macs <= 0.66 * plain.macs


@pytest.mark.slow
@pytest.mark.parametrize("capability", [(8, 6), (8, 9), (12, 0)])
def test_at_full_size_the_form_for_a_gpu_is_80_kernels_and_700_mb(capability: tuple[int, int]) -> None:
    network, resolution = network_with_random_weights("affnet", class_spec("cityscapes")), Resolution(1024, 2048)
    cost = cost_on_gpu(network, network.module.for_gpu(resolution), resolution, capability)
    assert cost.kernels <= 80
    assert cost.bytes <= 700e6
