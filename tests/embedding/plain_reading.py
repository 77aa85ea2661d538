"""The two ends as golden/README.md words them, with nothing of rtseg and nothing left out for speed.

What a fourth language would write first. float32 throughout, each operation rounded, in the order of the text.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.embedding.golden_format import Case

F32 = np.float32
Array = NDArray[np.float32]
Axis = tuple[NDArray[np.intp], NDArray[np.intp], Array, Array]

MOST = F32(1e30)


def axis(inputs: int, outputs: int, aligned: bool, canvas: int = 1, begin: int = 0, length: int = 1) -> Axis:
    """Return near and far sample and their weights for each output sample."""
    if length == canvas:
        canvas, begin, length = 2, 0, 2
    less = 1 if aligned else 0
    step = F32((inputs - less) * (length - less) / ((canvas - less) * (outputs - less))) if outputs > less else F32(0)
    shift = F32((inputs - less) * begin / (canvas - less))
    places = np.arange(outputs).astype(F32)
    middles = step * (places + F32(0.5)) - F32(0.5) + shift
    source = step * places + shift if aligned else np.maximum(middles, F32(0))
    near = np.minimum(np.floor(source).astype(np.intp), inputs - 1)
    far = np.minimum(near + 1, inputs - 1)
    far_weight = np.minimum(source - near.astype(F32), F32(1))
    return near, far, F32(1) - far_weight, far_weight


def blended(planes: Array, rows: Axis, columns: Axis) -> Array:
    """Return planes (..., h, w) interpolated, along rows of samples first."""
    near, far, near_weight, far_weight = columns
    across = near_weight * planes[..., near] + far_weight * planes[..., far]
    near, far, near_weight, far_weight = rows
    return near_weight[:, None] * across[..., near, :] + far_weight[:, None] * across[..., far, :]


def window(case: Case) -> tuple[int, int, int, int]:
    """Return top, left, height and width of where the image lies in the network's input."""
    height, width = case.number("input_height"), case.number("input_width")
    if case["fit"] == "stretch":
        return 0, 0, height, width
    sides = case.number("image_height"), case.number("image_width")
    factor = min(height / sides[0], width / sides[1])
    covered = [min(max(round(side * factor), 1), most) for side, most in zip(sides, (height, width))]
    return (height - covered[0]) // 2, (width - covered[1]) // 2, covered[0], covered[1]


def network_input(case: Case) -> bytes:
    image, gives_labels = case.picture.rgb, case["interface"] == "labels"
    planes = image.transpose(2, 0, 1).astype(F32)
    if case["colour_order"] == "BGR":
        planes = planes[::-1]
    top, left, height, width = window(case)
    resized = planes
    if image.shape[:2] != (height, width):
        resized = blended(planes, axis(image.shape[0], height, False), axis(image.shape[1], width, False))
    canvas = np.full((3, case.number("input_height"), case.number("input_width")), F32(case["padding"]))
    canvas[:, top : top + height, left : left + width] = resized
    if gives_labels:
        return np.rint(canvas).astype(np.uint8).transpose(1, 2, 0).tobytes()
    mean, std = (np.array(case[key].split(), np.float64).astype(F32)[:, None, None] for key in ("mean", "std"))
    return ((canvas * F32(float(case["scale"])) - mean) / std).astype("<f4").tobytes()


def label_map(case: Case) -> NDArray[np.uint8]:
    top, left, height, width = window(case)
    shown = case.number("image_height"), case.number("image_width")
    if case["interface"] == "labels":
        result = np.frombuffer(case.content("result"), np.uint8).reshape(case.number("result_height"), -1)
        rows, columns = (
            np.minimum(((np.arange(count) + 0.5) * side / count).astype(np.intp), side - 1)
            for side, count in zip((height, width), shown)
        )
        return result[top + rows[:, None], left + columns]
    shape = [case.number(f"result_{key}") for key in ("channels", "height", "width")]
    result = np.frombuffer(case.content("result"), "<f4").astype(F32).reshape(shape)
    result = np.clip(np.where(np.isnan(result), -MOST, result), -MOST, MOST)
    aligned = case["align_corners"] == "1"
    canvas = case.number("input_height"), case.number("input_width")
    rows = axis(shape[1], shown[0], aligned, canvas[0], top, height)
    columns = axis(shape[2], shown[1], aligned, canvas[1], left, width)
    corners = chosen(case, result)
    labels = chosen(case, blended(result, rows, columns))
    around = [corners[y[:, None], x] for y in rows[:2] for x in columns[:2]]
    agree = np.logical_and.reduce([corner == around[0] for corner in around])
    return np.where(agree, around[0], labels)


def chosen(case: Case, values: Array) -> NDArray[np.uint8]:
    """Return the label of each place of values (channels, ...)."""
    if case["threshold"] != "none":
        return (values[0] > F32(float(case["threshold"]))).astype(np.uint8)
    return values.argmax(axis=0).astype(np.uint8)  # the first of equals
