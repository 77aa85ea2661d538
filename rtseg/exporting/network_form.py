"""Which form of a network is exported for which target: the one place that decides it.

A form has the logits of the network as written, up to rounding. What is fast on a CPU
(SegmentationNetwork.for_inference) can be slow on a GPU, so the compilers of NVIDIA's GPUs get a form of their own
(for_gpu).
"""

from __future__ import annotations

from rtseg.networks.spec import SegmentationNetwork
from rtseg.specs import Resolution

CPU_TARGET = "onnxruntime"
"""Whose form an export has that names no target. OpenVINO is given the same."""

GPU_TARGETS = frozenset({"tensorrt"})

CPU, GPU = "cpu", "gpu"


def form_for(network: SegmentationNetwork, target: str, resolution: Resolution) -> SegmentationNetwork:
    """Return the form of a network that serves a target of rtseg.specs.TARGETS at that size."""
    return network.for_gpu(resolution) if target in GPU_TARGETS else network.for_inference()


def written_for(network: SegmentationNetwork, target: str) -> str:
    """Return "gpu" or "cpu", whichever form serves the target, or "" where one form of the network serves all."""
    own, default = type(network), SegmentationNetwork
    if own.for_inference is default.for_inference and own.for_gpu is default.for_gpu:
        return ""
    return GPU if target in GPU_TARGETS else CPU
