"""Write DeformConv of opset 19: one GridSample reads all taps, and a 1x1 convolution weights them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rtseg.exporting.opset_lowering.site import Site


def lower_deform_conv(site: Site) -> None:
    """Rewrite DeformConv: the values at its taps, times the mask if there is one, become channels of a 1x1 convolution.

    GridSample counts from -1 to 1: the pixel x of a width W is (2 x + 1) / W - 1, so an offset is 2 / W of its pixels.
    """
    if len(site.shape()) != 4:
        raise site.refused(f"a map of {len(site.shape()) - 2} dimensions")
    (batch, channels, height, width), (outputs, each, *kernel) = site.shape(), site.shape(1)
    rows, columns = site.shape(2)[2:]
    taps, groups = math.prod(kernel), int(site.attribute("offset_group", 1))
    offsets = site.reshaped(site.name(2), (batch * groups, taps, 2, rows, columns))
    offsets = site.add("Transpose", offsets, perm=[0, 1, 3, 4, 2])  # DeformConv has y before x, GridSample x first
    offsets = site.add("Gather", offsets, site.value([1, 0], np.int64), axis=4)
    moved = site.add("Mul", offsets, site.like(2 / np.array([width, height])))
    places = site.add("Add", moved, site.like(_places(site, kernel, rows, columns)))
    grid = site.reshaped(places, (batch * groups, taps * rows, columns, 2))
    source = site.reshaped(site.name(0), (batch * groups, channels // groups, height, width))
    read = site.add("GridSample", source, grid, mode="bilinear", padding_mode="zeros", align_corners=0)
    if site.has(4):
        read = site.reshaped(read, (batch, groups, channels // groups, taps, rows, columns))
        read = site.add("Mul", read, site.reshaped(site.name(4), (batch, groups, 1, taps, rows, columns)))
    flat = site.reshaped(read, (batch, channels * taps, rows, columns))
    shape = (outputs, each * taps, 1, 1)
    weights = site.value(site.constant(1).reshape(shape)) if site.is_constant(1) else site.reshaped(site.name(1), shape)
    bias = [site.name(3)] if site.has(3) else []
    site.give("Conv", flat, weights, *bias, group=int(site.attribute("group", 1)), kernel_shape=[1, 1])


def _places(site: Site, kernel: list[int], rows: int, columns: int) -> NDArray[np.float64]:
    """Return the position of each tap without an offset, (1, taps, rows, columns, 2), x first, from -1 to 1."""
    sides = site.shape()[2:]
    strides, dilations = site.attribute("strides", [1, 1]), site.attribute("dilations", [1, 1])
    pads = site.attribute("pads", [0, 0, 0, 0])
    along = []
    for axis, length in enumerate((rows, columns)):
        starts = np.arange(length) * strides[axis] - pads[axis]
        pixels = starts + np.arange(kernel[axis])[:, None] * dilations[axis]
        along.append((2 * pixels + 1) / sides[axis] - 1)
    down, across = along
    shape = (*kernel, rows, columns)
    x = np.broadcast_to(across[None, :, None, :], shape)
    y = np.broadcast_to(down[:, None, :, None], shape)
    return np.stack([x, y], axis=-1).reshape(1, -1, rows, columns, 2)
