"""Remove the last Resize of somebody else's network from the file of its logits, because rtseg upsamples logits itself.

Many networks end with F.interpolate to the size of the picture. In a file of logits that work is wasted: the
postprocessing (frame.tail) upsamples by the same rule and takes the argmax, without storing scores for every pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rtseg.errors import RunnerError
from rtseg.exporting.simplify import drop_unused, keep_nodes
from rtseg.frame.protocol import Array, Runner, Step, TensorSpec
from rtseg.graphs.canonical import IR_VERSION, OPSET
from rtseg.graphs.view import GraphView, attribute
from rtseg.networks.outputs import stride_of
from rtseg.runners.onnxruntime import InMemoryModel
from rtseg.specs import OutputSpec, Resolution

_ALIGN_CORNERS = {"align_corners": True, "half_pixel": False, "pytorch_half_pixel": False}
"""The values of coordinate_transformation_mode that F.interpolate has (ONNX operator Resize)."""


@dataclass(frozen=True)
class LastResize:
    """A Resize from logits to the size of the picture: the logits, their shape and stride, and the rule."""

    logits: str
    shape: tuple[int, ...]
    stride: int
    align_corners: bool

    def note(self, network: str, resolution: Resolution) -> str:
        """Return a sentence that says what the file has instead, and how to get the network's own output."""
        rule = f"align_corners {'true' if self.align_corners else 'false'}"
        return (
            f"{network} ends with a Resize of its logits from {self.shape[2]}x{self.shape[3]} to {resolution}: "
            f"the file gives them at stride {self.stride}, and rtseg upsamples them by the same rule ({rule}). "
            "--interface scores keeps the Resize"
        )

    def contract(self, output: OutputSpec) -> OutputSpec:
        """Return the contract of the logits, given the one of the network's own output."""
        return replace(output, interface="logits", stride=self.stride, align_corners=self.align_corners)


def last_resize(model: onnx.ModelProto, resolution: Resolution) -> LastResize | None:
    """Return the Resize that a graph of that size ends with, if rtseg upsamples exactly as it does; else None.

    It must be linear, by a whole factor that is one of rtseg's strides, and the same in both directions.
    """
    view = GraphView(model)
    node = view.producer(view.output)
    if node is None or node.op_type != "Resize" or view.producer(node.input[0]) is None:
        return None
    rule = attribute(node, "coordinate_transformation_mode", b"half_pixel").decode()
    if attribute(node, "mode", b"nearest") != b"linear" or rule not in _ALIGN_CORNERS:
        return None
    shape, written = view.shape(node.input[0]), view.shape(view.output)
    stride = stride_of(shape, written[1], resolution)
    full = (resolution.height, resolution.width)
    if stride in (None, 1) or written[2:] != full or tuple(side * stride for side in shape[2:]) != full:
        return None
    scales = view.constant(node.input[2]) if view.is_constant(node.input[2]) else np.zeros(0)
    if scales.size and scales.tolist() != [1, 1, stride, stride]:
        return None
    return LastResize(node.input[0], shape, stride, _ALIGN_CORNERS[rule])


def without_last_resize(model: onnx.ModelProto, last: LastResize, metadata: Mapping[str, str]) -> None:
    """Change the graph, in place, so that it ends with the logits, under the name of its output.

    metadata are the contracts that it then has.
    """
    graph = model.graph
    output = graph.output[0].name
    keep_nodes(model, [node for node in graph.node if output not in node.output])
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [output if name == last.logits else name for name in names]
    sides = graph.output[0].type.tensor_type.shape
    del sides.dim[:]
    for side in last.shape:
        sides.dim.add().dim_value = side
    drop_unused(model)
    helper.set_model_props(model, dict(metadata))


class Upsampled(Runner):
    """A runner of logits whose output is upsampled by ONNX Runtime, to compare it with the network's own."""

    def __init__(self, runner: Runner, resolution: Resolution, *, align_corners: bool) -> None:
        super().__init__()
        self._runner, self._size = runner, (resolution.height, resolution.width)
        self._align_corners = align_corners
        self._resize: InMemoryModel | None = None
        self.backend, self.device = runner.backend, runner.device

    @property
    def input(self) -> TensorSpec:
        """The input of the other runner."""
        return self._runner.input

    @property
    def output(self) -> TensorSpec:
        """The upsampled logits, float32 (1, classes, height, width)."""
        other = self._runner.output
        return TensorSpec(other.name, (*other.shape[:2], *self._size), other.dtype)

    def _load(self) -> None:
        self._runner.open()
        self._resize = InMemoryModel(self._graph().SerializeToString(), "a Resize")

    def _free(self) -> None:
        self._runner.close()
        self._resize = None

    def _infer(self, array: Array) -> Array:
        assert self._resize is not None
        logits = np.ascontiguousarray(self._runner.infer(array))
        scores: Array = self._resize.run(["scores"], {"logits": logits})[0]
        return scores

    def _graph(self) -> onnx.ModelProto:
        """Return a graph of that Resize alone."""
        rule = "align_corners" if self._align_corners else "half_pixel"
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("logits", self._runner.output.shape), ("scores", self.output.shape))
        ]
        sizes = numpy_helper.from_array(np.array(self.output.shape, np.int64), "sizes")
        node = helper.make_node(
            "Resize",
            ["logits", "", "", "sizes"],
            ["scores"],
            mode="linear",
            coordinate_transformation_mode=rule,
        )
        graph = helper.make_graph([node], "upsampled", ends[:1], ends[1:], [sizes])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def _bind(self, array: Array) -> Step:
        raise RunnerError("upsampled logits are for comparison only")
