"""Write operators that split, pad or join tensors."""

from __future__ import annotations

import math

import numpy as np

from rtseg.exporting.opset_lowering.site import Site

TO_THE_END = 2**31 - 1


def lower_split(site: Site) -> None:
    """Rewrite a Split that states the number of its parts, as opset 18 allows, with the sizes of the parts.

    The last part may be smaller.
    """
    if site.has(1):
        site.keep(without=("num_outputs",))
        return
    shape, parts = site.shape(), len(site.node.output)
    length = shape[site.axis(site.attribute("axis", 0), len(shape))]
    if site.attribute("num_outputs", parts) != parts:
        raise site.refused(f"num_outputs {site.attribute('num_outputs', parts)} for {parts} outputs")
    size = -(-length // parts)
    sizes = [size] * (parts - 1) + [length - size * (parts - 1)]
    if sizes[-1] < 0:
        raise site.refused(f"{parts} parts of {length}")
    site.keep(site.name(0), site.value(sizes, np.int64), without=("num_outputs",))


def lower_split_attribute(site: Site) -> None:
    """Rewrite Split of opset 12 or older with the sizes of its parts as an input instead of an attribute."""
    sizes = site.attribute("split", None)
    if sizes is None:
        site.keep()
    else:
        site.keep(site.name(0), site.value(sizes, np.int64), without=("split",))


def lower_pad(site: Site) -> None:
    """Rewrite a Pad of some axes as one of all axes, and a Pad of the mode wrap as a Gather."""
    rank, mode = len(site.shape()), site.attribute("mode", "constant")
    inputs = [site.name(0), site.name(1)]
    if site.has(3) or mode == "wrap":
        pads = site.integers(1)
        named = site.integers(3) if site.has(3) else range(rank)
        axes = [site.axis(axis, rank) for axis in named]
        if len(pads) != 2 * len(axes):
            raise site.refused(f"{len(pads)} pads of {len(axes)} axes")
        if mode == "wrap":
            _wrap(site, axes, pads)
            return
        full = [0] * (2 * rank)
        for index, axis in enumerate(axes):
            full[axis], full[rank + axis] = pads[index], pads[len(axes) + index]
        inputs[1] = site.value(full, np.int64)
    if site.has(2):
        inputs.append(site.name(2))
    site.keep(*inputs)


def _wrap(site: Site, axes: list[int], pads: list[int]) -> None:
    tensor, shape = site.name(0), site.shape()
    for axis, before, after in zip(axes, pads, pads[len(axes) :]):
        if before or after:
            order = np.arange(-before, shape[axis] + after) % shape[axis]
            tensor = site.add("Gather", tensor, site.value(order, np.int64), axis=axis)
    site.give("Identity", tensor)


def lower_center_crop_pad(site: Site) -> None:
    """Rewrite CenterCropPad: a Slice crops around the centre, and a Pad of zeros adds missing rows and columns."""
    shape, result = site.shape(), site.integers(1)
    axes = [site.axis(axis, len(shape)) for axis in site.attribute("axes", list(range(len(shape))))]
    pads, starts, ends = [0] * (2 * len(shape)), [0] * len(axes), [0] * len(axes)
    for index, (axis, length) in enumerate(zip(axes, result)):
        missing, over = max(length - shape[axis], 0), max(shape[axis] - length, 0)
        pads[axis], pads[len(shape) + axis] = missing // 2, missing - missing // 2
        starts[index], ends[index] = over // 2, over // 2 + min(length, shape[axis])
    tensor = site.name(0)
    if any(length < shape[axis] for axis, length in zip(axes, result)):
        tensor = site.add("Slice", tensor, *(site.value(values, np.int64) for values in (starts, ends, axes)))
    if any(pads):
        site.give("Pad", tensor, site.value(pads, np.int64), mode="constant")
    else:
        site.give("Identity", tensor)


def lower_col2im(site: Site) -> None:
    """Rewrite Col2Im as a transposed convolution that puts each value in its place and adds overlapping ones."""
    (batch, columns, positions), size, block = site.shape(), site.integers(1), site.integers(2)
    rank = len(block)
    ones = [1] * rank
    dilations, strides = site.attribute("dilations", ones), site.attribute("strides", ones)
    pads = site.attribute("pads", [0] * 2 * rank)
    taps = math.prod(block)
    reach = [dilation * (side - 1) + 1 for dilation, side in zip(dilations, block)]
    grid = [
        (side + pads[axis] + pads[rank + axis] - reach[axis]) // strides[axis] + 1 for axis, side in enumerate(size)
    ]
    if math.prod(grid) != positions or columns % taps:
        raise site.refused(f"{columns}x{positions} columns for blocks {block} of an image {size}")
    channels = columns // taps
    weights = np.eye(taps, dtype=np.float32).reshape(1, taps, 1, *block)
    weights = np.broadcast_to(weights, (channels, *weights.shape[1:])).reshape(columns, 1, *block)
    image = site.reshaped(site.name(0), (batch, columns, *grid))
    covered = [strides[axis] * (grid[axis] - 1) + reach[axis] for axis in range(rank)]
    ends = [covered[axis] - pads[axis] - size[axis] for axis in range(rank)]
    # Values that no block reaches at the ends are zero: output_padding adds them before the pads are cut off.
    beyond = [max(0, -end) for end in ends]
    site.give(
        "ConvTranspose",
        image,
        site.value(weights, np.float32),
        group=channels,
        kernel_shape=block,
        strides=strides,
        dilations=dilations,
        pads=[*pads[:rank], *(max(0, end) for end in ends)],
        output_padding=beyond,
    )
