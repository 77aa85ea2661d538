"""Normalise pixels inside a PyTorch module: the normalisation of a contract as two buffers.

Preprocessing on the host computes (pixel * scale - mean) / std, in that order; here it is one product and one
difference, which is cheapest on a device or in a graph.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rtseg.specs import Normalization


class NormalizingModule(nn.Module):
    """A module that normalises pixel values itself. Its buffers factor and offset move with it between devices.

    persistent puts them into its state_dict; batch_axis gives them the shape (1, 3, 1, 1) instead of (3, 1, 1).
    """

    factor: Tensor
    offset: Tensor

    def __init__(self, normalization: Normalization, *, persistent: bool = True, batch_axis: bool = False) -> None:
        super().__init__()
        shape = (1, 3, 1, 1) if batch_axis else (3, 1, 1)
        mean, std = (torch.tensor(values).view(shape) for values in (normalization.mean, normalization.std))
        self.register_buffer("factor", normalization.scale / std, persistent=persistent)
        self.register_buffer("offset", mean / std, persistent=persistent)

    def normalized(self, pixels: Tensor) -> Tensor:
        """Return the normalised values, float32 (..., 3, height, width), for pixels of that shape and any dtype.

        Their channels must be in the normalisation's colour order.
        """
        return pixels.float() * self.factor - self.offset
