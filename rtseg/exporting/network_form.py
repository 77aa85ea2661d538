"""Choose the form of a network that is exported for a target.

All forms give the logits of the network as written, up to rounding. The form that is fast on a CPU
(SegmentationNetwork.for_inference) can be slow on a GPU, so NVIDIA's compilers get another form (for_gpu).
"""

from __future__ import annotations

from rtseg.networks.spec import SegmentationNetwork
from rtseg.specs import Resolution

CPU_TARGET = "onnxruntime"
"""The target of an export that names none. OpenVINO gets the same form."""

GPU_TARGETS = frozenset({"tensorrt"})

CPU, GPU = "cpu", "gpu"


def form_for(network: SegmentationNetwork, target: str, resolution: Resolution) -> SegmentationNetwork:
    """Return the form of a network that serves a target of rtseg.specs.TARGETS at that size."""
    return network.for_gpu(resolution) if target in GPU_TARGETS else network.for_inference()


def written_for(network: SegmentationNetwork, target: str) -> str:
    """Return "gpu" or "cpu", the form for the target, or "" if the network has one form for all targets."""
    own, default = type(network), SegmentationNetwork
    if own.for_inference is default.for_inference and own.for_gpu is default.for_gpu:
        return ""
    return GPU if target in GPU_TARGETS else CPU
