"""Replace functions that PyTorch's exporter lacks at opset 17 by equivalent ones while a module is traced.

Adaptive pooling to a grid that does not divide the map is separable: averages are two products with constant matrices,
maxima are taken over rows, then over columns. Folding patches into a map, with sums where they overlap, is a transposed
convolution with one kernel for each value of the patch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rtseg.networks.zoo.layers import bin_weights


class WrittenOut(TorchFunctionMode):
    """Within its context the functions of _STAND_INS are replaced; results equal PyTorch's up to rounding.

    with WrittenOut():
        torch.onnx.export(module, ...)
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function, or its replacement."""
        stand_in = _STAND_INS.get(func)
        given = dict(kwargs or {})
        if stand_in is not None and not given.get("return_indices"):
            given.pop("return_indices", None)
            made = stand_in(*args, **given)
            if made is not None:
                return made
        return func(*args, **(kwargs or {}))


def _grid(x: Tensor, output_size: Any, dimensions: int) -> list[tuple[int, int]] | None:
    """Return (length, bins) of each dimension; None if every grid divides its map, which PyTorch can export."""
    sizes = [output_size] * dimensions if output_size is None or isinstance(output_size, int) else list(output_size)
    lengths = [int(length) for length in x.shape[-dimensions:]]
    grid = [(length, length if bins is None else int(bins)) for length, bins in zip(lengths, sizes)]
    return grid if any(length % bins for length, bins in grid) else None


def _averages(input: Tensor, output_size: Any) -> Tensor | None:  # PyTorch's name of the parameter
    grid = _grid(input, output_size, 2)
    if grid is None:
        return None
    rows, columns = (torch.from_numpy(bin_weights(length, bins)).to(input) for length, bins in grid)
    return rows @ (input @ columns.T)


def _resized(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: object = None,
    recompute_scale_factor: object = None,
    antialias: bool = False,
) -> Tensor | None:
    """Return the result of resizing by area, which is adaptive pooling; None for every other mode."""
    if mode != "area" or input.dim() != 4:
        return None
    if size is None:
        factors = [scale_factor] * 2 if isinstance(scale_factor, (int, float)) else list(scale_factor)
        size = [math.floor(int(side) * factor) for side, factor in zip(input.shape[-2:], factors)]
    height, width = _pair(size)
    made = _averages(input, (height, width))
    return F.adaptive_avg_pool2d(input, (height, width)) if made is None else made


def _averages_of_line(input: Tensor, output_size: Any) -> Tensor | None:
    grid = _grid(input, output_size, 1)
    return None if grid is None else input @ torch.from_numpy(bin_weights(*grid[0])).to(input).T


def _maxima(input: Tensor, output_size: Any, *_: object) -> Tensor | None:
    grid = _grid(input, output_size, 2)
    if grid is None:
        return None
    return _maxima_along(_maxima_along(input, -2, *grid[0]), -1, *grid[1])


def _maxima_along(x: Tensor, dimension: int, length: int, bins: int) -> Tensor:
    parts = []
    for index in range(bins):
        start, end = index * length // bins, -(-(index + 1) * length // bins)
        parts.append(x.narrow(dimension, start, end - start).amax(dimension, keepdim=True))
    return torch.cat(parts, dimension)


def _folded(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor | None:
    if input.dim() != 3:
        return None
    size, kernel, spread, margin, step = map(_pair, (output_size, kernel_size, dilation, padding, stride))
    reach = [(side - 1) * between + 1 for side, between in zip(kernel, spread)]
    places = [(side + 2 * edge - far) // by + 1 for side, edge, far, by in zip(size, margin, reach, step)]
    short = [
        side - ((at - 1) * by - 2 * edge + far) for side, at, by, edge, far in zip(size, places, step, margin, reach)
    ]
    values = kernel[0] * kernel[1]
    channels = int(input.shape[1]) // values
    patches = input.reshape(int(input.shape[0]), channels * values, *places)
    kernels = torch.eye(values).reshape(values, 1, *kernel).repeat(channels, 1, 1, 1).to(input)
    return F.conv_transpose2d(
        patches, kernels, stride=step, padding=margin, output_padding=short, groups=channels, dilation=spread
    )


def _pair(value: Any) -> list[int]:
    return [int(value)] * 2 if isinstance(value, int) else [int(side) for side in value]


_STAND_INS: dict[Callable[..., Any], Callable[..., Tensor | None]] = {
    F.adaptive_avg_pool2d: _averages,
    torch._C._nn.adaptive_avg_pool2d: _averages,
    F.adaptive_avg_pool1d: _averages_of_line,
    F.adaptive_max_pool2d: _maxima,
    F.fold: _folded,
    F.interpolate: _resized,
}
