"""Small graphs by hand, the ranges of their tensors, and what a placement says, in words a test can compare."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtseg.calibration.table import TensorRange
from rtseg.graphs.canonical import require_canonical
from rtseg.graphs.view import GraphView, node_name
from rtseg.quantization.insertion import ENCODINGS, with_pairs
from rtseg.quantization.placement import Placement
from rtseg.quantization.targets import placement_for

TARGETS = ("tensorrt", "onnxruntime", "openvino")


class Sketch:
    """A graph written operator by operator, from "image" on. A tensor has the name of the operator that gives it."""

    def __init__(self, channels: int = 16, height: int = 8, width: int = 8) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {"image": (1, channels, height, width)}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)

    def conv(
        self,
        name: str,
        source: str,
        outputs: int = 16,
        kernel: int | tuple[int, int] = 3,
        *,
        group: int = 1,
        bias: bool = True,
        faint_channel: bool = False,
    ) -> str:
        """A convolution that keeps height and width."""
        inputs = self.shapes[source][1]
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        weight = self._random.standard_normal((outputs, inputs // group, *sides)).astype(np.float32)
        weight /= np.float32(np.prod(weight.shape[1:]) ** 0.5)
        if faint_channel:
            weight[0] *= 1e-7
        constants = [self.constant(f"{name}.weight", weight)]
        if bias:
            values = 0.1 * self._random.standard_normal(outputs)
            constants.append(self.constant(f"{name}.bias", values.astype(np.float32)))
        pads = [sides[0] // 2, sides[1] // 2] * 2
        shape = (1, outputs, *self.shapes[source][2:])
        return self.apply("Conv", name, source, *constants, shape=shape, group=group, pads=pads)

    def apply(self, operator: str, name: str, *sources: str, shape: Sequence[int] = (), **attributes: Any) -> str:
        """Any operator; its shape is that of its first source where none is given."""
        self._nodes.append(helper.make_node(operator, sources, [name], name=f"/{name}", **attributes))
        self.shapes[name] = tuple(shape or self.shapes[sources[0]])
        return name

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self._constants.append(numpy_helper.from_array(value, name))
        self.shapes[name] = value.shape
        return name

    def relu(self, name: str, source: str) -> str:
        return self.apply("Relu", name, source)

    def concat(self, name: str, *sources: str) -> str:
        first = self.shapes[sources[0]]
        channels = sum(self.shapes[source][1] for source in sources)
        return self.apply("Concat", name, *sources, shape=(1, channels, *first[2:]), axis=1)

    def pool(self, name: str, source: str, operator: str = "MaxPool") -> str:
        """A 3x3 pooling that keeps height and width."""
        return self.apply(operator, name, source, kernel_shape=[3, 3], pads=[1, 1, 1, 1])

    def global_pool(self, name: str, source: str) -> str:
        return self.apply("GlobalAveragePool", name, source, shape=(*self.shapes[source][:2], 1, 1))

    def resize(self, name: str, source: str, factor: int = 2) -> str:
        shape = self.shapes[source]
        result = (*shape[:2], shape[2] * factor, shape[3] * factor)
        sizes = self.constant(f"{name}.sizes", np.array(result, np.int64))
        return self.apply(
            "Resize",
            name,
            source,
            "",
            "",
            sizes,
            shape=result,
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def reshape(self, name: str, source: str, *shape: int) -> str:
        return self.apply("Reshape", name, source, self.constant(f"{name}.shape", np.array(shape)), shape=shape)

    def model(self, output: str) -> onnx.ModelProto:
        """The canonical model with that output; what else was written stays in it."""
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name]) for name in ("image", output)]
        graph = helper.make_graph(self._nodes, "sketch", ends[:1], ends[1:], self._constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        require_canonical(made, "the sketch")
        return made


def placed(model: onnx.ModelProto, target: str = "tensorrt", excluded: Collection[str] = ()) -> Placement:
    return placement_for(target, GraphView(model), [f"/{name}" for name in excluded])


def read_in_int8(placement: Placement) -> set[str]:
    """Return "tensor > operator" for each reading of an activation that goes through its pair."""
    return {f"{tensor} > {use.node[1:]}" for tensor, uses in placement.uses.items() for use in uses}


def left(placement: Placement) -> dict[str, str]:
    return {name[1:]: reason for name, reason in placement.left.items()}


def session(model: onnx.ModelProto, *, optimized: bool = True, written: str = "") -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if written:
        options.optimized_model_filepath = written
    return ort.InferenceSession(
        model.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["WeightBiasQuantization"],
    )


def ran(model: onnx.ModelProto, array: NDArray[Any], *, optimized: bool = True) -> NDArray[Any]:
    live = session(model, optimized=optimized)
    return live.run(None, {live.get_inputs()[0].name: array})[0]  # type: ignore[no-any-return]


def images(model: onnx.ModelProto, count: int = 1, seed: int = 0) -> list[NDArray[np.float32]]:
    view = GraphView(model)
    random = np.random.default_rng(seed)
    return [random.standard_normal(view.shape(view.input), np.float32) for _ in range(count)]


def measured_ranges(
    model: onnx.ModelProto, arrays: Sequence[NDArray[Any]], *, slack: float = 1.0
) -> dict[str, TensorRange]:
    """Return the range of each activation over the arrays, as ONNX Runtime computes them."""
    view = GraphView(model)
    names = [name for name in view.activations() if name != view.input]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, view.shape(name)) for name in names
    )
    live = session(watched, optimized=False)
    seen = [[array, *live.run(names, {view.input: array})] for array in arrays]
    ranges = {}
    for name, values in zip([view.input, *names], zip(*seen)):
        low, high = float(np.min(values)), float(np.max(values))
        ranges[name] = TensorRange(max(slack * max(-low, high), 1e-6), low, high)
    return ranges


def quantized(
    model: onnx.ModelProto,
    target: str = "tensorrt",
    *,
    ranges: Mapping[str, TensorRange] | None = None,
    excluded: Collection[str] = (),
) -> onnx.ModelProto:
    """Return the model with pairs; its ranges are measured on four random images unless given."""
    placement = placement_for(target, GraphView(model), [f"/{name}" for name in excluded])
    known = measured_ranges(model, images(model, 4)) if ranges is None else ranges
    result = with_pairs(GraphView(model), placement, known, ENCODINGS[target])
    require_canonical(result, "the quantised sketch")
    return result


def without_pairs(model: onnx.ModelProto, original: onnx.ModelProto) -> onnx.ModelProto:
    """Return the quantised model with every pair taken out again, and the original's constants."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    read_instead = {
        name: name.removesuffix("_dequantized")
        for node in model.graph.node
        for name in node.output
        if node.op_type == "DequantizeLinear"
    }
    kept = [node for node in bare.graph.node if node.op_type not in ("QuantizeLinear", "DequantizeLinear")]
    for node in kept:
        for position, name in enumerate(node.input):
            node.input[position] = read_instead.get(name, name)
    for node in kept:  # integers of a bias are named after the operator
        for position, name in enumerate(node.input):
            if name == f"{node_name(node)}_bias":
                source = next(other for other in original.graph.node if other.output == node.output)
                node.input[position] = source.input[position]
    del bare.graph.node[:]
    bare.graph.node.extend(kept)
    del bare.graph.initializer[:]
    bare.graph.initializer.extend(original.graph.initializer)
    return bare


def relative_error(result: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the root mean square of the difference over that of what is expected."""
    return float(np.sqrt(np.mean((result - expected) ** 2)) / max(np.sqrt(np.mean(expected**2)), 1e-12))
