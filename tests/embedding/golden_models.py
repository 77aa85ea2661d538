"""The cases of whole models: graphs of a few weights with their manifests, and what they make of pictures.

The weights are such that every pixel's label is far from every other: what runs a graph may round as it likes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtseg.artifacts.manifest import Manifest, manifest_path, write_manifest
from rtseg.frame.host_ends import HostEnds
from rtseg.graphs.canonical import IR_VERSION, OPSET
from rtseg.runners.loading import load
from rtseg.specs import ImageSpec, OutputSpec, contract_metadata, tensor_shapes
from tests.embedding.golden_format import (
    PIXEL_BYTES,
    Picture,
    Writer,
    drawn_bytes,
    little_endian,
    numbered_classes,
    rows_with_gaps,
)

Constants = Mapping[str, NDArray[np.generic]]

TOLERANCE = {"fp32": 1e-4, "int8": 1e-3}
"""How far a backend's results may be from the file's, by precision: in INT8, some inputs rounded the other way.

Labels stay what they are within twice that, class by class.
"""

TOOLS = {"python": "3", "rtseg": "golden vectors"}
"""In place of the versions at hand, so that the bytes are the same everywhere."""

COLOURS = np.array([(200, 45, 60), (30, 185, 50), (70, 20, 210), (225, 205, 75)], np.uint8)
"""Of the pictures' areas. A class is the likeness to one of them."""


SEEDS = {
    "fp32-logits": (0, 0, 0, 0, 5),
    "int8-logits": (0, 1, 1, 0, 9),
    "labels": (0, 0, 0, 0, 0),
    "threshold-letterbox": (1, 1, 1, 14, 105),
}
"""Of the pictures' noise: the first for which no label is within the margin of another."""


@dataclass(frozen=True)
class Model:
    """A graph from x to y, and its two contracts."""

    name: str
    precision: str
    image: ImageSpec
    output: OutputSpec
    nodes: tuple[onnx.NodeProto, ...]
    constants: Constants

    def serialized(self) -> bytes:
        taken, given = tensor_shapes(self.image, self.output)
        kind = TensorProto.UINT8 if self.output.interface == "labels" else TensorProto.FLOAT
        graph = helper.make_graph(
            list(self.nodes),
            self.name,
            [helper.make_tensor_value_info("x", kind, taken)],
            [helper.make_tensor_value_info("y", kind, given)],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets, producer_name="rtseg")
        helper.set_model_props(model, contract_metadata(self.image, self.output))
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)


