"""Run the first convolutions, of stride 2, on the picture's four quarters, concatenated as channels (space to depth).

A picture has three channels, and a compiler normalises its bytes in float32, at full size. Here each of the four
quarters (quarter_windows) is three channels of half the size; with channels of ones there are 16. A convolution of
stride 2 becomes one of stride 1 over a window half as wide, and so does an average. A 2x2 maximum becomes the maximum
of the four quarters. The normalisation is folded into the weights. Its offset goes into the weights of the ones:
padding sets the ones to zero, as it does the normalised picture.

Bytes are first centred by an integer and scaled by a power of two, which is exact in FP16. So the weights stay in the
range of FP16, and the products are as small as those of the normalised picture.
"""

from __future__ import annotations

import itertools

import numpy as np
import onnx
from onnx import helper

from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.picture_scale import CHANNELS_FIRST, Channels, PictureScale, picture_scale
from rtseg.engines.rewriting.quarter_windows import QuarterWindow, is_maximum, joined, window_of
from rtseg.engines.rewriting.sliced_windows import sliced_windows
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute

CHANNELS = 8
"""The number of channels is a multiple of this, which a convolution in FP16 reads at once."""


def _rewritten(model: onnx.ModelProto) -> onnx.ModelProto:
    change = GraphChange(model)
    picture = picture_scale(change.view)
    if picture is None or any(side % 2 for side in change.view.shape(picture.tensor)[2:]):
        return model
    windows = _windows(change.view, picture)
    maximum = any(window.uses_maximum for window in windows)
    if not windows or (maximum and picture.factor.min() <= 0):
        return model
    centre, scale = _centre(picture)
    factor, offset = picture.factor / scale, picture.factor * centre + picture.offset
    quarters, channels = _quarters(change, picture, centre, scale, maximum=maximum)
    kind = helper.tensor_dtype_to_np_dtype(change.view.element_type(picture.tensor))
    for window in windows:
        weights = window.over_channels(factor, offset, maximum=maximum)
        filled = np.zeros((len(weights), channels, *weights.shape[2:]), kind)
        filled[:, : weights.shape[1]] = weights
        inputs = [quarters, change.constant(f"{window.result}_weights", filled)]
        if window.bias.any():
            inputs.append(change.constant(f"{window.result}_bias", window.bias.astype(kind)))
        change.define(window.result, "Conv", inputs, kernel_shape=list(weights.shape[2:]), pads=list(window.pads))
    return change.result()


def _windows(view: GraphView, picture: PictureScale) -> list[QuarterWindow]:
    """Return each reader of the picture as a window; nothing if one of them is not a window."""
    if picture.tensor == view.output:
        return []
    if picture.has_bytes and (sliced := sliced_windows(view, picture.tensor)):
        return sliced
    nodes = [reader.node for reader in view.readers(picture.tensor)]
    parts = {node.output[0]: window_of(view, node) for node in nodes}
    if not all(parts[node.output[0]] or is_maximum(node) for node in nodes):
        return []
    if None not in parts.values():
        return [window for window in parts.values() if window is not None]
    return _joined(view, parts, len(picture.factor))


def _joined(view: GraphView, parts: dict[str, QuarterWindow | None], channels: int) -> list[QuarterWindow]:
    """Return the concatenation that alone reads all parts; nothing if there is none."""
    readers = [reader for part in parts for reader in view.readers(part)]
    if not readers:
        return []
    node = readers[0].node
    if node.op_type != "Concat" or attribute(node, "axis", 0) not in (1, -3) or view.output in parts:
        return []
    if any(reader.node is not node for reader in readers) or sorted(node.input) != sorted(parts):
        return []
    window = joined(node.output[0], [parts[name] for name in node.input], channels)
    return [] if window is None else [window]


def _centre(picture: PictureScale) -> tuple[Channels, float]:
    """Return what to subtract from each channel, and the factor to apply first: both exact for bytes in FP16."""
    if not picture.has_bytes:
        return np.zeros_like(picture.factor), 1.0
    largest = np.abs(picture.factor).max()
    scale = 2.0 ** np.clip(np.round(np.log2(largest)), -14, 0) if largest else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = np.nan_to_num(np.round(-picture.offset / picture.factor))
    return np.clip(centre, 0, 255), float(scale)


def _quarters(
    change: GraphChange, picture: PictureScale, centre: Channels, scale: float, *, maximum: bool
) -> tuple[str, int]:
    """Return the quarters as channels, in NCHW, and their number; the last channels are ones."""
    view, name = change.view, change.view.input
    kind = view.element_type(picture.tensor)
    array = helper.tensor_dtype_to_np_dtype(kind)
    rows, channel_axis = (1, 3) if picture.has_bytes else (2, 1)
    source = change.add("Cast", [name], f"{name}_float", to=kind) if picture.has_bytes else name
    window = [
        change.constant(f"{name}_{word}", np.array(value))
        for word, value in (
            ("ends", view.shape(name)[rows : rows + 2]),
            ("axes", (rows, rows + 1)),
            ("steps", (2, 2)),
        )
    ]
    parts = []
    for y, x in itertools.product((0, 1), (0, 1)):
        starts = change.constant(f"{name}_starts_{y}{x}", np.array([y, x]))
        parts.append(change.add("Slice", [source, starts, *window], f"{name}_quarter_{y}{x}"))
    if maximum:
        parts.append(change.add("Max", parts, f"{name}_maximum"))
    made = change.add("Concat", parts, f"{name}_quarters", axis=channel_axis)
    if picture.has_bytes:
        factor = change.constant(f"{name}_scale", np.array(scale, array))
        taken = change.constant(f"{name}_centre", np.tile(centre * scale, len(parts)).astype(array))
        made = change.add("Mul", [made, factor], f"{name}_scaled")
        made = change.add("Sub", [made, taken], f"{name}_centred")
    channels = len(picture.factor) * len(parts)
    ones = CHANNELS - channels % CHANNELS
    pads = np.zeros((2, 4), np.int64)
    pads[1, channel_axis] = ones
    padding = (change.constant(f"{name}_pads", pads.reshape(-1)), change.constant(f"{name}_one", np.ones((), array)))
    made = change.add("Pad", [made, *padding], f"{name}_and_ones")
    if picture.has_bytes:
        made = change.add("Transpose", [made], f"{name}_channels_first", perm=CHANNELS_FIRST)
    return made, channels + ones


QUARTERED_STEM = GraphPass(
    name="quartered-stem",
    rewrite=_rewritten,
    carries_over=False,
)
