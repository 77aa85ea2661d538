"""Pooling that came after opset 17: dilated averages, and averages whose size is rounded up as opset 19 does."""

from __future__ import annotations

import numpy as np

from rtseg.exporting.opset_lowering.site import Site


def lower_average_pool(site: Site) -> None:
    """Write an average of opset 17, or of dilated windows a convolution and a division.

    Where the size is rounded up opset 19 counts the pixels and pads of a window alone, never what lies beyond the pads.
    So the pads become explicit, and what lies beyond is padding that does not count.
    """
    kernel = list(site.attribute("kernel_shape", []))
    rank = len(kernel)
    dilations = list(site.attribute("dilations", [1] * rank))
    dilated, rounded_up = any(step != 1 for step in dilations), site.attribute("ceil_mode", 0)
    if not dilated and not rounded_up:
        site.keep(without=("dilations",))
        return
    shape, result = site.shape(), site.result_shape()
    strides = list(site.attribute("strides", [1] * rank))
    reach = [step * (side - 1) + 1 for step, side in zip(dilations, kernel)]
    pads = _pads(site, shape[2:], result[2:], strides, reach)
    source, counts = site.name(0), bool(site.attribute("count_include_pad", 0))
    beyond = [
        strides[axis] * (result[2 + axis] - 1) + reach[axis] - shape[2 + axis] - pads[axis] - pads[rank + axis]
        for axis in range(rank)
    ]
    if not dilated:
        if counts and any(pads):
            source = site.add("Pad", source, site.value([0, 0, *pads[:rank], 0, 0, *pads[rank:]], np.int64))
            pads = [0] * (2 * rank)
        ends = [pads[rank + axis] + max(0, beyond[axis]) for axis in range(rank)]
        site.give(
            "AveragePool",
            source,
            kernel_shape=kernel,
            strides=strides,
            pads=[*pads[:rank], *ends],
            count_include_pad=0,
        )
        return
    ends = [pads[rank + axis] + max(0, beyond[axis]) for axis in range(rank)]
    ones = site.value(np.ones((shape[1], 1, *kernel), np.float32))
    total = site.add(
        "Conv",
        source,
        ones,
        group=shape[1],
        kernel_shape=kernel,
        dilations=dilations,
        strides=strides,
        pads=[*pads[:rank], *ends],
    )
    numbers = _numbers(shape[2:], result[2:], kernel, dilations, strides, pads, counts)
    site.give("Div", total, site.value(numbers[None, None], np.float32))


def _pads(
    site: Site, shape: tuple[int, ...], result: tuple[int, ...], strides: list[int], reach: list[int]
) -> list[int]:
    """Return the pads before and after, those that auto_pad stands for too."""
    rank, automatic = len(shape), site.attribute("auto_pad", "NOTSET")
    if automatic == "NOTSET":
        return list(site.attribute("pads", [0] * 2 * rank))
    if automatic == "VALID":
        return [0] * 2 * rank
    wanted = [max(0, (result[axis] - 1) * strides[axis] + reach[axis] - shape[axis]) for axis in range(rank)]
    less, more = [side // 2 for side in wanted], [side - side // 2 for side in wanted]
    return [*less, *more] if automatic == "SAME_UPPER" else [*more, *less]


def _numbers(
    shape: tuple[int, ...],
    result: tuple[int, ...],
    kernel: list[int],
    dilations: list[int],
    strides: list[int],
    pads: list[int],
    counts: bool,
) -> np.ndarray:
    """Return how many values each average is of: those in the map, and in its pads where these count."""
    rank, along = len(shape), []
    for axis in range(rank):
        first = np.arange(result[axis])[:, None] * strides[axis] - pads[axis]
        taps = first + np.arange(kernel[axis]) * dilations[axis]
        low, high = (-pads[axis], shape[axis] + pads[rank + axis]) if counts else (0, shape[axis])
        along.append(((taps >= low) & (taps < high)).sum(1))
    numbers = np.ones(result)
    for axis, length in enumerate(along):
        numbers = numbers * length.reshape([-1 if other == axis else 1 for other in range(rank)])
    return numbers


def lower_lp_pool(site: Site) -> None:
    """Write one without dilations, its size rounded down: there was no other before opset 18."""
    if any(step != 1 for step in site.attribute("dilations", [])):
        raise site.refused("dilations")
    if site.attribute("ceil_mode", 0):
        raise site.refused("ceil_mode 1")
    site.keep(without=("dilations", "ceil_mode"))
