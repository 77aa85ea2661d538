"""Bilinear resizing written as gathers, weights and sums, which a GPU's compiler fuses with whatever reads the result.

A Resize fuses at most once a kernel, is copied into a concatenation, and is written out beside a convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rtseg.frame.bilinear import Axis


def upsampled(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return x (batch, channels, height, width) bilinearly resized to size, pixels' centres at their halves."""
    for dimension, (outputs, shape) in enumerate(zip(size, ((-1, 1), (-1,))), 2):
        axis = Axis.of(int(x.shape[dimension]), outputs, align_corners=False)
        near, far = (x.index_select(dimension, torch.from_numpy(index)) for index in (axis.near, axis.far))
        near_weight, far_weight = (torch.from_numpy(w).to(x).view(shape) for w in (axis.near_weight, axis.far_weight))
        x = near * near_weight + far * far_weight
    return x
