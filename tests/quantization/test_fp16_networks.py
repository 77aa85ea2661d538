"""Every registered network in FP16; the cheap ones always, all of them with -m slow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from rtseg.datasets.registry import class_spec, open_dataset
from rtseg.exporting.onnx_file import export_onnx
from rtseg.networks.checkpoints import network_from_checkpoint
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.registry import network_names
from rtseg.quantization.fp16 import to_fp16
from rtseg.quantization.fp16_constants import with_unit_variance
from rtseg.specs import Resolution
from tests.quantization.fp16_graphs import FLOAT, operators, ran, require_sound

SMALL = Resolution(64, 96)
QUICK = ("affnet", "enet", "espnet", "mlff")
"""Between them: every operator of the registered networks but Softmax."""

SAME_LABELS = 0.995
TRAINED = Path(__file__).parents[2] / "export" / "checkpoints" / "affnet-streets.safetensors"

pytestmark = pytest.mark.usefixtures("one_core")


def require_half(name: str, interface: str, path: Path) -> None:
    network = network_with_random_weights(name, class_spec("camvid"), seed=1)
    export_onnx(network, SMALL, path, interface=interface)
    model = onnx.load(path)
    half = to_fp16(model)
    require_sound(half, model)
    assert set(half.precisions.values()) <= {"fp16", "fp32"}
    assert sum(kind == "fp16" for kind in half.precisions.values()) > 0.95 * len(half.precisions)
    assert half.casts <= 3
    assert len(half.model.SerializeToString()) < 0.55 * len(model.SerializeToString())
    random = np.random.default_rng(3)
    if interface == "labels":
        pixels = random.integers(0, 256, (1, 64, 96, 3), np.uint8)
        assert ran(half.model, pixels).dtype == np.uint8
        return
    array = random.standard_normal((1, 3, 64, 96), np.float32)
    got, expected = ran(half.model, array), ran(model, array)
    assert got.dtype == np.float32
    # Sixty layers of random weights multiply every rounding, up to a tenth of the logits in PSPNet. So the measure is
    # what rounding the weights and the input does to the FP32 graph.
    unavoidable = np.abs(ran(with_rounded_weights(model), as_half(array)) - expected).mean()
    assert np.abs(got - expected).mean() < 2 * unavoidable + 1e-3 * np.abs(expected).mean()


def as_half(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values.astype(np.float16).astype(np.float32)


def with_rounded_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    rounded = with_unit_variance(model)
    for entry in rounded.graph.initializer:
        if entry.data_type == FLOAT:
            entry.CopyFrom(numpy_helper.from_array(as_half(numpy_helper.to_array(entry)), entry.name))
    return rounded


@pytest.mark.parametrize("name", QUICK)
def test_a_network_in_fp16_is_sound_and_computes_the_same(name: str, tmp_path: Path) -> None:
    require_half(name, "logits", tmp_path / "network.onnx")


def test_the_labels_interface_in_fp16_takes_and_gives_bytes(tmp_path: Path) -> None:
    require_half("affnet", "labels", tmp_path / "network.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("interface", ["logits", "scores", "labels"])
@pytest.mark.parametrize("name", network_names())
def test_every_network_and_interface_in_fp16(name: str, interface: str, tmp_path: Path) -> None:
    require_half(name, interface, tmp_path / "network.onnx")


def test_trained_weights_label_pictures_the_same(tmp_path: Path) -> None:
    network = network_from_checkpoint(TRAINED)
    export_onnx(network, Resolution(192, 256), tmp_path / "network.onnx", interface="labels")
    model = onnx.load(tmp_path / "network.onnx")
    half = to_fp16(model)
    assert operators(half.model).count("Cast") == 2 + half.casts
    dataset = open_dataset("streets", "val")
    for index in range(2):
        pixels = np.ascontiguousarray(dataset[index].image[:192, :256])[None]
        expected = ran(model, pixels)
        assert len(np.unique(expected)) > 2
        assert np.mean(ran(half.model, pixels) == expected) > SAME_LABELS
