"""Pixels become a network's input inside a module: the normalisation of a contract as two buffers of torch.

The host's ends compute (pixel * scale - mean) / std, in that order; here it is one product and one difference, as what
runs on a device, or stands in a graph, has it cheapest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rtseg.specs import Normalization


class NormalizingModule(nn.Module):
    """A module that normalises pixel values itself. Its buffers factor and offset move with it from device to device.

    persistent says whether they are in its state_dict; batch_axis whether they are (1, 3, 1, 1) and not (3, 1, 1).
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
        """Return the normalised values, float32 (..., 3, height, width), of pixels of any dtype and that shape.

        Their channels are in the normalisation's colour order already.
        """
        return pixels.float() * self.factor - self.offset
