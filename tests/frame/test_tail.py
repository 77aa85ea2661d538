"""One suite for both implementations: what they give is torch's upsampling and argmax."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.errors import SpecError
from rtseg.frame.tail import labels_from_logits

pytestmark = pytest.mark.usefixtures("core")

TIE = 1e-5
"""A label may lose to the best class by this share of the largest logit: float32 source coordinates
below 100 are exact to 4e-6, and a weight off by that moves a score by twice that share at most."""

SIZES = {
    "stride 2": ((9, 14), (18, 28)),
    "stride 4": ((9, 14), (36, 56)),
    "stride 8": ((9, 14), (72, 112)),
    "stride 16": ((5, 7), (80, 112)),
    "odd sizes": ((7, 11), (53, 87)),
    "no integer ratio": ((12, 17), (37, 101)),
    "taller but narrower": ((12, 17), (50, 9)),
    "smaller": ((40, 57), (13, 21)),
    "barely smaller": ((40, 57), (39, 56)),
    "barely larger": ((40, 57), (41, 58)),
    "the same": ((40, 57), (40, 57)),
    "to one pixel": ((9, 14), (1, 1)),
    "from one pixel": ((1, 1), (33, 70)),
    "from one row": ((1, 9), (20, 72)),
    "from one column": ((9, 1), (72, 5)),
    "cells too long for one piece": ((2, 3), (300, 400)),
}


def noise(classes: int, h: int, w: int) -> np.ndarray:
    return np.random.default_rng(classes * h + w).standard_normal((classes, h, w)).astype(np.float32)


def smooth(classes: int, h: int, w: int) -> np.ndarray:
    coarse = torch.from_numpy(noise(classes, 3, 4))[None]
    return F.interpolate(coarse, size=(h, w), mode="bicubic", align_corners=True)[0].numpy()


def nearly_tied(classes: int, h: int, w: int) -> np.ndarray:
    """Every class within a few float32 steps of the others, everywhere."""
    return (1 + noise(classes, h, w) * 3e-7).astype(np.float32)


def spikes(classes: int, h: int, w: int) -> np.ndarray:
    """Each pixel a far outlier for one class: no two corners agree and weights decide alone."""
    logits = np.zeros((classes, h, w), np.float32)
    rows, columns = np.indices((h, w))
    logits[(rows * 5 + columns * 3) % classes, rows, columns] = 1000
    return logits


def checkerboard(classes: int, h: int, w: int) -> np.ndarray:
    """A third class never the best at a corner, yet the best in the middle of every cell."""
    logits = np.zeros((classes, h, w), np.float32)
    rows, columns = np.indices((h, w))
    logits[0], logits[1] = (rows + columns) % 2, (rows + columns + 1) % 2
    logits[-1] = 0.75
    return logits


PATTERNS = [noise, smooth, nearly_tied, spikes, checkerboard]


def scores(logits: np.ndarray, size: tuple[int, int], align_corners: bool) -> np.ndarray:
    upsampled = F.interpolate(
        torch.from_numpy(logits)[None].double(), size=size, mode="bilinear", align_corners=align_corners
    )
    return upsampled[0].numpy()


def assert_labels_win(labels: np.ndarray, logits: np.ndarray, align_corners: bool) -> None:
    wanted = scores(logits, labels.shape, align_corners)
    got = np.take_along_axis(wanted, labels[None].astype(np.intp), axis=0)[0]
    lost_by = (wanted.max(axis=0) - got).max()
    assert lost_by <= TIE * np.abs(logits).max()


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", SIZES)
def test_labels_are_those_of_torch_but_for_ties(name: str, pattern, align_corners: bool) -> None:
    (h, w), (height, width) = SIZES[name]
    logits = pattern(6, h, w)
    labels = labels_from_logits(logits, height=height, width=width, align_corners=align_corners)
    assert labels.dtype == np.uint8
    assert labels.shape == (height, width)
    assert_labels_win(labels, logits, align_corners)


@pytest.mark.parametrize("align_corners", [False, True])
def test_on_noise_hardly_a_pixel_differs_from_torch_in_float32(align_corners: bool) -> None:
    logits = noise(19, 32, 64)
    upsampled = F.interpolate(
        torch.from_numpy(logits)[None], size=(256, 512), mode="bilinear", align_corners=align_corners
    )
    labels = labels_from_logits(logits, height=256, width=512, align_corners=align_corners)
    assert np.count_nonzero(labels != upsampled[0].argmax(0).numpy()) <= 2


@pytest.mark.parametrize("classes", [2, 3, 19, 150, 256])
def test_any_number_of_classes_up_to_256_is_labelled(classes: int) -> None:
    logits = noise(classes, 8, 9)
    labels = labels_from_logits(logits, height=50, width=41, align_corners=False)
    assert_labels_win(labels, logits, False)


def test_every_class_up_to_the_last_can_win() -> None:
    logits = np.zeros((256, 16, 16), np.float32)
    logits.reshape(256, 256)[np.arange(256), np.arange(256)] = 1
    labels = labels_from_logits(logits, height=64, width=64, align_corners=False)
    assert set(labels.ravel()) == set(range(256))


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (37, 51), (3, 3)])
@pytest.mark.parametrize("pattern", [noise, smooth])
def test_of_two_equal_classes_the_lower_index_wins(size: tuple[int, int], pattern) -> None:
    distinct = pattern(3, 8, 8)
    twice = np.concatenate([distinct, distinct])
    labels = labels_from_logits(twice, height=size[0], width=size[1], align_corners=False)
    expected = labels_from_logits(distinct, height=size[0], width=size[1], align_corners=False)
    np.testing.assert_array_equal(labels, expected)


def test_logits_that_are_all_equal_give_class_0() -> None:
    labels = labels_from_logits(np.full((4, 5, 6), 2.5, np.float32), height=40, width=48, align_corners=False)
    assert not labels.any()


def test_one_class_ahead_everywhere_fills_the_map() -> None:
    logits = noise(5, 6, 7)
    logits[3] += 100
    labels = labels_from_logits(logits, height=47, width=61, align_corners=True)
    assert (labels == 3).all()


def test_one_corner_spoils_only_the_cells_around_it() -> None:
    logits = np.zeros((2, 5, 5), np.float32)
    logits[1, 2, 2] = 1
    labels = labels_from_logits(logits, height=40, width=40, align_corners=False)
    rows, columns = np.nonzero(labels)
    assert rows.min() >= 12  # the centre of low-resolution row 1
    assert rows.max() < 28  # and of row 3
    assert columns.min() >= 12
    assert columns.max() < 28
    assert labels[20, 20] == 1


@pytest.mark.parametrize("size", [(9, 14), (72, 112), (5, 8)])
def test_nan_and_infinities_count_as_the_limits_of_the_range(size: tuple[int, int]) -> None:
    logits = noise(4, 9, 14)
    places = np.random.default_rng(0).integers(0, logits.size, 60)
    logits.ravel()[places[:20]], logits.ravel()[places[20:40]] = np.nan, np.inf
    logits.ravel()[places[40:]] = -np.inf
    finite = np.nan_to_num(logits, nan=-1e30, posinf=1e30, neginf=-1e30)
    labels = labels_from_logits(logits, height=size[0], width=size[1], align_corners=False)
    expected = labels_from_logits(finite, height=size[0], width=size[1], align_corners=False)
    np.testing.assert_array_equal(labels, expected)


def test_nan_wins_nowhere_against_numbers() -> None:
    logits = np.full((3, 4, 4), -50, np.float32)
    logits[0] = np.nan
    labels = labels_from_logits(logits, height=32, width=32, align_corners=False)
    assert (labels == 1).all()


def test_one_nan_leaves_distant_pixels_alone() -> None:
    logits = noise(3, 8, 8)
    clean = labels_from_logits(logits, height=64, width=64, align_corners=False)
    logits[:, 0, 0] = np.nan
    labels = labels_from_logits(logits, height=64, width=64, align_corners=False)
    np.testing.assert_array_equal(labels[12:, 12:], clean[12:, 12:])


def test_logits_that_are_all_nan_give_class_0() -> None:
    labels = labels_from_logits(np.full((3, 4, 5), np.nan, np.float32), height=16, width=20, align_corners=False)
    assert not labels.any()


def test_the_logits_are_left_as_they_were() -> None:
    logits = noise(3, 8, 8)
    logits[0, 0, 0] = np.nan
    before = logits.copy()
    logits.flags.writeable = False
    labels_from_logits(logits, height=64, width=64, align_corners=False)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("threads", [1, 2, 3, 64])
def test_the_number_of_threads_does_not_change_the_labels(threads: int) -> None:
    logits = noise(7, 40, 50)
    labels = labels_from_logits(logits, height=320, width=401, align_corners=False, threads=threads)
    alone = labels_from_logits(logits, height=320, width=401, align_corners=False, threads=1)
    np.testing.assert_array_equal(labels, alone)


def test_calls_from_many_threads_do_not_disturb_each_other() -> None:
    inputs = [noise(5, 20 + i, 30) for i in range(8)]
    expected = [labels_from_logits(logits, height=160, width=240, align_corners=False) for logits in inputs]
    equal = [False] * len(inputs)

    def work(i: int) -> None:
        runs = [labels_from_logits(inputs[i], height=160, width=240, align_corners=False, threads=2) for _ in range(3)]
        equal[i] = all(np.array_equal(labels, expected[i]) for labels in runs)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(equal)


def test_the_array_given_as_out_is_filled_and_returned() -> None:
    logits = noise(3, 8, 8)
    out = np.full((20, 30), 99, np.uint8)
    labels = labels_from_logits(logits, height=20, width=30, align_corners=False, out=out)
    assert labels is out
    np.testing.assert_array_equal(out, labels_from_logits(logits, height=20, width=30, align_corners=False))


@given(
    shape=st.tuples(st.integers(2, 5), st.integers(1, 7), st.integers(1, 7)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    align_corners=st.booleans(),
    steps=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=120, deadline=None)
def test_every_label_wins_at_its_pixel(shape, size, align_corners, steps, seed) -> None:
    logits = np.random.default_rng(seed).integers(-steps, steps + 1, shape).astype(np.float32)  # few values: many ties
    labels = labels_from_logits(logits, height=size[0], width=size[1], align_corners=align_corners)
    assert_labels_win(labels, logits, align_corners)


@given(shift=st.integers(-64, 64), factor=st.sampled_from([0.25, 0.5, 2.0, 64.0]), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_scaling_all_logits_by_a_power_of_two_changes_no_label(shift, factor, seed) -> None:
    logits = (np.random.default_rng(seed).integers(-99, 99, (4, 5, 6)) + shift).astype(np.float32)
    labels = labels_from_logits(logits, height=31, width=47, align_corners=False)
    scaled = labels_from_logits(logits * np.float32(factor), height=31, width=47, align_corners=False)
    np.testing.assert_array_equal(labels, scaled)


GOOD = np.zeros((3, 4, 5), np.float32)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (GOOD.astype(np.float64), "not logits; got float64"),
        (GOOD.astype(np.float16), "not logits; got float16"),
        (GOOD.astype(">f4"), "not logits; got >f4"),
        (GOOD.view(np.int32), "not logits; got int32"),
        (GOOD[None], "without the batch dimension"),
        (GOOD[0], "not logits"),
        (GOOD.tolist(), "not logits; got list"),
        (GOOD[:1], "number of classes"),
        (np.zeros((257, 2, 2), np.float32), "number of classes"),
        (np.zeros((3, 0, 5), np.float32), "size of the logits"),
        (GOOD[:, :, ::2], "not C-contiguous"),
        (np.zeros((4, 5, 3), np.float32).transpose(2, 0, 1), "not C-contiguous"),
        (np.frombuffer(bytes(241), np.uint8, 240, 1).view(np.float32).reshape(3, 4, 5), "not C-contiguous"),
    ],
)
def test_logits_of_another_kind_are_refused(logits, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        labels_from_logits(logits, height=8, width=8, align_corners=False)


@pytest.mark.parametrize(("height", "width"), [(0, 8), (8, 0), (-1, 8), (1 << 24, 1)])
def test_a_size_no_label_map_has_is_refused(height: int, width: int) -> None:
    with pytest.raises(SpecError, match="of a label map is out of range"):
        labels_from_logits(GOOD, height=height, width=width, align_corners=False)


def test_a_negative_number_of_threads_is_refused() -> None:
    with pytest.raises(SpecError, match="threads is negative"):
        labels_from_logits(GOOD, height=8, width=8, align_corners=False, threads=-1)


def read_only() -> np.ndarray:
    labels = np.zeros((8, 9), np.uint8)
    labels.flags.writeable = False
    return labels


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 9), np.int8),
        np.zeros((8, 18), np.uint8)[:, ::2],
        np.zeros((9, 8), np.uint8).T,
        read_only(),
    ],
    ids=["shape", "type", "gaps", "transposed", "read-only"],
)
def test_an_out_that_cannot_hold_the_labels_is_refused(out: np.ndarray) -> None:
    with pytest.raises(SpecError, match="out cannot hold the label map"):
        labels_from_logits(GOOD, height=8, width=9, align_corners=False, out=out)
