"""Which output holds the logits: one by its shape, one by its name, or the user's choice."""

from __future__ import annotations

import pytest

from rtseg.errors import NetworkError
from rtseg.networks.outputs import head_of, stride_of
from rtseg.specs import Resolution

SIZE = Resolution(64, 96)
MAIN, BOUNDARY, FEATURES = (1, 5, 8, 12), (1, 1, 8, 12), (1, 128, 8, 12)


@pytest.mark.parametrize(
    ("shape", "classes", "stride"),
    [
        ((1, 5, 64, 96), 5, 1),
        ((1, 5, 8, 12), 5, 8),
        ((1, 5, 2, 3), 5, 32),
        ((1, 1, 64, 96), 2, 1),
        ((1, 1, 64, 96), 5, None),
        ((1, 6, 8, 12), 5, None),
        ((1, 5, 8, 13), 5, None),
        ((2, 5, 8, 12), 5, None),
        ((5, 8, 12), 5, None),
    ],
)
def test_the_stride_is_that_of_logits_or_none(shape: tuple[int, ...], classes: int, stride: int | None) -> None:
    assert stride_of(shape, classes, SIZE) == stride


@pytest.mark.parametrize(
    ("shapes", "head"),
    [
        ({"": MAIN}, ""),
        ({"0": FEATURES, "1": MAIN}, "1"),
        ({"0": MAIN, "1": BOUNDARY}, "0"),
        ({"aux": MAIN, "out": MAIN}, "out"),
        ({"loss": (1,), "logits": MAIN, "hidden": MAIN}, "logits"),
        ({"aux": MAIN, "main": MAIN}, "main"),
    ],
)
def test_one_that_fits_or_is_named_so_is_taken(shapes: dict[str, tuple[int, ...]], head: str) -> None:
    assert head_of(shapes, 5, SIZE, None, "the network") == head


@pytest.mark.parametrize(
    "shapes",
    [
        {"0": MAIN, "1": MAIN},
        {"0": MAIN, "1": MAIN, "2": BOUNDARY},
        {"out": MAIN, "main": MAIN},
        {"a": MAIN, "b": MAIN},
    ],
)
def test_where_several_fit_the_user_is_asked(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(
        NetworkError, match=r"Try: choose the network's own logits, .*, with --output NAME\|INDEX \(head="
    ):
        head_of(shapes, 5, SIZE, None, "the network")


@pytest.mark.parametrize(("head", "chosen"), [("1", "1"), (1, "1"), ("0", "0")])
def test_the_user_picks_by_place(head: str | int, chosen: str) -> None:
    assert head_of({"0": MAIN, "1": MAIN}, 5, SIZE, head, "the network") == chosen


@pytest.mark.parametrize(("head", "chosen"), [("aux", "aux"), ("1", "main"), (0, "aux")])
def test_the_user_picks_by_name_or_place(head: str | int, chosen: str) -> None:
    assert head_of({"aux": MAIN, "main": MAIN}, 5, SIZE, head, "the network") == chosen


@pytest.mark.parametrize(
    ("head", "words"), [("2", "has no output 2"), ("depth", "has no output depth"), ("1", "output 1 of the network")]
)
def test_a_choice_that_cannot_be_is_refused(head: str, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        head_of({"0": MAIN, "1": FEATURES}, 5, SIZE, head, "the network")


def test_of_two_classes_two_channels_go_before_one() -> None:
    assert head_of({"0": (1, 1, 8, 12), "1": (1, 2, 8, 12)}, 2, SIZE, None, "the network") == "1"
