from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F

from rtseg.artifacts import manifest_path, read_manifest, write_manifest
from rtseg.datasets.registry import Streets, class_spec
from rtseg.errors import ImageError, ManifestError, RunnerError, SpecError
from rtseg.export.interfaces import interface_module
from rtseg.export.onnx_file import export_onnx
from rtseg.images.palette import overlay
from rtseg.networks.prepared import PreparedNetwork, network_with_random_weights
from rtseg.runners.torch import TorchRunner
from rtseg.segmenter import Segmenter, load
from rtseg.specs import Resolution

SIZE = Resolution(64, 96)
INTERFACES = ("logits", "scores", "labels")

SAME_LABELS = 0.999
"""Share of pixels: two classes that tie to within float32 rounding may go either way."""


pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture(scope="module")
def affnet() -> PreparedNetwork:
    return network_with_random_weights("affnet", class_spec("camvid"), seed=5)


@pytest.fixture(scope="module")
def files(affnet: PreparedNetwork, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One exported file for each interface."""
    folder = tmp_path_factory.mktemp("exports")
    paths = {interface: folder / f"affnet.{interface}.onnx" for interface in INTERFACES}
    for interface, path in paths.items():
        export_onnx(affnet, SIZE, path, interface=interface)
    return paths


@pytest.fixture(params=INTERFACES)
def segmenter(request: pytest.FixtureRequest, files: dict[str, Path]) -> Segmenter:
    return load(files[request.param], threads=1)


def scene(height: int, width: int, index: int = 0) -> np.ndarray:
    return Streets("val", Resolution(height, width))[index].image


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean(one == other))


@pytest.mark.parametrize("size", [(64, 96), (1, 1), (1, 500), (37, 53), (200, 40), (360, 480)])
def test_labels_come_at_the_size_of_the_picture(segmenter: Segmenter, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    labels = segmenter(image)
    assert (labels.shape, labels.dtype) == (size, np.uint8)
    assert labels.max() < 11


def test_the_three_interfaces_agree_at_the_networks_size(files: dict[str, Path]) -> None:
    image = scene(64, 96)
    maps = {interface: load(path, threads=1)(image) for interface, path in files.items()}
    assert len(np.unique(maps["labels"])) > 1
    assert agreement(maps["logits"], maps["labels"]) >= SAME_LABELS
    assert agreement(maps["scores"], maps["labels"]) >= SAME_LABELS


def test_the_labels_are_those_of_plain_pytorch(files: dict[str, Path], affnet: PreparedNetwork) -> None:
    # Written down once more from the contract: normalise, run, upsample, take the argmax.
    image = scene(64, 96)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = ((torch.from_numpy(image.copy()) / 255 - mean) / std).permute(2, 0, 1)[None]
    with torch.inference_mode():
        scores = F.interpolate(affnet.module(pixels), size=(64, 96), mode="bilinear", align_corners=False)
    expected = scores.argmax(1)[0].numpy()
    assert agreement(load(files["logits"], threads=1)(image), expected) >= SAME_LABELS


def test_a_picture_twice_the_size_is_labelled_at_its_own_resolution(
    files: dict[str, Path], affnet: PreparedNetwork
) -> None:
    # The logits go straight to 128x192, not by way of 64x96.
    image = scene(128, 192)
    segmenter = load(files["logits"], threads=1)
    with torch.inference_mode():
        logits = affnet.module(torch.from_numpy(segmenter.tensor(image)))
        scores = F.interpolate(logits, size=(128, 192), mode="bilinear", align_corners=False)
    assert agreement(segmenter(image), scores.argmax(1)[0].numpy()) >= SAME_LABELS


def test_a_view_of_a_picture_is_labelled_like_its_copy(segmenter: Segmenter) -> None:
    image = scene(64, 96)
    mirrored = image[:, ::-1]
    np.testing.assert_array_equal(segmenter(mirrored), segmenter(mirrored.copy()))


def test_the_picture_is_left_alone(segmenter: Segmenter) -> None:
    image = scene(80, 100)
    kept = image.copy()
    image.flags.writeable = False
    segmenter(image)
    np.testing.assert_array_equal(image, kept)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 96), np.uint8),
        np.zeros((64, 96, 4), np.uint8),
        np.zeros((64, 96, 3), np.float32),
        np.zeros((0, 96, 3), np.uint8),
    ],
    ids=["grey", "rgba", "float", "empty"],
)
def test_what_is_no_picture_is_refused(segmenter: Segmenter, image: np.ndarray) -> None:
    with pytest.raises(ImageError):
        segmenter(image)


def test_many_threads_get_the_labels_of_one(segmenter: Segmenter) -> None:
    images = [scene(height, width, index) for index, (height, width) in enumerate([(64, 96), (50, 70), (90, 130)])]
    expected = [segmenter(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(segmenter, images * 16))
    for position, labels in enumerate(results):
        np.testing.assert_array_equal(labels, expected[position % 3])


@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_a_bound_frame_equals_the_plain_call(segmenter: Segmenter, size: tuple[int, int]) -> None:
    image = scene(*size)
    frame = segmenter.bind(image)
    frame.labels[...] = 99
    frame()
    np.testing.assert_array_equal(frame.labels, segmenter(image))


def test_a_bound_frame_reads_its_picture_again_and_keeps_its_buffers(segmenter: Segmenter) -> None:
    frame = segmenter.bind(scene(50, 70, 0))
    labels = frame.labels
    other = scene(50, 70, 1)
    frame.image[...] = other
    frame()
    assert frame.labels is labels
    np.testing.assert_array_equal(labels, segmenter(other))


def test_a_bound_frame_does_not_follow_the_picture_it_was_made_of(segmenter: Segmenter) -> None:
    image = scene(50, 70)
    expected = segmenter(image)
    frame = segmenter.bind(image)
    image[...] = 0
    frame()
    np.testing.assert_array_equal(frame.labels, expected)


@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_a_bound_frame_lays_the_colours_over_its_picture_where_that_is_asked_for(
    segmenter: Segmenter, size: tuple[int, int]
) -> None:
    frame = segmenter.bind(scene(*size, 0), overlay=0.25)
    made, classes = frame.overlay, segmenter.output.classes
    np.testing.assert_array_equal(made, overlay(frame.image, frame.labels, classes, opacity=0.25))
    other = frame.image[...] = scene(*size, 1)
    frame()
    assert frame.overlay is made
    np.testing.assert_array_equal(made, overlay(other, segmenter(other), classes, opacity=0.25))
    assert segmenter.bind(other).overlay is None
    with pytest.raises(SpecError, match="the opacity is out of range"):
        segmenter.bind(other, overlay=2)


def test_pytorch_behind_the_segmenter_gives_the_same_labels(files: dict[str, Path], affnet: PreparedNetwork) -> None:
    image = scene(72, 100)
    for interface, path in files.items():
        module, source = interface_module(affnet, interface, SIZE)
        reference = Segmenter(TorchRunner(module, source), affnet.image_spec(SIZE), affnet.output_spec(interface))
        assert agreement(reference(image), load(path, threads=1)(image)) >= SAME_LABELS, interface


def test_leaving_the_context_closes_the_runner(files: dict[str, Path]) -> None:
    with load(files["logits"], threads=1) as segmenter:
        segmenter(scene(64, 96))
    with pytest.raises(RunnerError, match="not open"):
        segmenter(scene(64, 96))


# What load verifies


@pytest.fixture()
def copied(files: dict[str, Path], tmp_path: Path) -> Path:
    path = tmp_path / "copy.onnx"
    shutil.copy(files["logits"], path)
    shutil.copy(manifest_path(files["logits"]), manifest_path(path))
    return path


def test_file_and_manifest_travel_together(copied: Path) -> None:
    assert load(copied, threads=1)(scene(64, 96)).shape == (64, 96)


def test_a_file_without_its_manifest_is_refused(copied: Path) -> None:
    manifest_path(copied).unlink()
    with pytest.raises(ManifestError, match=r"cannot read .*copy\.onnx\.json"):
        load(copied)


def test_a_file_of_which_one_byte_changed_is_refused(copied: Path) -> None:
    content = bytearray(copied.read_bytes())
    content[len(content) // 2] ^= 1
    copied.write_bytes(content)
    with pytest.raises(
        ManifestError, match=r"is not the file its manifest tells of; got sha256 .*Try: rtseg export affnet"
    ):
        load(copied)


def rewritten(path: Path, key: str, value: str | None) -> None:
    """Change a metadata property of the graph and sign the manifest anew."""
    manifest = read_manifest(path, kind="onnx")
    model = onnx.load(path)
    properties = {entry.key: entry.value for entry in model.metadata_props if entry.key != key}
    onnx.helper.set_model_props(model, properties if value is None else {**properties, key: value})
    onnx.save(model, path)
    write_manifest(path, manifest)


@pytest.mark.parametrize("value", [None, "{}"])
@pytest.mark.parametrize("key", ["rtseg.image", "rtseg.output"])
def test_a_graph_that_states_another_contract_than_its_manifest_is_refused(
    copied: Path, key: str, value: str | None
) -> None:
    rewritten(copied, key, value)
    with pytest.raises(ManifestError, match=rf"state different contracts: {key}; got {value or 'nothing'}"):
        load(copied)


def test_a_graph_of_another_shape_than_its_contract_is_refused(affnet: PreparedNetwork) -> None:
    module, source = interface_module(affnet, "scores", SIZE)
    with pytest.raises(
        RunnerError, match=r"output is not what its manifest says; got \(1, 11, 64, 96\); expected \(1, 11, 8, 12\)"
    ):
        Segmenter(TorchRunner(module, source), affnet.image_spec(SIZE), affnet.output_spec("logits"))
