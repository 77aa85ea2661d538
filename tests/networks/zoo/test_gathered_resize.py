"""Bilinear resizing by gathers: what torch's interpolation returns."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.networks.zoo.gathered_resize import upsampled

sides = st.integers(1, 20)


@settings(max_examples=60, deadline=None)
@given(h=sides, w=sides, height=sides, width=sides, seed=st.integers(0, 2**31))
def test_gathered_columns_and_rows_are_torchs_interpolation(h: int, w: int, height: int, width: int, seed: int) -> None:
    x = torch.randn(1, 3, h, w, generator=torch.Generator().manual_seed(seed))
    expected = F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)
    assert torch.allclose(upsampled(x, (height, width)), expected, atol=1e-5)
