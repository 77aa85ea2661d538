"""The way OpenVINO's own documentation goes: a network as it was trained, converted, and quantised by NNCF.

Needs `pip install nncf`. Nothing of rtseg is in it but the network's definition, in its labels interface: uint8 image
in, uint8 labels out, normalisation, upsampling and argmax in the graph, and no rewriting for inference.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rtseg.exporting.interfaces import interface_module
from rtseg.frame.segmenter import Segmenter
from rtseg.networks.prepared import PreparedNetwork
from rtseg.runners.openvino import OpenVinoRunner
from rtseg.specs import Resolution


class _ModelRunner(OpenVinoRunner):
    """Runs an openvino.Model with the options of any other file, so that only the model differs."""

    def __init__(self, model: Any, *, threads: int, precision: str) -> None:
        super().__init__("the model of NNCF", threads=threads, precision=precision)
        self._model = model

    def _read(self) -> Any:
        return self._model.clone()


def nncf_labels(network: PreparedNetwork, resolution: Resolution, images: Sequence[np.ndarray]) -> Any:
    """Return the openvino.Model of the network, quantised by NNCF with its defaults on images of that resolution."""
    import nncf
    import openvino

    module, source = interface_module(network, "labels", resolution)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, about sizes that are meant to be constants
        model = openvino.convert_model(module, example_input=torch.zeros(source.shape, dtype=torch.uint8))
    model.reshape(list(source.shape))
    for port, name in ((model.input(), source.name), (model.output(), "output")):
        port.get_tensor().set_names({name})
    return nncf.quantize(model, nncf.Dataset([image[None] for image in images]), subset_size=len(images))


def nncf_segmenter(
    network: PreparedNetwork, resolution: Resolution, model: Any, *, precision: str = "f32", threads: int = 0
) -> Segmenter:
    """Return the model as a segmenter. precision is that of what is not INT8; OpenVINO by itself takes bf16."""
    runner = _ModelRunner(model, threads=threads, precision=precision)
    return Segmenter(runner, network.image_spec(resolution), network.output_spec("labels"), threads=threads)
