"""The stages on a file with one channel for its two classes, whose images are letterboxed."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import rtseg
from rtseg.accuracy.validation import measured_accuracy
from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.manifest import read_manifest, write_manifest
from rtseg.datasets.labelled import LabelledImage
from rtseg.exporting.onnx_file import export_onnx
from rtseg.images.label_png import read_label_png
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.spec import SegmentationNetwork
from rtseg.specs import INTERFACES, TARGETS, ClassSpec, Normalization, Resolution, contract_metadata

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")

CLASSES = ClassSpec("", ("background", "foreground"), ((0, 0, 0), (255, 0, 0)))
SIZES = [(64, 96), (50, 60), (40, 120), (130, 70)]


class Probability(SegmentationNetwork):
    """Enough channels for INT8, and a sigmoid at the end."""

    stride = 4

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU())
        self.head = nn.Conv2d(32, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return torch.sigmoid(8 * self.head(self.body(images)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each interface, and pictures of several sizes."""
    made = tmp_path_factory.mktemp("ends")
    torch.manual_seed(3)
    network = PreparedNetwork("probability", Probability().eval(), CLASSES, Normalization(), "random", threshold=0.4)
    for interface in INTERFACES:
        path = made / f"{interface}.onnx"
        export_onnx(network, Resolution(64, 96), path, interface=interface)
        letterboxed(path)
    (made / "pictures").mkdir()
    for index in range(len(SIZES)):
        cv2.imwrite(str(made / "pictures" / f"{index}.png"), picture(index)[..., ::-1])
    return made


def letterboxed(path: Path) -> None:
    """Let the file say that its images are letterboxed: an export says that they are stretched."""
    manifest = read_manifest(path, kind="onnx")
    image = replace(manifest.image, fit="letterbox", padding=0)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, contract_metadata(image, manifest.output))
    onnx.save(model, path)
    write_manifest(path, replace(manifest, image=image))


def picture(index: int) -> np.ndarray:
    height, width = SIZES[index]
    coarse = np.random.default_rng(index).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, 0).repeat(8, 1)[:height, :width])


@pytest.fixture(scope="module")
def pictures(folder: Path) -> str:
    return f"images:{folder / 'pictures'}"


@pytest.fixture(scope="module")
def table(folder: Path, pictures: str) -> Artifact | object:
    return rtseg.calibrate(folder / "logits.onnx", pictures, images=len(SIZES), threads=1)


class FoundBefore:
    """Pictures whose truth is what a segmenter found, but for one row that it did not."""

    classes = CLASSES

    def __init__(self, segmenter) -> None:
        self._segmenter = segmenter

    def __len__(self) -> int:
        return len(SIZES)

    def __getitem__(self, index: int) -> LabelledImage:
        image = picture(index)
        labels = self._segmenter(image).copy()
        labels[0] = 1 - labels[0]
        return LabelledImage(str(index), image, labels)


@pytest.mark.parametrize("interface", INTERFACES)
def test_run_writes_labels_of_the_pictures_own_sizes(folder: Path, tmp_path: Path, interface: str) -> None:
    path = folder / f"{interface}.onnx"
    rtseg.run(path, [folder / "pictures"], tmp_path / "labelled", threads=1)
    with rtseg.load(path, threads=1) as segmenter:
        for index, size in enumerate(SIZES):
            labels = read_label_png(tmp_path / "labelled" / f"{index}_labels.png")
            assert labels.shape == size
            np.testing.assert_array_equal(labels, segmenter(picture(index)))


@pytest.mark.parametrize("interface", INTERFACES)
def test_accuracy_counts_two_classes(folder: Path, interface: str) -> None:
    with rtseg.load(folder / f"{interface}.onnx", threads=1) as segmenter:
        result = measured_accuracy(segmenter, FoundBefore(segmenter))
    assert result.class_names == ("background", "foreground")
    wrong = sum(width for _, width in SIZES)
    assert result.pixel_accuracy == pytest.approx(1 - wrong / sum(height * width for height, width in SIZES))


@pytest.mark.parametrize("interface", ["scores", "labels"])
def test_the_interfaces_agree_but_for_where_they_are_interpolated(folder: Path, pictures: str, interface: str) -> None:
    result = rtseg.validate(folder / f"{interface}.onnx", pictures, against=folder / "logits.onnx", threads=1)
    assert result.comparison.agreement.share > 0.9


@pytest.mark.parametrize("target", TARGETS)
def test_int8_for_every_target_keeps_the_contract_and_most_labels(
    folder: Path, pictures: str, table, tmp_path: Path, target: str
) -> None:
    made = rtseg.quantize(folder / "logits.onnx", table, tmp_path / "int8.onnx", target=target)
    assert made.artifact.manifest.output.threshold == 0.4
    assert made.artifact.manifest.image.fit == "letterbox"
    result = rtseg.validate(made, pictures, against=folder / "logits.onnx", threads=1)
    assert result.comparison.agreement.share > 0.95


@pytest.mark.parametrize("interface", INTERFACES)
def test_fp16_keeps_the_contract_and_most_labels(folder: Path, pictures: str, tmp_path: Path, interface: str) -> None:
    made = rtseg.quantize(folder / f"{interface}.onnx", None, tmp_path / "fp16.onnx", to="fp16")
    assert made.artifact.manifest.output.threshold == 0.4
    result = rtseg.validate(made, pictures, against=folder / f"{interface}.onnx", threads=1)
    assert result.comparison.agreement.share > 0.99


def test_the_losses_of_blocks_are_measured(folder: Path, pictures: str, table) -> None:
    result = rtseg.sensitivity(folder / "logits.onnx", table, pictures, limit=2, threads=1)
    assert result.to_json()


def require_same_labels(graph: Path, stored: object) -> None:
    with rtseg.load(graph, runner="openvino", threads=1) as one, rtseg.load(stored, threads=1) as other:
        for index in range(len(SIZES)):
            np.testing.assert_array_equal(other(picture(index)), one(picture(index)))


@needs_openvino
@pytest.mark.parametrize("interface", INTERFACES)
def test_what_openvino_stores_gives_the_same_labels(folder: Path, tmp_path: Path, interface: str) -> None:
    graph = folder / f"{interface}.onnx"
    made = rtseg.build(graph, tmp_path / "m.xml", runtime="openvino")
    assert (made.artifact.manifest.image.fit, made.artifact.manifest.output.threshold) == ("letterbox", 0.4)
    require_same_labels(graph, made)


@needs_openvino
def test_what_openvino_stores_of_int8_gives_the_same_labels(folder: Path, table, tmp_path: Path) -> None:
    graph = rtseg.quantize(folder / "logits.onnx", table, tmp_path / "int8.onnx", target="openvino").artifact.path
    require_same_labels(graph, rtseg.build(graph, runtime="openvino"))


def test_frames_and_the_engine_are_timed(folder: Path) -> None:
    result = rtseg.bench([folder / "logits.onnx", folder / "labels.onnx"], seconds=0.02)
    assert [row["boundary"] for row in result.rows] == ["engine", "frame", "frame"]
    assert all(row["summary"] is not None for row in result.rows)
