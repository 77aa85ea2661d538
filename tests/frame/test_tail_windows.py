"""One suite for both implementations: labels of a part of the canvas, against torch on the whole canvas, cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.frame.tail import labels_from_logits
from rtseg.frame.window import Window, window_of
from rtseg.specs import ImageSpec
from tests.frame.references import beside_threshold, lost_by, scores_at

pytestmark = pytest.mark.usefixtures("core")

TIE = 3e-5
"""As in test_tail.py, with one more rounding of a source coordinate."""


def assert_labels_win(labels: np.ndarray, scores: np.ndarray, largest: float) -> None:
    assert lost_by(labels, scores) <= TIE * largest


@given(
    shape=st.tuples(st.integers(2, 5), st.integers(1, 8), st.integers(1, 8)),
    stride=st.sampled_from([1, 2, 4, 8]),
    image=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    place=st.tuples(*[st.floats(0, 1)] * 4),
    align_corners=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=200, deadline=None)
def test_every_label_wins_where_its_pixel_lies_on_the_canvas(shape, stride, image, place, align_corners, seed) -> None:
    _, h, w = shape
    canvas = (h * stride, w * stride)
    sizes = [max(1, round(side * part)) for side, part in zip(canvas, place)]
    begins = [round((side - size) * part) for side, size, part in zip(canvas, sizes, place[2:])]
    window = Window(*canvas, *begins, *sizes)
    logits = np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float32)
    labels = labels_from_logits(logits, height=image[0], width=image[1], align_corners=align_corners, window=window)
    assert (labels.dtype, labels.shape) == (np.uint8, image)
    assert_labels_win(labels, scores_at(logits, window, image, align_corners), 9)
    channel = logits[:1]
    mask = labels_from_logits(
        *(channel,), height=image[0], width=image[1], align_corners=align_corners, window=window, threshold=0.5
    )
    assert_labels_win(mask, scores_at(beside_threshold(channel, 0.5), window, image, align_corners), 9)


@given(
    sizes=st.tuples(*[st.integers(2, 12)] * 2),
    stride=st.sampled_from([1, 4, 8]),
    place=st.tuples(*[st.floats(0, 1)] * 4),
    factor=st.integers(1, 3),
    align_corners=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=200, deadline=None)
def test_labels_are_those_of_torch_on_the_whole_canvas_of_which_the_window_is_cut(
    sizes, stride, place, factor, align_corners, seed
) -> None:
    """Without align_corners for an image a whole factor larger than its window, with it for one as large."""
    factor = 1 if align_corners else factor
    canvas = tuple(side * stride for side in sizes)
    lengths = [max(1, round(side * part)) for side, part in zip(canvas, place)]
    begins = [round((side - size) * part) for side, size, part in zip(canvas, lengths, place[2:])]
    window = Window(*canvas, *begins, *lengths)
    logits = np.random.default_rng(seed).standard_normal((4, *sizes)).astype(np.float32)
    whole = F.interpolate(
        torch.from_numpy(logits)[None],
        size=(canvas[0] * factor, canvas[1] * factor),
        mode="bilinear",
        align_corners=align_corners,
    )[0].numpy()
    large = Window(*(factor * side for side in (*canvas, *begins, *lengths)))
    labels = labels_from_logits(
        logits,
        height=lengths[0] * factor,
        width=lengths[1] * factor,
        align_corners=align_corners,
        window=window,
    )
    assert_labels_win(labels, large.cut(whole), np.abs(logits).max())


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("threshold", [None, 0.25])
@pytest.mark.parametrize("size", [(9, 14), (72, 112), (31, 200), (5, 3)])
def test_a_window_of_the_whole_canvas_is_none_at_all(size, threshold: float | None, align_corners: bool) -> None:
    shape = (5 if threshold is None else 1, 9, 14)
    logits = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    given_window, none = (
        labels_from_logits(
            *(logits,), height=size[0], width=size[1], align_corners=align_corners, threshold=threshold, window=window
        )
        for window in (Window(72, 112, 0, 0, 72, 112), None)
    )
    np.testing.assert_array_equal(given_window, none)


def test_scores_of_an_image_that_needed_no_scaling_are_only_cut() -> None:
    scores = np.random.default_rng(2).standard_normal((4, 40, 60)).astype(np.float32)
    window = Window(40, 60, 7, 0, 26, 60)
    labels = labels_from_logits(scores, height=26, width=60, align_corners=False, window=window)
    np.testing.assert_array_equal(labels, window.cut(scores).argmax(0))


def test_what_is_in_the_padding_reaches_no_further_than_the_next_logit() -> None:
    window = window_of(ImageSpec(64, 64, fit="letterbox"), 32, 64)
    assert window is not None
    logits = np.zeros((2, 8, 8), np.float32)
    logits[0], logits[1, :2], logits[1, 6:] = 1, 99, 99  # the rows of the padding
    labels = labels_from_logits(logits, height=32, width=64, align_corners=False, window=window)
    assert not labels[4:-4].any()
    assert labels[0].all() and labels[-1].all()  # half a logit's way is left, which the whole canvas has too


@pytest.mark.parametrize("threads", [1, 2, 64])
def test_the_number_of_threads_does_not_change_the_labels(threads: int) -> None:
    logits = np.random.default_rng(3).standard_normal((7, 40, 50)).astype(np.float32)
    window = Window(320, 400, 31, 0, 257, 400)
    labels = [
        labels_from_logits(logits, height=514, width=801, align_corners=False, window=window, threads=count)
        for count in (threads, 1)
    ]
    np.testing.assert_array_equal(*labels)
