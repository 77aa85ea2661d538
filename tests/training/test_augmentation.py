from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.datasets.labelled import LabelledImage
from rtseg.training.augmentation import augmented
from rtseg.training.recipe import TrainingRecipe
from rtseg.training.samples import EpochSamples, epoch_batches

VOID = 255
UNSCALED = TrainingRecipe("affnet", "streets", 1, crop="32x48", scale_min=1, scale_max=1)
"""Cut and mirrored only."""


def coloured(height: int, width: int, seed: int = 0) -> LabelledImage:
    """Return a picture whose labels can be read off its colours: red holds 10 + 20 times the label."""
    labels = np.random.default_rng(seed).integers(0, 11, (height, width)).astype(np.uint8)
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = 10 + 20 * labels
    image[..., 1] = np.arange(width) % 251
    image[..., 2] = np.arange(height)[:, None] % 251
    return LabelledImage("coloured", image, labels)


def read_off(image: np.ndarray) -> np.ndarray:
    """Return the labels the colours tell of; black is what was padded."""
    return np.where(image[..., 0] == 0, VOID, (image[..., 0].astype(int) - 10) // 20)


def sample(item: LabelledImage, recipe: TrainingRecipe, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return augmented(item, recipe, VOID, np.random.default_rng(seed))


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), seed=st.integers(0, 10**6), flip=st.booleans())
def test_labels_stay_on_their_pixels_through_cuts_and_flips(height: int, width: int, seed: int, flip: bool) -> None:
    image, labels = sample(coloured(height, width), replace(UNSCALED, flip=flip), seed)
    np.testing.assert_array_equal(labels, read_off(image))


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    seed=st.integers(0, 10**6),
    scale=st.floats(0.1, 3),
    jitter=st.sampled_from([0.0, 0.3]),
)
def test_a_sample_has_the_crops_size_whatever_the_picture(
    height: int, width: int, seed: int, scale: float, jitter: float
) -> None:
    recipe = replace(UNSCALED, scale_min=scale, scale_max=2 * scale, jitter=jitter)
    image, labels = sample(coloured(height, width), recipe, seed)
    assert (image.shape, image.dtype) == ((32, 48, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((32, 48), np.uint8)


def test_what_is_padded_is_black_and_ignored() -> None:
    image, labels = sample(coloured(20, 30), UNSCALED, 0)
    assert not image[20:].any()
    assert not image[:, 30:].any()
    assert (labels[20:] == VOID).all()
    assert (labels[:, 30:] == VOID).all()
    assert (labels[:20, :30] != VOID).all()


def test_the_padding_stays_black_when_the_light_changes() -> None:
    image, _ = sample(coloured(20, 30), replace(UNSCALED, jitter=0.5), 0)
    assert image[:20, :30].any()
    assert not image[20:].any()


def test_the_same_generator_gives_the_same_sample() -> None:
    recipe = replace(UNSCALED, scale_min=0.5, scale_max=2, jitter=0.3)
    for one, other in zip(*(sample(coloured(64, 96), recipe, 5) for _ in range(2))):
        np.testing.assert_array_equal(one, other)


def test_another_generator_gives_another_sample() -> None:
    assert not np.array_equal(sample(coloured(64, 96), UNSCALED, 5)[1], sample(coloured(64, 96), UNSCALED, 6)[1])


def test_half_of_the_samples_are_mirrored() -> None:
    item = coloured(32, 48)
    mirrored = sum(np.array_equal(sample(item, UNSCALED, seed)[1], item.labels[:, ::-1]) for seed in range(200))
    straight = sum(np.array_equal(sample(item, UNSCALED, seed)[1], item.labels) for seed in range(200))
    assert mirrored + straight == 200
    assert 70 < mirrored < 130


def test_nothing_is_mirrored_when_the_recipe_says_so() -> None:
    item = coloured(32, 48)
    for seed in range(20):
        np.testing.assert_array_equal(sample(item, replace(UNSCALED, flip=False), seed)[1], item.labels)


def test_every_window_of_the_picture_can_be_cut() -> None:
    # One row and one column more than the crop: four windows.
    item = coloured(33, 49)
    windows = {sample(item, replace(UNSCALED, flip=False), seed)[1].tobytes() for seed in range(60)}
    expected = {item.labels[y : y + 32, x : x + 48].tobytes() for y in (0, 1) for x in (0, 1)}
    assert windows == expected


def test_a_picture_twice_as_large_keeps_labels_and_colours_together() -> None:
    # Large blocks, so that only their borders are blended: scaled labels must agree with scaled colours inside.
    labels = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3), np.ones((16, 16), np.uint8))
    image = np.repeat((10 + 20 * labels)[..., None], 3, axis=2)
    recipe = replace(UNSCALED, scale_min=2, scale_max=2, flip=False)
    large, truth = augmented(LabelledImage("blocks", image, labels), recipe, VOID, np.random.default_rng(1))
    same = (large[..., 0].astype(int) - 10) == 20 * truth.astype(int)
    borders = (np.diff(truth, axis=0, prepend=truth[:1]) != 0) | (np.diff(truth, axis=1, prepend=truth[:, :1]) != 0)
    near = borders | np.roll(borders, -1, 0) | np.roll(borders, -1, 1)
    assert (same | near).all()
    assert near.mean() < 0.15


def test_without_jitter_the_colours_are_untouched() -> None:
    item = coloured(32, 48)
    image, _ = sample(item, replace(UNSCALED, flip=False), 0)
    np.testing.assert_array_equal(image, item.image)


def test_jitter_changes_the_light_but_not_the_labels() -> None:
    item = coloured(32, 48)
    image, labels = sample(item, replace(UNSCALED, flip=False, jitter=0.4), 3)
    assert not np.array_equal(image, item.image)
    np.testing.assert_array_equal(labels, item.labels)


class Several:
    """Pictures that differ by their size, the classes those of the streets."""

    def __init__(self, count: int) -> None:
        from rtseg.datasets.registry import class_spec

        self.classes = class_spec("streets")
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> LabelledImage:
        return coloured(32, 48, seed=index)


def test_an_epoch_shows_every_picture_once() -> None:
    recipe = replace(UNSCALED, flip=False)
    shown = sorted(labels.numpy().tobytes() for _, labels in EpochSamples(Several(7), recipe, 0))
    assert shown == sorted(coloured(32, 48, seed=index).labels.tobytes() for index in range(7))


def test_epochs_differ_and_repeat() -> None:
    def epoch(number: int, seed: int) -> list[bytes]:
        recipe = replace(UNSCALED, seed=seed)
        return [image.numpy().tobytes() for image, _ in EpochSamples(Several(5), recipe, number)]

    assert epoch(0, seed=1) == epoch(0, seed=1)
    assert epoch(0, seed=1) != epoch(1, seed=1)
    assert epoch(0, seed=1) != epoch(0, seed=2)


def test_the_last_incomplete_batch_is_left_out() -> None:
    recipe = replace(UNSCALED, batch_size=3)
    shapes = [
        (tuple(images.shape), tuple(labels.shape)) for images, labels in epoch_batches(Several(7), recipe, 0, workers=0)
    ]
    assert shapes == [((3, 3, 32, 48), (3, 32, 48))] * 2


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_does_not_change_the_samples(workers: int) -> None:
    recipe = replace(UNSCALED, batch_size=2, scale_min=0.5, scale_max=2, jitter=0.2)
    alone, shared = (list(epoch_batches(Several(4), recipe, 3, workers=n)) for n in (0, workers))
    for (image, labels), (other_image, other_labels) in zip(alone, shared):
        assert image.equal(other_image)
        assert labels.equal(other_labels)
