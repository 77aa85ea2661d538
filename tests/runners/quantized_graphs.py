"""Quantised files as ONNX Runtime's own tool makes them, of small networks of any operators."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rtseg.frame.protocol import Array

SHAPE = (1, 3, 16, 24)


class Encoding(NamedTuple):
    """How a file says INT8: types of activations and weights, a scale per channel, zero points on either, the form."""

    activations: str = "QUInt8"
    weights: str = "QInt8"
    per_channel: bool = False
    shifted_weights: bool = False
    centred_activations: bool = False
    keep_removable: bool = False
    form: str = "QDQ"


class Network:
    """A float network that grows operator by operator."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.tensor, self.channels, self.height, self.width = "x", *SHAPE[1:]

    def add(self, kind: str, constants: Sequence[Any] = (), *, more: Sequence[str] = (), **attributes: Any) -> None:
        """Append an operator that reads the last tensor, then constants, then tensors named."""
        result = f"t{len(self.nodes)}"
        names = []
        for index, value in enumerate(constants):
            names.append("" if value is None else f"{result}_{index}")
            if value is not None:
                self.constants[names[-1]] = np.asarray(value)
        inputs = [self.tensor, *names, *more]
        self.nodes.append(helper.make_node(kind, inputs, [result], f"{result}_{kind}", **attributes))
        self.tensor = result

    def weights(self, *shape: int) -> Array:
        # Not around zero, so that a zero point is not zero.
        values = self.random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:])) + self.random.normal(0, 0.1)
        return np.asarray(values, np.float32)

    def factors(self) -> Array:
        return self.random.standard_normal((1, self.channels, 1, 1)).astype(np.float32)

    def convolution(self, channels: int, *, side: int = 3) -> None:
        biased = [self.random.standard_normal(channels).astype(np.float32)] if self.random.random() < 0.7 else []
        self.add("Conv", [self.weights(channels, self.channels, side, side), *biased], pads=[side // 2] * 4)
        self.channels = channels

    def grow(self, kind: str) -> None:
        """Append what is meant by one of KINDS."""
        pool: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1] * 4}
        before, own = self.tensor, self.channels
        if kind == "rectified convolution":
            self.convolution(int(self.random.integers(2, 9)))
            self.add("Relu")
        elif kind == "convolution":
            self.convolution(int(self.random.integers(2, 9)), side=int(self.random.choice([1, 3])))
        elif kind == "depthwise":
            self.add("Conv", [self.weights(own, 1, 3, 3)], group=own, pads=[1] * 4)
        elif kind == "transposed" and self.height < 100:
            self.channels = int(self.random.integers(2, 6))
            self.add("ConvTranspose", [self.weights(own, self.channels, 2, 2)], strides=[2, 2])
            self.height, self.width = 2 * self.height, 2 * self.width
        elif kind in ("MaxPool", "AveragePool"):
            self.add(kind, **pool)
        elif kind == "average with padding":
            self.add("AveragePool", **pool, count_include_pad=1)
        elif kind == "residual":
            self.convolution(own)
            self.add("Add", more=[before])
        elif kind == "concatenated":
            self.convolution(2, side=1)
            self.add("Concat", more=[before], axis=1)
            self.channels += own
        elif kind == "resized" and self.height < 100:
            self.height, self.width = 2 * self.height, 2 * self.width
            self.add("Resize", [None, None, np.array([1, own, self.height, self.width])], mode="linear")
        elif kind == "gated":
            self.add("GlobalAveragePool")
            self.add("Sigmoid")
            self.add("Mul", more=[before])
        elif kind == "clipped":
            self.add("Clip", [np.float32(0), np.float32(6)])
        elif kind in ("Add", "Mul"):
            self.add(kind, [self.factors()])
        elif kind == "matrix":
            self.add("MatMul", [self.weights(self.width, self.width)])
        elif kind == "padded":
            self.add("Pad", [np.array([0, 0, 1, 1, 0, 0, 1, 1])])
            self.height, self.width = self.height + 2, self.width + 2
        elif kind in ("LeakyRelu", "Sigmoid", "Neg"):
            self.add(kind)

    def write(self, path: Path) -> None:
        """Write it with a convolution to four channels behind."""
        self.convolution(4, side=1)
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, self.height, self.width])],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


KINDS = (
    *("rectified convolution", "convolution", "depthwise", "transposed", "MaxPool", "AveragePool"),
    *("average with padding", "residual", "concatenated", "resized", "gated", "clipped", "Add", "Mul", "matrix"),
    *("padded", "LeakyRelu", "Sigmoid", "Neg"),
)


def write_quantized(path: Path, kinds: Sequence[str], encoding: Encoding, *, seed: int = 0) -> Path:
    """Write a network of those operators, quantised by onnxruntime.quantization, and return the path."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Inputs(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            random = np.random.default_rng(seed)
            self._inputs: Iterator[dict[str, Array]] = iter(
                [{"x": random.standard_normal(SHAPE, np.float32)} for _ in range(2)]
            )

        def get_next(self) -> dict[str, Array] | None:
            return next(self._inputs, None)

    network = Network(seed)
    for kind in kinds:
        network.grow(kind)
    plain = path.with_name(f"{path.stem}.float.onnx")
    network.write(plain)
    options = {"WeightSymmetric": not encoding.shifted_weights, "ActivationSymmetric": encoding.centred_activations}
    if encoding.form == "QDQ":
        options["QDQKeepRemovableActivations"] = encoding.keep_removable
    logging.disable(logging.WARNING)  # it asks for preprocessing, which would hide what is to be met
    try:
        quantize_static(
            plain,
            path,
            Inputs(),
            quant_format=QuantFormat[encoding.form],
            per_channel=encoding.per_channel,
            activation_type=QuantType[encoding.activations],
            weight_type=QuantType[encoding.weights],
            extra_options=options,
        )
    finally:
        logging.disable(logging.NOTSET)
    return path
