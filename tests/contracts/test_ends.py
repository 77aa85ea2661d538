"""What holds for every runner's frames of one channel and of letterboxed images: labels are those that FP64 gives."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from rtseg.artifacts.manifest import read_manifest
from rtseg.exporting.interfaces import interface_module
from rtseg.frame.geometry import resize_labels
from rtseg.frame.segmenter import Segmenter
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.spec import SegmentationNetwork
from rtseg.runners.loading import load
from rtseg.runners.torch import TorchRunner
from rtseg.specs import INTERFACES
from tests.emulated_gpu.driver import RTX_4090
from tests.emulated_gpu.graphs import STRIDE, write_graph
from tests.emulated_gpu.machine import EmulatedMachine
from tests.frame.references import beside_threshold, fitted_tensor, lost_by, placed, scores_at
from tests.native.kernels_on_cpu import KernelsOnCpu

BACKENDS = ("torch", "onnxruntime", "openvino", "tensorrt", "tensorrt-rtx")
ENDS: dict[str, dict[str, Any]] = {
    "threshold": {"threshold": 0.5},
    "letterbox": {"fit": "letterbox", "padding": 30},
    "both": {"threshold": 0.45, "fit": "letterbox"},
}
SIZES = [(64, 96), (50, 40), (31, 200)]
TIE = 1e-4
"""Of a score: runners add up in other orders, and scores are at most about 5."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, kernels_on_cpu: KernelsOnCpu) -> Iterator[EmulatedMachine]:
    with pytest.MonkeyPatch.context() as patch:
        yield EmulatedMachine(patch, kernels_on_cpu, tmp_path_factory.mktemp("ends"), rtx="rtx-1.7", device=RTX_4090)


@pytest.fixture(scope="module", params=[(e, i) for e in ENDS for i in INTERFACES], ids="-".join)
def graph(request: pytest.FixtureRequest, machine: EmulatedMachine) -> Path:
    ends, interface = request.param
    return write_graph(machine.folder / f"{ends}.{interface}.onnx", interface, **ENDS[ends])


class OneConvolution(SegmentationNetwork):
    """The network of those files in PyTorch."""

    stride = STRIDE

    def __init__(self, weight: np.ndarray, *, sigmoid: bool) -> None:
        super().__init__()
        self.weight, self.sigmoid = torch.nn.Parameter(torch.from_numpy(weight.copy())), sigmoid

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = torch.nn.functional.conv2d(images, self.weight, stride=STRIDE)
        return torch.sigmoid(logits) if self.sigmoid else logits


def opened(graph: Path, backend: str, machine: EmulatedMachine) -> Segmenter:
    if backend == "onnxruntime":
        return load(graph, runner=backend, threads=1)
    if backend == "openvino":
        if find_spec("openvino") is None:
            pytest.skip("openvino is not installed")
        return load(graph, runner=backend, threads=1)
    if backend == "torch":
        manifest = read_manifest(graph, kind="onnx")
        output = manifest.output
        weight = numpy_helper.to_array(onnx.load(graph).graph.initializer[0])
        module = OneConvolution(weight, sigmoid=output.threshold is not None)
        network = PreparedNetwork(
            "", module.eval(), output.classes, manifest.image.normalization, "", threshold=output.threshold
        )
        runner = TorchRunner(*interface_module(network, output.interface, manifest.image.resolution))
        return Segmenter(runner, manifest.image, output, threads=1)
    return load(machine.engine(graph) if backend == "tensorrt" else machine.rtx_engine(graph))


def expected_scores(graph: Path, image: np.ndarray) -> np.ndarray:
    """Return the scores of the image's pixels, for a graph that gives labels those of its own size."""
    manifest = read_manifest(graph, kind="onnx")
    tensor = fitted_tensor(image, manifest.image)
    given = tensor[None]
    if manifest.output.interface == "labels":
        mean, std = (np.array(v, np.float32)[:, None, None] for v in (manifest.image.mean, manifest.image.std))
        given = np.rint((tensor * std + mean) / manifest.image.scale).astype(np.uint8).transpose(1, 2, 0)[None]
    model = onnx.load(graph)
    if manifest.output.interface == "labels":
        model.graph.output.append(onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    logits = session.run(None, {"image": given})[-1][0]
    if manifest.output.threshold is not None:
        logits = beside_threshold(logits, manifest.output.threshold)
    if manifest.output.interface == "labels":
        whole = placed(manifest.image, manifest.image.height, manifest.image.width)
        return scores_at(logits, whole, (manifest.image.height, manifest.image.width), False)
    return scores_at(logits, placed(manifest.image, *image.shape[:2]), image.shape[:2], False)


def picture(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(height).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, 0).repeat(8, 1)[:height, :width])


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_labels_of_a_frame_of_any_size_are_those_of_fp64(
    graph: Path, backend: str, machine: EmulatedMachine
) -> None:
    with opened(graph, backend, machine) as segmenter:
        for height, width in SIZES:
            image = picture(height, width)
            labels, scores = segmenter(image), expected_scores(graph, image)
            assert (labels.dtype, labels.shape) == (np.uint8, (height, width))
            assert 0.02 < (labels == labels[0, 0]).mean() < 0.98
            if segmenter.output.interface == "labels":
                wanted = resize_labels(placed(segmenter.image, height, width).cut(scores.argmax(0)), height, width)
                assert (labels != wanted).mean() <= 0.002
            else:
                assert lost_by(labels, scores) <= TIE
            step = segmenter.bind(image)
            step()
            np.testing.assert_array_equal(step.labels, labels)
            np.testing.assert_array_equal(segmenter.with_overlay(image)[0], labels)
