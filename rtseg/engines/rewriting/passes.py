"""The passes in the order in which they are tried, and the passes of each compiler.

The first operators come first, because the other passes depend on what reads the picture. Passes that create and move
convolutions follow, then sums and reductions, then the labels. Parts of a Concat come last: by then, the operators
that compute each part must be final.
"""

from __future__ import annotations

from rtseg.engines.lowering.versions import Capability
from rtseg.engines.rewriting.average_pools import AVERAGE_POOLS_AS_CONVOLUTIONS
from rtseg.engines.rewriting.channel_last_reductions import CHANNEL_REDUCTIONS, GLOBAL_REDUCTIONS, STRIP_REDUCTIONS
from rtseg.engines.rewriting.choice import Rewriter, rewritten
from rtseg.engines.rewriting.composed_convolutions import COMPOSED_CONVOLUTIONS
from rtseg.engines.rewriting.convolutions_before_resize import CONVOLUTIONS_BEFORE_RESIZE
from rtseg.engines.rewriting.gathered_resizes import GATHERED_RESIZES
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.labels_by_comparison import LABELS_BY_COMPARISON
from rtseg.engines.rewriting.moved_parts import MOVED_PARTS
from rtseg.engines.rewriting.nested_reductions import NESTED_REDUCTIONS
from rtseg.engines.rewriting.parametric_relus import PARAMETRIC_RELUS
from rtseg.engines.rewriting.picture_pools import PICTURE_POOLS
from rtseg.engines.rewriting.product_order import PRODUCT_ORDER
from rtseg.engines.rewriting.quartered_stem import QUARTERED_STEM
from rtseg.engines.rewriting.residual_gates import RESIDUAL_GATES
from rtseg.engines.rewriting.rtx_choice import rewritten_for_rtx
from rtseg.engines.rewriting.summed_convolutions import SUMMED_CONVOLUTIONS
from rtseg.engines.rewriting.sums_before_resize import SUMS_BEFORE_RESIZE
from rtseg.engines.rewriting.through_concat import THROUGH_CONCAT
from rtseg.engines.rewriting.transposed_convolutions import TRANSPOSED_CONVOLUTIONS
from rtseg.observer import SILENT, Observer
from rtseg.runners.tensorrt.module import TensorRtRtx

PASSES: tuple[GraphPass, ...] = (
    QUARTERED_STEM,
    PICTURE_POOLS,
    THROUGH_CONCAT,
    AVERAGE_POOLS_AS_CONVOLUTIONS,
    PARAMETRIC_RELUS,
    TRANSPOSED_CONVOLUTIONS,
    COMPOSED_CONVOLUTIONS,
    SUMS_BEFORE_RESIZE,
    CONVOLUTIONS_BEFORE_RESIZE,
    SUMMED_CONVOLUTIONS,
    GATHERED_RESIZES,
    NESTED_REDUCTIONS,
    PRODUCT_ORDER,
    RESIDUAL_GATES,
    STRIP_REDUCTIONS,
    GLOBAL_REDUCTIONS,
    CHANNEL_REDUCTIONS,
    LABELS_BY_COMPARISON,
    MOVED_PARTS,
)


def rtx_rewriter(trt: TensorRtRtx, precision: str, capability: Capability, observer: Observer = SILENT) -> Rewriter:
    """Return a rewriter with the passes that lower the cost in TensorRT for RTX (rtx_choice.rewritten_for_rtx)."""
    return lambda model: rewritten_for_rtx(trt, model, precision, capability, PASSES, observer)


def carried_over_rewriter() -> Rewriter:
    """Return a rewriter with the passes that should also help TensorRT. It compiles nothing."""
    return lambda model: rewritten(model, [entry for entry in PASSES if entry.carries_over])
