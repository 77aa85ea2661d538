"""Graphs as other tools write them, at random: ends of every kind around one strided convolution."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HEIGHT, WIDTH = 32, 48
INTEGERS = (TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8, TensorProto.INT8, TensorProto.FLOAT)
DYNAMIC = ("none", "batch", "size", "all", "batch 4")


@dataclass(frozen=True)
class ForeignGraph:
    """A file, and what has to be found in it. threshold None is a channel for each class."""

    model: onnx.ModelProto
    channels_last_input: bool
    channels_last_output: bool
    decides: bool
    threshold: float | None
    classes: int
    stride: int
    open_size: bool
    words: str


def random_graph(seed: int, *, opset: int = 17, dynamic: str | None = None) -> ForeignGraph:
    """Return the graph of that seed. dynamic is which of its sizes are left open."""
    draws = random.Random(seed)
    numbers = np.random.default_rng(seed)
    mask, stride = draws.random() < 0.3, draws.choice((1, 2, 4))
    channels = 1 if mask else draws.randrange(2, 8)
    last_in, last_out = draws.random() < 0.4, not mask and draws.random() < 0.4
    dynamic = draws.choice(DYNAMIC) if dynamic is None else dynamic
    constants: dict[str, Any] = {
        "weight": numbers.standard_normal((channels, 3, 3, 3)).astype(np.float32),
        "bias": numbers.standard_normal(channels).astype(np.float32),
    }
    nodes = [helper.make_node("Transpose", ["x"], ["picture"], perm=[0, 3, 1, 2])] if last_in else []
    source = "picture" if last_in else "x"
    nodes.append(helper.make_node("Conv", [source, "weight", "bias"], ["map"], strides=[stride] * 2, pads=[1] * 4))
    here, threshold = "map", None
    if mask:
        threshold = 0.0
        if draws.random() < 0.6:
            nodes.append(helper.make_node("Sigmoid", [here], ["probability"]))
            here, threshold = "probability", 0.5
    elif draws.random() < 0.3:
        nodes.append(helper.make_node("Softmax", [here], ["probabilities"], axis=1))
        here = "probabilities"
    if last_out:
        nodes.append(helper.make_node("Transpose", [here], ["last"], perm=[0, 2, 3, 1]))
        here = "last"
    axis = 3 if last_out else 1
    end = draws.choice(("scores", "cast scores", "mask") if mask else ("scores", "cast scores", "argmax", "topk"))
    element = TensorProto.FLOAT
    if end == "cast scores":
        element = TensorProto.DOUBLE
        nodes.append(helper.make_node("Cast", [here], ["double"], to=element))
        here = "double"
    elif end == "mask":
        threshold = draws.choice((0.25, 0.5, 0.75))
        constants["threshold"] = np.array(threshold, np.float32)
        nodes.append(helper.make_node("Greater", [here, "threshold"], ["mask"]))
        here, element = "mask", TensorProto.BOOL
    elif end == "argmax":
        keep = draws.random() < 0.5
        nodes.append(helper.make_node("ArgMax", [here], ["index"], axis=draws.choice((axis, axis - 4)), keepdims=keep))
        here, element = "index", TensorProto.INT64
    elif end == "topk":
        constants["one"] = np.array([1])
        nodes.append(helper.make_node("TopK", [here, "one"], ["best", "index"], axis=axis))
        here, element = "index", TensorProto.INT64
    decides = end in ("mask", "argmax", "topk")
    for number in range(draws.randrange(3) if decides else 0):
        element = draws.choice(INTEGERS)
        nodes.append(helper.make_node("Cast", [here], [f"cast{number}"], to=element))
        here = f"cast{number}"
    if decides and (end != "argmax" or keep) and draws.random() < 0.5:
        constants["axes"] = np.array([1 if end == "mask" else axis])
        nodes.append(helper.make_node("Squeeze", [here, "axes"], ["squeezed"]))
        here = "squeezed"
    nodes.append(helper.make_node("Identity", [here], ["y"]))
    sides: list[int | str] = [
        {"batch": "n", "all": "n", "batch 4": 4}.get(dynamic, 1),
        *(("h", "w") if dynamic in ("size", "all") else (HEIGHT, WIDTH)),
    ]
    shape = [sides[0], *sides[1:], 3] if last_in else [sides[0], 3, *sides[1:]]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", element, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    words = f"{end}, channels {channels}, last {last_in} {last_out}, stride {stride}, {dynamic}"
    classes = 2 if mask else channels
    found = ForeignGraph(model, last_in, last_out, decides, threshold, classes, stride, "h" in sides, words)
    return found


def labels_of(found: ForeignGraph, output: np.ndarray) -> np.ndarray:
    """Return the labels, (height, width), that the file's own output for one picture stands for."""
    value = output[:1]
    if found.decides:
        return value.astype(np.int64).reshape(HEIGHT // found.stride, WIDTH // found.stride)
    if found.threshold is not None:
        return (value[0, 0] > np.float32(found.threshold)).astype(np.int64)
    labels: np.ndarray = value[0].argmax(-1 if found.channels_last_output else 0)
    return labels
