"""AFFNet's stem and down-sampling for a GPU's compiler: the same values as the units that are trained."""

from __future__ import annotations

import pytest
import torch

from rtseg.networks.zoo.affnet import DownsampleUnit, InitialUnit
from rtseg.networks.zoo.affnet_gpu_stem import GAIN, WEIGHT, FusedDownsampleUnit, RearrangedInitialUnit
from tests.networks.zoo.gpu_forms import ROUNDING, as_if_trained, relative_difference


@pytest.mark.parametrize("size", [(2, 2), (8, 8), (24, 40), (6, 10)])
def test_the_rearranged_initial_unit_has_the_same_values(size: tuple[int, int]) -> None:
    unit = as_if_trained(InitialUnit(32))
    assert isinstance(unit, InitialUnit)
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert relative_difference(RearrangedInitialUnit(unit.conv, unit.norm)(images), unit(images)) <= ROUNDING


def test_a_negative_scale_does_not_change_which_pixel_is_the_maximum() -> None:
    unit = as_if_trained(InitialUnit(32))
    assert isinstance(unit, InitialUnit)
    with torch.no_grad():
        unit.norm.weight.neg_()
    images = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert relative_difference(RearrangedInitialUnit(unit.conv, unit.norm)(images), unit(images)) <= ROUNDING


@pytest.mark.parametrize("level", [1.0, 0.5, 1 / GAIN])
@pytest.mark.parametrize("size", [(8, 8), (9, 13), (1, 4)])
def test_the_fused_downsampling_unit_has_the_same_values_but_for_their_level(
    size: tuple[int, int], level: float
) -> None:
    unit = as_if_trained(DownsampleUnit(32, 48))
    assert isinstance(unit, DownsampleUnit)
    x = torch.rand(1, 32, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        got, expected = FusedDownsampleUnit(unit.main, 32, level)(level * x), GAIN * level * unit(x)
    assert relative_difference(got, expected) <= ROUNDING


def test_fp16_has_the_weight_of_the_average_exactly() -> None:
    assert float(torch.tensor(WEIGHT).half()) == WEIGHT
