"""The passes, in the order in which they are tried, and which compiler gets which of them."""

from __future__ import annotations

from rtseg.engines.lowering.versions import Capability
from rtseg.engines.rewriting.choice import Rewriter, rewritten
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.rtx_choice import rewritten_for_rtx
from rtseg.runners.tensorrt.module import TensorRtRtx

PASSES: tuple[GraphPass, ...] = ()


def rtx_rewriter(trt: TensorRtRtx, precision: str, capability: Capability) -> Rewriter:
    """Return what applies the passes that pay in TensorRT for RTX (rtx_choice.rewritten_for_rtx)."""
    return lambda model: rewritten_for_rtx(trt, model, precision, capability, PASSES)


def carried_over_rewriter() -> Rewriter:
    """Return what applies the passes whose reasons hold for TensorRT too, without compiling anything."""
    return lambda model: rewritten(model, [entry for entry in PASSES if entry.carries_over])
