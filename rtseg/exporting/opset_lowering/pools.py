"""Write pooling of newer opsets: dilated averages, and sizes that are rounded up.

With a size that is rounded up, a window that would begin beyond the map and its first pads is left out, and an average
covers pixels and pads only, nothing beyond the pads. ONNX Runtime does this at every opset; onnx infers that size since
opset 22. Here explicit pads complete such windows, and the size is rounded down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtseg.exporting.opset_lowering.site import Site


@dataclass(frozen=True)
class Windows:
    """The windows of a pool, axis by axis: their parameters and their number."""

    sides: tuple[int, ...]
    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    before: list[int]
    after: list[int]
    numbers: list[int]

    @property
    def ends(self) -> list[int]:
        """The number of values beyond the map that the last window of each axis reads."""
        found = []
        for axis, side in enumerate(self.sides):
            first = self.strides[axis] * (self.numbers[axis] - 1) - self.before[axis]
            found.append(max(0, first + self.dilations[axis] * (self.kernel[axis] - 1) + 1 - side))
        return found

    @property
    def pads(self) -> list[int]:
        """The pads that give this number of windows with a size that is rounded down."""
        return [*self.before, *self.ends]


def windows_of(site: Site) -> Windows:
    """Return the windows of a pool."""
    kernel = list(site.attribute("kernel_shape", []))
    rank, sides, ones = len(kernel), site.shape()[2:], [1] * len(kernel)
    strides, dilations = list(site.attribute("strides", ones)), list(site.attribute("dilations", ones))
    reach = [dilation * (side - 1) + 1 for dilation, side in zip(dilations, kernel)]
    automatic, up = site.attribute("auto_pad", "NOTSET"), bool(site.attribute("ceil_mode", 0))
    pads = list(site.attribute("pads", [0] * 2 * rank)) if automatic == "NOTSET" else [0] * 2 * rank
    if automatic.startswith("SAME"):
        if any(step != 1 for step in dilations):
            raise site.refused(f"dilations with auto_pad {automatic}, on which onnx and ONNX Runtime differ")
        for axis, side in enumerate(sides):
            wanted = max(0, (-(-side // strides[axis]) - 1) * strides[axis] + reach[axis] - side)
            less, more = wanted // 2, wanted - wanted // 2
            pads[axis], pads[rank + axis] = (less, more) if automatic == "SAME_UPPER" else (more, less)
    numbers = []
    for axis, side in enumerate(sides):
        room = side + pads[axis] + pads[rank + axis] - reach[axis]
        rounded_up = up and not automatic.startswith("SAME")
        number = (-(-room // strides[axis]) if rounded_up else room // strides[axis]) + 1
        numbers.append(number - (rounded_up and (number - 1) * strides[axis] >= side + pads[axis]))
    return Windows(sides, kernel, strides, dilations, pads[:rank], pads[rank:], numbers)


def lower_max_pool(site: Site) -> None:
    """Rewrite a MaxPool whose size is rounded up with explicit pads; a pad is never the maximum."""
    if _is_plain(site):
        site.keep()
        return
    windows = windows_of(site)
    pads, rank = windows.pads, len(windows.kernel)
    if all(pad < side for pad, side in zip(pads, windows.kernel * 2)):
        site.keep(without=("ceil_mode", "auto_pad"), pads=pads)
        return
    if site.gives(1):
        raise site.refused("indices of windows that end further beyond the pads than a kernel is long")
    wide = site.value([0, 0, *pads[:rank], 0, 0, *pads[rank:]], np.int64)  # no pool accepts pads as long as its kernel
    source = site.add("Pad", site.name(0), wide, site.number(-np.inf))
    site.keep(source, without=("ceil_mode", "auto_pad", "pads"))


def _is_plain(site: Site) -> bool:
    """Return whether the pads are given and the size is rounded down."""
    return not site.attribute("ceil_mode", 0) and site.attribute("auto_pad", "NOTSET") == "NOTSET"


def lower_average_pool(site: Site) -> None:
    """Rewrite AveragePool at opset 17. Dilated windows become a convolution, which sums them, and a division."""
    dilated = any(step != 1 for step in site.attribute("dilations", []))
    if _is_plain(site) and not dilated:
        site.keep(without=("dilations",))
        return
    windows, counts = windows_of(site), bool(site.attribute("count_include_pad", 0))
    if dilated:
        _dilated(site, windows, counts)
        return
    source, pads = site.name(0), windows.pads
    if counts and any([*windows.before, *windows.after]):
        zeros = site.value([0, 0, *windows.before, 0, 0, *windows.after], np.int64)
        beyond = [max(0, end - after) for end, after in zip(windows.ends, windows.after)]
        source, pads = site.add("Pad", source, zeros), [*[0] * len(beyond), *beyond]
    attributes = {"kernel_shape": windows.kernel, "strides": windows.strides, "pads": pads}
    site.give("AveragePool", source, count_include_pad=0, **attributes)


def _dilated(site: Site, windows: Windows, counts: bool) -> None:
    channels = site.shape()[1]
    total = site.add(
        "Conv",
        site.name(0),
        site.like(np.ones((channels, 1, *windows.kernel))),
        group=channels,
        kernel_shape=windows.kernel,
        dilations=windows.dilations,
        strides=windows.strides,
        pads=windows.pads,
    )
    site.give("Div", total, site.like(_lengths(windows, counts)[None, None]))


def _lengths(windows: Windows, counts: bool) -> NDArray[np.int64]:
    """Return the number of values in each average: those in the map, and in its pads if these count."""
    lengths = np.ones(windows.numbers, np.int64)
    for axis, number in enumerate(windows.numbers):
        first = np.arange(number)[:, None] * windows.strides[axis] - windows.before[axis]
        taps = first + np.arange(windows.kernel[axis]) * windows.dilations[axis]
        low, high = 0, windows.sides[axis]
        if counts:
            low, high = -windows.before[axis], high + windows.after[axis]
        along = ((taps >= low) & (taps < high)).sum(1)
        lengths = lengths * along.reshape([-1 if other == axis else 1 for other in range(len(windows.numbers))])
    return lengths


def lower_lp_pool(site: Site) -> None:
    """Rewrite LpPool at opset 17, which rounds sizes down. Raises OnnxError for dilations, which it lacks."""
    if any(step != 1 for step in site.attribute("dilations", [])):
        raise site.refused("dilations")
    if _is_plain(site):
        site.keep(without=("dilations", "ceil_mode"))
    else:
        site.keep(without=("dilations", "ceil_mode", "auto_pad"), pads=windows_of(site).pads)
