"""Write normalisations newer than opset 17. The operators used for their statistics sum in FP32 on every runtime."""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto

from rtseg.exporting.opset_lowering.site import FLOAT, Site


def lower_group_normalization(site: Site) -> None:
    """Rewrite GroupNormalization as InstanceNormalization of the groups, then scale and bias.

    Scale and bias have a value per group before opset 21, per channel since.
    """
    shape, groups = site.shape(), int(site.attribute("num_groups", 0))
    if len(shape) < 2 or groups < 1 or shape[1] % groups:
        raise site.refused(f"{groups} groups of {shape[1] if len(shape) > 1 else 'no'} channels")
    stash = site.attribute("stash_type", FLOAT)
    if stash != FLOAT:
        raise site.refused(f"stash_type {TensorProto.DataType.Name(stash)}, and statistics are in float32 there")
    element, batch, channels = site.element(), shape[0], shape[1]
    source = site.cast(site.name(0), element, FLOAT)
    rows = site.reshaped(source, (batch, groups, math.prod(shape[1:]) // groups))
    ones, zeros = site.value(np.ones(groups, np.float32)), site.value(np.zeros(groups, np.float32))
    epsilon = site.attribute("epsilon", 1e-5)
    normal = site.add("InstanceNormalization", rows, ones, zeros, epsilon=epsilon)
    normal = site.cast(site.reshaped(normal, shape), FLOAT, element)
    scale, bias = (_by_channel(site, position, groups, channels, len(shape)) for position in (1, 2))
    site.give("Add", site.add("Mul", normal, scale), bias)


def _by_channel(site: Site, position: int, groups: int, channels: int, rank: int) -> str:
    """Return a scale or bias shaped to broadcast along the second of rank dimensions."""
    (length,) = site.shape(position)
    if length != (groups if site.opset < 21 else channels):
        raise site.refused(f"{length} values in {site.name(position)} for {groups} groups of {channels} channels")
    around = (1,) * (rank - 2)
    if site.is_constant(position):
        return site.value(site.constant(position).repeat(channels // length).reshape(1, channels, *around))
    values = site.name(position)
    if length < channels:
        repeated = site.value([length, channels // length], np.int64)
        values = site.add("Expand", site.reshaped(values, (length, 1)), repeated)
    return site.reshaped(values, (1, channels, *around))


def lower_rms_normalization(site: Site) -> None:
    """Rewrite RMSNormalization as x / sqrt(mean(x x) + epsilon) over the last axes, then the scale."""
    shape, element, other = site.shape(), site.element(), site.element(1)
    stash = site.attribute("stash_type", FLOAT)
    first = site.axis(site.attribute("axis", -1), len(shape))
    source = site.cast(site.name(0), element, stash)
    mean = site.add("ReduceMean", site.add("Mul", source, source), axes=list(range(first, len(shape))), keepdims=1)
    root = site.add("Sqrt", site.add("Add", mean, site.number(site.attribute("epsilon", 1e-5), stash)))
    normal = site.cast(site.add("Div", source, root), stash, element)
    site.give("Mul", site.cast(normal, element, other), site.name(1))


def lower_batch_normalization(site: Site) -> None:
    """Rewrite BatchNormalization of opset 13 or older. Raises OnnxError for several outputs: they mean training."""
    if any(site.gives(position) for position in range(1, 5)):
        raise site.refused("statistics of the batch as outputs, which is training")
    del site.node.output[1:]
    site.keep()
