"""Batch normalisation folded into the convolution before it: what the two are once the network is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rtseg.networks.zoo.layers import ConvBNAct


def folded_normalization(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return the scale and the shift, one per channel, that a batch normalisation applies in evaluation."""
    assert norm.running_var is not None and norm.running_mean is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale.detach(), (norm.bias - norm.running_mean * scale).detach()


def folded_convolution(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the kernel and the bias of a ConvBNAct's convolution with its normalisation folded in."""
    assert isinstance(layer, ConvBNAct)
    conv, norm = layer[0], layer[1]
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    scale, shift = folded_normalization(norm)
    return conv.weight.detach() * scale.view(-1, 1, 1, 1), shift


def convolution(
    kernel: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> nn.Conv2d:
    """Return the convolution with that square kernel (outputs, inputs / groups, side, side) and bias."""
    outputs, inputs, side, _ = map(int, kernel.shape)
    conv = nn.Conv2d(inputs * groups, outputs, side, stride, padding, groups=groups, bias=bias is not None)
    with torch.no_grad():
        conv.weight.copy_(kernel)
        if conv.bias is not None and bias is not None:
            conv.bias.copy_(bias)
    return conv
