"""What a graph costs as TensorRT for RTX compiles it: kernels, bytes and multiply-accumulates, and one price of all."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from rtseg.engines.inspector import parse_layers
from rtseg.engines.layer_audit import audit
from rtseg.engines.lowering.lower import lower
from rtseg.engines.lowering.versions import RTX, Capability
from rtseg.engines.progress import BuildProgress
from rtseg.engines.rtx_builder import build_rtx
from rtseg.engines.settings import BuildSettings
from rtseg.graphs.macs import macs_by_node
from rtseg.graphs.view import GraphView
from rtseg.runners.tensorrt.module import TensorRtRtx

BYTES_A_KERNEL = 1_000_000
"""What a card moves in the one or two microseconds that a kernel takes to begin and to end, at 500 to 1000 GB/s."""

BYTES_A_MAC = 0.02
"""What a card moves while it multiplies once: 2 operations at 70 to 165 TFLOPS beside 936 to 1010 GB/s (RTX 3090,
RTX 4090), between 0.012 and 0.026."""


@dataclass(frozen=True)
class Cost:
    """Kernels, bytes that they read and write (one that a kernel lists twice counts once), multiply-accumulates."""

    kernels: int
    bytes: int
    macs: int

    @property
    def price(self) -> float:
        """All three as bytes: an order of two graphs, no time."""
        return self.bytes + BYTES_A_KERNEL * self.kernels + BYTES_A_MAC * self.macs

    def pays_beside(self, other: Cost) -> bool:
        """Return whether this is to be preferred to the other: a lower price, and not a byte more."""
        return self.bytes <= other.bytes and self.price < other.price

    def __sub__(self, other: Cost) -> Cost:
        """Return what this costs more than the other."""
        return Cost(self.kernels - other.kernels, self.bytes - other.bytes, self.macs - other.macs)


def compiled_cost(trt: TensorRtRtx, model: onnx.ModelProto, precision: str, capability: Capability) -> Cost:
    """Return what the graph costs, lowered to that precision and compiled for that compute capability alone.

    Raises what lower and build_rtx raise.
    """
    lowered = lower(model, precision, RTX, capabilities=(capability,))
    built = build_rtx(
        trt, lowered.model.SerializeToString(), (capability,), BuildSettings(), BuildProgress(), within="rewriting"
    )
    account = audit(parse_layers(built.layers)).account
    macs = sum(macs_by_node(GraphView(model)).values())
    return Cost(len(account.kernels), account.bytes - account.repeated_bytes, macs)
