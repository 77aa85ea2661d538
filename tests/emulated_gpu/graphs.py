"""Networks of one convolution, written as exported files: each interface, small enough to run in no time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rtseg.artifacts.manifest import Manifest, write_manifest
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec, contract_metadata

CLASSES, STRIDE = 5, 8
SIZE = (64, 96)
PALETTE = tuple((40 * index, 255 - 40 * index, 128) for index in range(CLASSES))
CLASS_SPEC = ClassSpec("five", tuple(f"class {index}" for index in range(CLASSES)), PALETTE)


TWO = ClassSpec("two", ("background", "foreground"), PALETTE[:2])


def write_graph(
    path: Path,
    interface: str = "logits",
    *,
    size: tuple[int, int] = SIZE,
    colour_order: str = "RGB",
    threshold: float | None = None,
    **fit: Any,
) -> Path:
    """Write an ONNX file of the interface and its manifest. The weights are the same for all interfaces and sizes.

    With a threshold there is one channel, behind a sigmoid. fit is what ImageSpec says of it.
    """
    height, width = size
    image = ImageSpec(height, width, colour_order, **fit)
    classes = CLASS_SPEC if threshold is None else TWO
    output = OutputSpec(classes, interface, STRIDE, align_corners=False, threshold=threshold)
    random = np.random.default_rng(8)
    weight = random.standard_normal((output.channels, 3, STRIDE, STRIDE)).astype(np.float32) / STRIDE
    constants = {"weight": weight}
    planes, nodes = "image", []
    if interface == "labels":
        planes = "planes"
        nodes += _normalisation(image, constants)
    small = (1, output.channels, height // STRIDE, width // STRIDE)
    convolved = "logits" if threshold is None else "convolved"
    nodes.append(helper.make_node("Conv", [planes, "weight"], [convolved], strides=[STRIDE, STRIDE], name="/head/Conv"))
    if threshold is not None:
        nodes.append(helper.make_node("Sigmoid", ["convolved"], ["logits"], name="/head/Sigmoid"))
    if interface != "logits":
        constants |= {"no roi": np.empty(0, np.float32), "scales": np.array([1, 1, 8, 8], np.float32)}
        nodes.append(
            helper.make_node(
                "Resize",
                ["logits", "no roi", "scales"],
                ["scores"],
                mode="linear",
                coordinate_transformation_mode="half_pixel",
                name="/Resize",
            )
        )
    if interface == "labels":
        if threshold is None:
            nodes.append(helper.make_node("ArgMax", ["scores"], ["winner"], axis=1, keepdims=0, name="/ArgMax"))
        else:
            constants |= {"threshold": np.float32(threshold), "channel": np.array([1], np.int64)}
            nodes.append(helper.make_node("Greater", ["scores", "threshold"], ["above"], name="/Greater"))
            nodes.append(helper.make_node("Squeeze", ["above", "channel"], ["winner"], name="/Squeeze"))
        nodes.append(helper.make_node("Cast", ["winner"], ["labels"], to=TensorProto.UINT8, name="/Cast"))
    ends = {
        "logits": ((1, 3, height, width), TensorProto.FLOAT, small),
        "scores": ((1, 3, height, width), TensorProto.FLOAT, (1, output.channels, height, width)),
        "labels": ((1, height, width, 3), TensorProto.UINT8, (1, height, width)),
    }
    source, kind, result = ends[interface]
    graph = helper.make_graph(
        nodes,
        "one convolution",
        [helper.make_tensor_value_info("image", kind, source)],
        [helper.make_tensor_value_info(interface, kind, result)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, contract_metadata(image, output))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    write_manifest(path, Manifest("onnx", "one convolution", {}, "random", "fp32", image, output))
    return path


def _normalisation(image: ImageSpec, constants: dict[str, Any]) -> list[onnx.NodeProto]:
    constants["scale"] = np.float32(image.scale)
    constants["mean"] = np.array(image.mean, np.float32).reshape(1, 3, 1, 1)
    constants["std"] = np.array(image.std, np.float32).reshape(1, 3, 1, 1)
    return [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT, name="/in/Cast"),
        helper.make_node("Transpose", ["pixels"], ["channels"], perm=[0, 3, 1, 2], name="/in/Transpose"),
        helper.make_node("Mul", ["channels", "scale"], ["scaled"], name="/in/Mul"),
        helper.make_node("Sub", ["scaled", "mean"], ["centred"], name="/in/Sub"),
        helper.make_node("Div", ["centred", "std"], ["planes"], name="/in/Div"),
    ]
