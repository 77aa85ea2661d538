"""The smallest complete example: a picture, the contracts, and a graph of three convolutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rtseg.artifacts.manifest import Manifest, write_manifest
from rtseg.frame.protocol import Pixels
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec, contract_metadata, tensor_shapes

NAMES = ("red", "green", "blue", "yellow", "grey")
PALETTE = ((200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0), (128, 128, 128))

IMAGE = ImageSpec(128, 192)
OUTPUT = OutputSpec(ClassSpec("doctor", NAMES, PALETTE), "logits", 8, align_corners=False)

PICTURE_SIZE = (180, 240)
"""Not the graph's size, so that input and labels must be resized."""

CHANNELS = (3, 16, 32, len(NAMES))
"""Channels before, between and after the convolutions, each of which halves the sides."""


def probe_picture() -> Pixels:
    """Return a uint8 RGB picture of patches of one colour each, always the same."""
    height, width = PICTURE_SIZE
    patches = np.random.default_rng(5).integers(0, 256, (height // 12, width // 12, 3), np.uint8)
    return np.ascontiguousarray(patches.repeat(12, 0).repeat(12, 1))


def write_probe_graph(path: Path) -> Path:
    """Write the canonical graph with its contracts, and its manifest; return path.

    The weights are always the same. Raises ModuleNotFoundError without onnx; no extra brings onnx alone, and an extra
    with another onnxruntime than the installed one would do harm. Also raises OSError.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(17)
    weights, nodes, source = [], [], "image"
    for index, (taken, given) in enumerate(zip(CHANNELS, CHANNELS[1:])):
        scale = (2 / (9 * taken)) ** 0.5
        weight = (scale * random.standard_normal((given, taken, 3, 3))).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"weight{index}"))
        last = index == len(CHANNELS) - 2
        result = "logits" if last else f"sums{index}"
        sources, pads = [source, f"weight{index}"], [1, 1, 1, 1]
        nodes.append(helper.make_node("Conv", sources, [result], f"/Conv{index}", strides=[2, 2], pads=pads))
        if not last:
            nodes.append(helper.make_node("Relu", [result], [f"maps{index}"], f"/Relu{index}"))
        source = f"maps{index}"
    taken_shape, given_shape = tensor_shapes(IMAGE, OUTPUT)
    graph = helper.make_graph(
        nodes,
        "doctor",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, taken_shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, given_shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="rtseg")
    helper.set_model_props(model, contract_metadata(IMAGE, OUTPUT))
    save(model, str(path))
    write_manifest(path, Manifest("onnx", "doctor", {}, "random, seed 17", "fp32", IMAGE, OUTPUT))
    return path
