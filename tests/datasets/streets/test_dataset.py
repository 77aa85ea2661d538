import subprocess
import sys

import numpy as np
import pytest

from rtseg.datasets.streets.dataset import STREETS_CLASSES, render_scene
from rtseg.errors import SpecError

CLASSES = len(STREETS_CLASSES)
BASELINE_CEILING = 0.30
"""mIoU: far below what even a small network learns, well above what colour alone gives (about 0.10)."""
SAME_SCENE_SHARE = 0.93
"""Thin poles, leaves and edges move by up to a pixel between sizes; everything else must agree."""


def test_a_scene_is_decided_by_seed_and_index():
    first, again = render_scene(3, 4, 64, 128), render_scene(3, 4, 64, 128)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_another_process_draws_the_same_scene():
    code = (
        "from rtseg.datasets.streets.dataset import render_scene; import zlib;"
        "print(*[zlib.crc32(part.tobytes()) for part in render_scene(3, 4, 64, 128)])"
    )
    runs = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(runs) == 1


@pytest.mark.parametrize("other", [(3, 5), (4, 4), (4, 3)])
def test_another_seed_or_index_is_another_scene(other):
    labels, different = render_scene(3, 4, 64, 128)[1], render_scene(*other, 64, 128)[1]
    assert np.mean(labels != different) > 0.1


def test_labels_are_classes_or_ignored():
    for index in range(12):
        labels = render_scene(0, index, 64, 128)[1]
        assert set(np.unique(labels)) <= {*range(CLASSES), STREETS_CLASSES.ignore_index}


def test_hardly_any_pixel_is_ignored():
    ignored = [np.mean(render_scene(0, index, 64, 128)[1] == STREETS_CLASSES.ignore_index) for index in range(20)]
    assert np.mean(ignored) < 0.02
    assert max(ignored) < 0.1


def test_every_class_occurs_in_a_third_of_the_scenes():
    scenes = 40
    seen = np.zeros(CLASSES, int)
    for index in range(scenes):
        seen += np.isin(np.arange(CLASSES), render_scene(0, index, 96, 192)[1])
    rare = [name for name, count in zip(STREETS_CLASSES.names, seen) if count < scenes / 3]
    assert not rare


def test_the_same_scene_at_twice_the_size_has_the_same_labels():
    for index in range(4):
        small, large = render_scene(1, index, 128, 256)[1], render_scene(1, index, 256, 512)[1]
        assert np.mean(small == large[1::2, 1::2]) > SAME_SCENE_SHARE


def test_the_same_scene_at_twice_the_size_has_much_the_same_colours():
    small, large = render_scene(1, 2, 128, 256)[0], render_scene(1, 2, 256, 512)[0]
    halved = large.reshape(128, 2, 256, 2, 3).mean(axis=(1, 3))
    assert np.mean(np.abs(small - halved)) < 10


@pytest.mark.parametrize(("height", "width"), [(64, 64), (37, 101), (97, 45), (16, 16), (360, 480)])
def test_any_size_can_be_drawn(height, width):
    picture, labels = render_scene(0, 1, height, width)
    assert picture.shape == (height, width, 3)
    assert labels.shape == (height, width)
    assert picture.dtype == labels.dtype == np.uint8


@pytest.mark.parametrize(("height", "width"), [(0, 64), (64, -1), (8, 64), (100_000, 100_000)])
def test_a_size_that_cannot_be_is_refused(height, width):
    with pytest.raises(SpecError, match="size"):
        render_scene(0, 0, height, width)


def test_a_negative_index_is_refused():
    with pytest.raises(SpecError, match="counted from 0"):
        render_scene(0, -1, 64, 64)


def test_pictures_are_neither_black_nor_burnt_out():
    levels = np.array([render_scene(0, index, 64, 128)[0].mean() for index in range(20)])
    assert levels.min() > 25
    assert levels.max() < 200


def test_colour_alone_does_not_give_the_classes_away():
    means = _mean_colours(range(30))
    confusion = np.zeros((CLASSES, CLASSES))
    for index in range(100, 115):
        picture, labels = render_scene(0, index, 64, 128)
        guess = ((picture[..., None, :].astype(float) - means) ** 2).sum(-1).argmin(-1)
        known = labels < CLASSES
        np.add.at(confusion, (labels[known], guess[known]), 1)
    hits = np.diag(confusion)
    assert np.mean(hits / (confusion.sum(0) + confusion.sum(1) - hits)) < BASELINE_CEILING


def _mean_colours(indices):
    totals, counts = np.zeros((CLASSES, 3)), np.zeros(CLASSES)
    for index in indices:
        picture, labels = render_scene(0, index, 64, 128)
        for label in range(CLASSES):
            chosen = picture[labels == label]
            totals[label] += chosen.sum(axis=0)
            counts[label] += len(chosen)
    return totals / counts[:, None]
