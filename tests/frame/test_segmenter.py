from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rtseg.datasets.registry import class_spec
from rtseg.datasets.streets.dataset import Streets
from rtseg.errors import ImageError, RunnerError, SpecError
from rtseg.exporting.interfaces import interface_module
from rtseg.frame.palette import overlay
from rtseg.frame.segmenter import Segmenter
from rtseg.networks.prepared import PreparedNetwork, network_with_random_weights
from rtseg.runners.loading import load
from rtseg.runners.torch import TorchRunner
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
def files(affnet_interfaces: dict[str, Path]) -> dict[str, Path]:
    """The exported file of each interface."""
    return affnet_interfaces


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


def test_labels_and_overlay_come_together_as_new_arrays(segmenter: Segmenter) -> None:
    image, classes = scene(50, 70), segmenter.output.classes
    labels, laid = segmenter.with_overlay(image)
    np.testing.assert_array_equal(labels, segmenter(image))
    np.testing.assert_array_equal(laid, overlay(image, labels, classes))
    np.testing.assert_array_equal(segmenter.with_overlay(image, 0.25)[1], overlay(image, labels, classes, opacity=0.25))
    with pytest.raises(SpecError, match="the opacity is out of range"):
        segmenter.with_overlay(image, 2)


def test_arrays_on_a_device_need_a_runner_that_does_the_frame_there(segmenter: Segmenter) -> None:
    with pytest.raises(
        RunnerError,
        match=r"the runner onnxruntime, .* expected an engine, with tensorrt, tensorrt-pycuda or tensorrt-rtx\. Try",
    ):
        segmenter.bind_device(0x7F0000000000, size=(64, 96))


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


def test_a_graph_of_another_shape_than_its_contract_is_refused(affnet: PreparedNetwork) -> None:
    module, source = interface_module(affnet, "scores", SIZE)
    with pytest.raises(
        RunnerError, match=r"output does not match its manifest; got \(1, 11, 64, 96\); expected \(1, 11, 8, 12\)"
    ):
        Segmenter(TorchRunner(module, source), affnet.image_spec(SIZE), affnet.output_spec("logits"))
