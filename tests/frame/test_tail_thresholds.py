"""One suite for both implementations: one channel and a threshold, against torch's upsampling in FP64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.errors import SpecError
from rtseg.frame.tail import labels_from_logits

pytestmark = pytest.mark.usefixtures("core")

NEAR = 2e-5
"""A label may be the other one where the value is as near to the threshold, as a share of the largest value: float32
source coordinates below 100 are exact to 8e-6."""

SIZES = {
    "stride 2": ((9, 14), (18, 28)),
    "stride 8": ((9, 14), (72, 112)),
    "odd sizes": ((7, 11), (53, 87)),
    "taller but narrower": ((12, 17), (50, 9)),
    "smaller": ((40, 57), (13, 21)),
    "the same": ((40, 57), (40, 57)),
    "to one pixel": ((9, 14), (1, 1)),
    "from one pixel": ((1, 1), (33, 70)),
    "from one column": ((9, 1), (72, 5)),
    "cells too long for one piece": ((2, 3), (300, 400)),
}


def mask(channel: np.ndarray, size: tuple[int, int], threshold: float, align_corners: bool = False) -> np.ndarray:
    return labels_from_logits(
        np.ascontiguousarray(channel[None], np.float32),
        height=size[0],
        width=size[1],
        align_corners=align_corners,
        threshold=threshold,
    )


def assert_is_above(labels: np.ndarray, channel: np.ndarray, threshold: float, align_corners: bool) -> None:
    """Assert that each label is what FP64 gives, but where that is near the threshold."""
    clamped = np.clip(np.nan_to_num(channel, nan=-1e30), -1e30, 1e30)
    values = F.interpolate(
        torch.from_numpy(clamped)[None, None].double(), size=labels.shape, mode="bilinear", align_corners=align_corners
    )[0, 0].numpy()
    least = float(np.float32(threshold))
    # the largest value around a pixel, as one far away does not spoil it
    scale = F.interpolate(
        F.max_pool2d(torch.from_numpy(np.abs(clamped))[None, None].double(), 3, 1, 1), size=labels.shape
    )[0, 0].numpy()
    sure = np.abs(values - least) > NEAR * np.maximum(scale, abs(least))
    np.testing.assert_array_equal(labels[sure], (values > least)[sure])


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("name", SIZES)
def test_labels_are_those_of_torch_but_near_the_threshold(name: str, align_corners: bool) -> None:
    shape, size = SIZES[name]
    channel = np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)
    labels = mask(channel, size, 0.25, align_corners)
    assert (labels.dtype, labels.shape) == (np.uint8, size)
    assert_is_above(labels, channel, 0.25, align_corners)


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    values=st.sampled_from(["noise", "steps", "sigmoid", "spoilt"]),
    threshold=st.sampled_from([0.0, 0.5, -2.0, 1e-3]) | st.floats(-4, 4),
    align_corners=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=200, deadline=None)
def test_at_any_size_labels_are_those_of_torch_but_near_the_threshold(
    shape, size, values, threshold, align_corners, seed
) -> None:
    random = np.random.default_rng(seed)
    channel = (random.standard_normal(shape) * 3).astype(np.float32)
    if values == "steps":
        channel = np.rint(channel)
    if values == "sigmoid":
        channel = 1 / (1 + np.exp(-8 * channel))
    if values == "spoilt":
        channel[random.random(shape) < 0.1] = np.nan
        channel[random.random(shape) < 0.1] = np.inf
    assert_is_above(mask(channel, size, threshold, align_corners), channel, threshold, align_corners)


@pytest.mark.parametrize("size", [(6, 7), (48, 56), (37, 51), (3, 3)])
@pytest.mark.parametrize("value", [0.5, 0.1, 1 / 3, -7.3, 0.0])
def test_a_value_that_is_the_threshold_is_background_at_every_size(value: float, size: tuple[int, int]) -> None:
    """A blend of 0.1 alone, or of 1/3, is above it at some pixels in float32."""
    channel = np.full((6, 7), value, np.float32)
    assert not mask(channel, size, value).any()
    assert mask(np.nextafter(channel, np.float32(9)), size, value).all()
    assert not mask(np.nextafter(channel, np.float32(-9)), size, value).any()


@pytest.mark.parametrize("size", [(6, 7), (48, 56), (3, 3)])
def test_nan_is_background(size: tuple[int, int]) -> None:
    for threshold in (-1e30, -5, 0, 1e30):
        assert not mask(np.full((6, 7), np.nan), size, threshold).any()


def test_one_nan_leaves_distant_pixels_alone() -> None:
    channel = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    clean = mask(channel, (64, 64), 0)
    channel[0, 0] = np.nan
    np.testing.assert_array_equal(mask(channel, (64, 64), 0)[12:, 12:], clean[12:, 12:])
    assert not mask(channel, (64, 64), 0)[:4, :4].any()


def test_infinities_are_on_their_side_of_every_threshold_within_the_range() -> None:
    channel = np.array([[np.inf, -np.inf]], np.float32)
    for threshold in (-9e29, 0, 9e29):
        np.testing.assert_array_equal(mask(channel, (1, 2), threshold), [[1, 0]])


@pytest.mark.parametrize("size", [(9, 11), (64, 80), (5, 4)])
def test_a_threshold_of_0_is_the_argmax_beside_a_channel_of_zeros(size: tuple[int, int]) -> None:
    channel = np.random.default_rng(3).standard_normal((9, 11)).astype(np.float32)
    both = np.stack([np.zeros_like(channel), channel])
    expected = labels_from_logits(both, height=size[0], width=size[1], align_corners=False)
    np.testing.assert_array_equal(mask(channel, size, 0), expected)


@given(seed=st.integers(0, 2**32 - 1), threshold=st.floats(-2, 2), factor=st.sampled_from([0.25, 2.0, 64.0]))
@settings(max_examples=40, deadline=None)
def test_scaling_values_and_threshold_by_a_power_of_two_changes_no_label(seed, threshold, factor) -> None:
    channel = np.random.default_rng(seed).integers(-99, 99, (5, 6)).astype(np.float32) / 32
    threshold = float(np.float32(threshold))
    np.testing.assert_array_equal(
        mask(channel, (31, 47), threshold), mask(channel * np.float32(factor), (31, 47), threshold * factor)
    )


@given(seed=st.integers(0, 2**32 - 1), low=st.floats(-2, 2), more=st.floats(0, 2))
@settings(max_examples=40, deadline=None)
def test_a_higher_threshold_takes_foreground_away_and_never_adds_any(seed, low, more) -> None:
    channel = np.random.default_rng(seed).standard_normal((7, 9)).astype(np.float32)
    assert (mask(channel, (50, 61), low + more) <= mask(channel, (50, 61), low)).all()


@pytest.mark.parametrize("threads", [1, 2, 64])
def test_the_number_of_threads_does_not_change_the_labels(threads: int) -> None:
    channel = np.random.default_rng(0).standard_normal((1, 40, 50)).astype(np.float32)
    labels = [
        labels_from_logits(channel, height=320, width=401, align_corners=False, threshold=0.1, threads=count)
        for count in (threads, 1)
    ]
    np.testing.assert_array_equal(*labels)


@pytest.mark.parametrize(
    ("channels", "threshold", "message"),
    [
        (2, 0.5, "a threshold needs logits of one channel; got 2 channels"),
        (1, None, "number of classes is out of range; got 1"),
        (1, float("nan"), "threshold is out of range; got nan"),
        (1, float("inf"), "threshold is out of range"),
        (1, -2e30, "threshold is out of range"),
    ],
)
def test_a_threshold_that_does_not_fit_is_refused(channels: int, threshold: float | None, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        labels_from_logits(
            np.zeros((channels, 4, 5), np.float32), height=8, width=8, align_corners=False, threshold=threshold
        )
