"""S2-FPN's fusion and upsampling for a GPU's compiler: the same values as the modules that are trained."""

from __future__ import annotations

import pytest
import torch

from rtseg.networks.zoo.s2fpn_gpu import EarlyUpsample, GatedFusion
from rtseg.networks.zoo.s2fpn_modules import AttentionPyramidFusion, GlobalFeatureUpsample
from tests.networks.zoo.gpu_forms import ROUNDING, as_if_trained, relative_difference


@pytest.mark.parametrize("gamma", [0.0, 0.4, 1.0, -0.7, 1.6])
@pytest.mark.parametrize("size", [(8, 12), (7, 5)])
def test_the_gated_fusion_has_the_same_values(gamma: float, size: tuple[int, int]) -> None:
    fusion = as_if_trained(AttentionPyramidFusion(16, 8))
    assert isinstance(fusion, AttentionPyramidFusion)
    with torch.no_grad():
        fusion.strip_attention.gamma.fill_(gamma)
    generator = torch.Generator().manual_seed(0)
    high, low = (torch.randn(1, 16, *sides, generator=generator) for sides in ((4, 6), size))
    with torch.inference_mode():
        got, expected = GatedFusion(fusion)(high, low), fusion(high, low)
    assert all(relative_difference(*pair) <= ROUNDING for pair in zip(got, expected))


@pytest.mark.parametrize("size", [(8, 12), (7, 5), (4, 6)])
def test_the_early_upsampling_has_the_same_values(size: tuple[int, int]) -> None:
    upsample = as_if_trained(GlobalFeatureUpsample(16, 8))
    assert isinstance(upsample, GlobalFeatureUpsample)
    generator = torch.Generator().manual_seed(0)
    guide, high = torch.randn(1, 8, *size, generator=generator), torch.randn(1, 16, 4, 6, generator=generator)
    with torch.inference_mode():
        assert relative_difference(EarlyUpsample(upsample)(guide, high), upsample(guide, high)) <= ROUNDING