def likeness(image: ImageSpec, side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights (4, 3, side, side) and bias (4,) whose class k is greatest where an area's mean is colour k.

    That is -|colour - mean|^2 less what all classes have in common, in units of half the range of a byte.
    """
    order = [0, 1, 2] if image.colour_order == "RGB" else [2, 1, 0]
    mean, std = np.array(image.mean), np.array(image.std)
    colours = COLOURS[:, order] / 127.5 - 1
    per_value = std / image.scale / 127.5  # of the network's input, in those units
    at_zero = mean / image.scale / 127.5 - 1
    weights = 2 * colours * per_value
    bias = 2 * colours @ at_zero - (colours**2).sum(axis=1)
    spread = np.repeat(np.repeat(weights[:, :, None, None], side, axis=2), side, axis=3) / side**2
    return spread.astype(np.float32), bias.astype(np.float32)


def fp32_logits() -> Model:
    image, output = ImageSpec(32, 48), OutputSpec(numbered_classes(4), "logits", 4, False)
    weights, bias = likeness(image, 4)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[4, 4])
    return Model("fp32-logits", "fp32", image, output, (node,), {"w": weights, "b": bias})


def int8_logits() -> Model:
    """Return a graph with Q/DQ in front of its one convolution, placed as for TensorRT.

    Weights are at most 63, so that pairs of products stay within 16 bits on processors that add them so.
    """
    image, output = ImageSpec(32, 48), OutputSpec(numbered_classes(4), "logits", 4, True)
    weights, bias = likeness(image, 4)
    scale = np.float32(np.abs(weights).max() / 63)
    nodes = (
        helper.make_node("QuantizeLinear", ["x", "x_scale", "zero"], ["x_q"]),
        helper.make_node("DequantizeLinear", ["x_q", "x_scale", "zero"], ["x_dq"]),
        helper.make_node("DequantizeLinear", ["w_q", "w_scale", "zero"], ["w"]),
        helper.make_node("Conv", ["x_dq", "w", "b"], ["y"], strides=[4, 4]),
    )
    constants = {
        "x_scale": np.array(2.7 / 127, np.float32),
        "zero": np.array(0, np.int8),
        "w_q": np.rint(weights / scale).astype(np.int8),
        "w_scale": np.array(scale, np.float32),
        "b": bias,
    }
    return Model("int8-logits", "int8", image, output, nodes, constants)


def labels() -> Model:
    """Return a graph that takes pixels: whole numbers and quarters, so that every backend adds exactly."""
    image, output = ImageSpec(32, 48), OutputSpec(numbered_classes(4), "labels", 1, False)
    colours = COLOURS.astype(np.float32)
    bias = -(colours**2).sum(axis=1) + np.arange(4, dtype=np.float32) / 4  # so that no two classes are equal
    nodes = (
        helper.make_node("Transpose", ["x"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["values", "w", "b"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["winner"], axis=1, keepdims=0),
        helper.make_node("Cast", ["winner"], ["y"], to=TensorProto.UINT8),
    )
    constants = {"w": 2 * colours[:, :, None, None], "b": bias.astype(np.float32)}
    return Model("labels", "fp32", image, output, nodes, constants)


def threshold_letterbox() -> Model:
    """Return a graph of one channel behind a sigmoid: how much more an area is green than it is red."""
    image = ImageSpec(48, 48, "BGR", 1.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0), fit="letterbox", padding=128)
    output = OutputSpec(numbered_classes(2), "logits", 8, False, threshold=0.5)
    weights, bias = likeness(image, 8)
    nodes = (
        helper.make_node("Conv", ["x", "w", "b"], ["likeness"], strides=[8, 8]),
        helper.make_node("Sigmoid", ["likeness"], ["y"]),
    )
    constants = {"w": weights[1:2] - weights[0:1], "b": bias[1:2] - bias[0:1]}
    return Model("threshold-letterbox", "fp32", image, output, nodes, constants)


MODELS = (fp32_logits, int8_logits, labels, threshold_letterbox)


def areas(form: str, height: int, width: int, gap: int, seed: int, *, upturned: bool = False) -> Picture:
    """Return a picture of areas of COLOURS, with a little noise, in a format and with a gap between rows."""
    pixel = PIXEL_BYTES[form]
    rows, columns = np.arange(height) * 3 // height, np.arange(width) * 4 // width
    shown = COLOURS[(rows[:, None] * 3 + columns) % 4].astype(np.int16)
    shown += drawn_bytes(height * width * 3, seed).reshape(height, width, 3) % 32 - 16
    pitch = width * pixel + gap
    buffer = drawn_bytes(height * pitch, seed=width).reshape(height, pitch).copy()
    pixels = buffer[:, : width * pixel].reshape(height, width, pixel).copy()
    if form == "GREY":
        pixels[..., 0] = shown[..., 1]
    else:
        pixels[..., [0, 1, 2] if form.startswith("RGB") else [2, 1, 0]] = shown
    buffer[:, : width * pixel] = pixels.reshape(height, -1)
    if upturned:
        buffer = buffer[::-1]
    offset, row_bytes = ((height - 1) * pitch, -pitch) if upturned else (0, pitch)
    return Picture(form, height, width, offset, row_bytes, buffer.tobytes())


def pictures(seeds: tuple[int, ...]) -> tuple[Picture, ...]:
    return (
        areas("RGB", 32, 48, 0, seeds[0]),
        areas("BGR", 61, 29, 5, seeds[1]),
        areas("RGBA", 37, 53, 12, seeds[2]),
        areas("BGRA", 23, 90, 0, seeds[3], upturned=True),
        areas("GREY", 45, 40, 3, seeds[4]),
    )


def add_models(writer: Writer) -> None:
    """Add the models, and a case for each model and picture."""
    for build in MODELS:
        model = build()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{model.name}.onnx"
            path.write_bytes(model.serialized())
            writer.put(path.name, path.read_bytes())
            writer.put(manifest_path(path).name, written_manifest(path, model))
            with load(path, runner="onnxruntime", threads=1) as segmenter:
                for shown in pictures(SEEDS[model.name]):
                    tensor = segmenter.tensor(shown.rgb)
                    result = np.array(segmenter.runner.infer(tensor))
                    add_model(writer, model, shown, tensor, result)


def written_manifest(path: Path, model: Model) -> bytes:
    """Write the manifest beside the file and return it with fixed tools."""
    manifest = Manifest(
        kind="onnx",
        network=f"golden-{model.name}",
        options={},
        weights="written down",
        precision=model.precision,
        image=model.image,
        output=model.output,
    )
    fixed = replace(write_manifest(path, manifest), tools=TOOLS)
    return (json.dumps(fixed.to_json(), indent=2) + "\n").encode()


def add_model(
    writer: Writer, model: Model, shown: Picture, tensor: NDArray[np.generic], result: NDArray[np.generic]
) -> None:
    name, row_bytes = f"{model.name}-{shown.format.lower()}", shown.width + 3
    ends = HostEnds(model.image, model.output, threads=1)
    made = ends.labels(result, height=shown.height, width=shown.width)
    require_wide_margins(ends, result, made, name, 2 * TOLERANCE[model.precision])
    writer.case(
        name,
        "model",
        model=f"{model.name}.onnx",
        interface=model.output.interface,
        **shown.fields,
        image=writer.pack("image", shown.buffer),
        input=writer.pack("input", little_endian(tensor)),
        output=writer.pack("output", little_endian(result)),
        output_tolerance=0 if model.output.interface == "labels" else TOLERANCE[model.precision],
        labels=writer.pack("labels", rows_with_gaps(made, row_bytes)),
        labels_row_bytes=row_bytes,
    )


def require_wide_margins(
    ends: HostEnds, result: NDArray[np.generic], expected: NDArray[np.uint8], name: str, margin: float
) -> None:
    """Raise AssertionError where a class that is a margin greater or less would change labels."""
    if ends.gives_labels:
        return
    for channel in range(result.shape[1]):
        for away in (-margin, margin):
            moved = result.astype(np.float32)
            moved[:, channel] += np.float32(away)
            labels = ends.labels(moved, height=expected.shape[0], width=expected.shape[1])
            assert (labels == expected).all(), f"{name}: {(labels != expected).sum()} labels hang by a thread"
