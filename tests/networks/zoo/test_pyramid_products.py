"""Pyramid pooling in matrix products: the same values, for sizes that the bins divide and others."""

from __future__ import annotations

import pytest
import torch

from rtseg.networks.zoo.fast_scnn import AlignedPyramidPooling
from rtseg.networks.zoo.layers import PyramidPooling
from rtseg.networks.zoo.pyramid_products import PyramidProducts
from tests.networks.zoo.gpu_forms import ROUNDING, as_if_trained, relative_difference


@pytest.mark.parametrize("size", [(6, 12), (12, 15), (7, 11), (2, 3), (1, 1)])
def test_the_products_have_the_same_values(size: tuple[int, int]) -> None:
    pyramid = as_if_trained(PyramidPooling(16, 24))
    assert isinstance(pyramid, PyramidPooling)
    x = torch.randn(1, 16, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert relative_difference(PyramidProducts(pyramid)(x), pyramid(x)) <= ROUNDING


@pytest.mark.parametrize("size", [(6, 12), (7, 11), (2, 3)])
def test_levels_upsampled_corner_to_corner_have_the_same_values(size: tuple[int, int]) -> None:
    pyramid = as_if_trained(AlignedPyramidPooling(16, 24))
    assert isinstance(pyramid, AlignedPyramidPooling)
    x = torch.randn(1, 16, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert relative_difference(PyramidProducts(pyramid, align_corners=True)(x), pyramid(x)) <= ROUNDING
