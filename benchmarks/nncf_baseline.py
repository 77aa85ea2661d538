"""The way OpenVINO's own documentation goes: a network as it was trained, converted and quantised by NNCF.

Needs `pip install nncf`. Nothing of rtseg is in it but the network's definition: its labels interface (uint8 image in,
uint8 labels out, normalisation, upsampling and argmax in the graph) without any rewriting for inference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from rtseg.export.interfaces import interface_module
from rtseg.networks.prepared import PreparedNetwork
from rtseg.specs import Resolution

PRECISIONS = {"NNCF labels, openvino": "f32", "NNCF labels, openvino-bf16": "bf16"}
"""What everything that is not INT8 is computed in. OpenVINO takes bf16 by itself where the processor has it."""


def nncf_labels(network: PreparedNetwork, resolution: Resolution, scenes: Sequence[np.ndarray]) -> Any:
    """Return the openvino.Model of the network, quantised by NNCF with its defaults, calibrated on the scenes."""
    import nncf
    import openvino

    module, source = interface_module(network, "labels", resolution)
    model = openvino.convert_model(module, example_input=torch.zeros(source.shape, dtype=torch.uint8))
    model.reshape(list(source.shape))
    return nncf.quantize(model, nncf.Dataset([scene[None] for scene in scenes]), subset_size=len(scenes))


def nncf_steps(model: Any, image: np.ndarray, threads: int) -> dict[str, Callable[[], None]]:
    """Return a step for each precision, which reads the image and gives labels in OpenVINO's own memory."""
    import openvino

    core = openvino.Core()
    steps: dict[str, Callable[[], None]] = {}
    for way, precision in PRECISIONS.items():
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
            "ENABLE_CPU_PINNING": False,  # as the runner of rtseg, so that the ways do not keep each other off a core
        }
        request = core.compile_model(model, "CPU", options).create_infer_request()
        request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(image[None]), shared_memory=True))
        request.infer()
        steps[way] = request.infer
    return steps
