"""A normalisation folded into its convolution: the same values."""

from __future__ import annotations

import pytest
import torch

from rtseg.networks.zoo.folding import convolution, folded_convolution
from rtseg.networks.zoo.layers import ConvBNAct
from tests.networks.zoo.gpu_forms import ROUNDING, as_if_trained, relative_difference


@pytest.mark.parametrize(("kernel", "stride", "groups"), [(1, 1, 1), (3, 2, 1), (3, 1, 8), (3, 2, 4)])
def test_a_folded_convolution_has_the_values_of_both(kernel: int, stride: int, groups: int) -> None:
    layer = as_if_trained(ConvBNAct(8, 8, kernel, stride=stride, groups=groups, act=False))
    folded = convolution(*folded_convolution(layer), stride=stride, padding=kernel // 2, groups=groups)
    x = torch.randn(1, 8, 7, 9, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert relative_difference(folded(x), layer(x)) <= ROUNDING
