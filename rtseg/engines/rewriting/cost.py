"""The cost of a graph as TensorRT for RTX compiles it: kernels, bytes, multiply-accumulates, and one price of all."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import onnx

from rtseg.engines.inspector import parse_layers
from rtseg.engines.layer_audit import audit
from rtseg.engines.lowering.lower import lower
from rtseg.engines.lowering.versions import RTX, Capability
from rtseg.engines.progress import BuildProgress
from rtseg.engines.rtx_builder import build_rtx
from rtseg.engines.settings import BuildSettings
from rtseg.graphs.macs import macs_by_node
from rtseg.graphs.view import GraphView, attribute, node_name
from rtseg.runners.tensorrt.module import TensorRtRtx

BYTES_A_KERNEL = 1_000_000
"""Bytes that a card moves in the one or two microseconds that a kernel takes to start and end, at 500 to 1000 GB/s."""

BYTES_A_MAC = 0.02
"""Bytes that a card moves in the time of one multiply-accumulate: 2 operations at 70 to 165 TFLOPS beside 936 to
1010 GB/s (RTX 3090, RTX 4090), between 0.012 and 0.026."""


TENSOR_CORE_CHANNELS = 8
"""A tensor core multiplies this number of channels at once."""


@dataclass(frozen=True)
class Cost:
    """The cost of a compiled graph.

    kernels is the number of launches. bytes is what they read and write; a tensor that a kernel lists twice counts
    once. macs are the multiply-accumulates of the graph. core_macs are the same, with the channels of each convolution
    that is not grouped rounded up to what a tensor core takes.
    """

    kernels: int
    bytes: int
    macs: int
    core_macs: int

    @property
    def price(self) -> float:
        """Kernels, bytes and core_macs, converted to bytes. It compares two graphs; it is not a time."""
        return self.bytes + BYTES_A_KERNEL * self.kernels + BYTES_A_MAC * self.core_macs

    def __sub__(self, other: Cost) -> Cost:
        """Return the difference of the costs."""
        mine, theirs = asdict(self), asdict(other)
        return Cost(**{key: mine[key] - theirs[key] for key in mine})


def compiled_cost(trt: TensorRtRtx, model: onnx.ModelProto, precision: str, capability: Capability) -> Cost:
    """Return the cost of the graph, lowered to that precision and compiled for that compute capability alone.

    Raises what lower and build_rtx raise.
    """
    lowered = lower(model, precision, RTX, capabilities=(capability,))
    built = build_rtx(
        trt, lowered.model.SerializeToString(), (capability,), BuildSettings(), BuildProgress(), within="rewriting"
    )
    account = audit(parse_layers(built.layers)).account
    view = GraphView(model)
    macs = macs_by_node(view)
    core_macs = sum(_filled(view, node) * macs[node_name(node)] for node in view.nodes if node_name(node) in macs)
    return Cost(len(account.kernels), account.bytes - account.repeated_bytes, sum(macs.values()), round(core_macs))


def _filled(view: GraphView, node: onnx.NodeProto) -> float:
    """Return the ratio of the channels that a tensor core multiplies to those that the operator has."""
    if node.op_type != "Conv" or attribute(node, "group", 1) != 1:
        return 1
    channels = view.shape(node.input[1])[:2]
    filled = [math.ceil(count / TENSOR_CORE_CHANNELS) * TENSOR_CORE_CHANNELS for count in channels]
    return math.prod(filled) / math.prod(channels)
