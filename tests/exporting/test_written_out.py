"""Functions that PyTorch's exporter lacks, in operators that it has: the same values, and a file that has them."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rtseg.exporting.written_out import WrittenOut


@pytest.mark.parametrize("seed", range(4))
def test_adaptive_pooling_gives_what_pytorch_gives(seed: int) -> None:
    draws = random.Random(seed)
    torch.manual_seed(seed)
    for _ in range(30):
        x = torch.randn(draws.randrange(1, 3), 2, draws.randrange(1, 40), draws.randrange(1, 40))
        grid = draws.choice([draws.randrange(1, 12), (draws.randrange(1, 12), draws.choice([None, 5, 7]))])
        with WrittenOut():
            average, largest = F.adaptive_avg_pool2d(x, grid), F.adaptive_max_pool2d(x, grid)
        torch.testing.assert_close(average, F.adaptive_avg_pool2d(x, grid), rtol=1e-5, atol=1e-6)
        assert torch.equal(largest, F.adaptive_max_pool2d(x, grid))


def test_pooling_of_a_line_gives_what_pytorch_gives() -> None:
    x = torch.randn(2, 3, 23)
    with WrittenOut():
        made = nn.AdaptiveAvgPool1d(7)(x)
    torch.testing.assert_close(made, nn.AdaptiveAvgPool1d(7)(x))


def test_indices_of_maxima_are_left_to_pytorch() -> None:
    x = torch.randn(1, 2, 10, 10)
    with WrittenOut():
        values, places = F.adaptive_max_pool2d(x, 3, return_indices=True)
    assert torch.equal(places, F.adaptive_max_pool2d(x, 3, return_indices=True)[1])
    assert torch.equal(values, F.adaptive_max_pool2d(x, 3))


@pytest.mark.parametrize("seed", range(4))
def test_folding_gives_what_pytorch_gives(seed: int) -> None:
    draws = random.Random(seed)
    torch.manual_seed(seed)
    for _ in range(20):
        settings = {
            "kernel_size": (draws.randrange(1, 4), draws.randrange(1, 4)),
            "dilation": draws.randrange(1, 3),
            "padding": draws.randrange(2),
            "stride": draws.randrange(1, 4),
        }
        image = torch.randn(2, 3, draws.randrange(8, 20), draws.randrange(8, 20))
        patches = F.unfold(image, **settings)
        with WrittenOut():
            made = F.fold(patches, image.shape[2:], **settings)
        torch.testing.assert_close(made, F.fold(patches, image.shape[2:], **settings))


@pytest.mark.parametrize("size", [{"size": 6}, {"size": (4, 5)}, {"size": (7, 3)}, {"scale_factor": 0.3}])
def test_resizing_by_area_gives_what_pytorch_gives(size: dict[str, Any]) -> None:
    x = torch.randn(1, 3, 20, 25)
    with WrittenOut():
        made = F.interpolate(x, mode="area", **size)
    torch.testing.assert_close(made, F.interpolate(x, mode="area", **size))


def test_other_resizing_is_left_to_pytorch() -> None:
    x = torch.randn(1, 3, 20, 25)
    with WrittenOut():
        made = F.interpolate(x, size=(7, 7), mode="bilinear")
    assert torch.equal(made, F.interpolate(x, size=(7, 7), mode="bilinear"))
