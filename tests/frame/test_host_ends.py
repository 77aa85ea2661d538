"""The host's two ends: what they give for each interface, in place, and with the cores they are allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rtseg.errors import ImageError, SpecError
from rtseg.frame import host_ends
from rtseg.frame.geometry import resize_labels
from rtseg.frame.host_ends import HostEnds
from rtseg.frame.preprocess import resized_image, tensor_from_image
from rtseg.frame.tail import labels_from_logits
from rtseg.specs import INTERFACES, ClassSpec, ImageSpec, OutputSpec

CLASSES = ClassSpec("", ("one", "two", "three"), ((0, 0, 0), (128, 128, 128), (255, 255, 255)))
IMAGE = ImageSpec(32, 48)
STRIDE = 8
SIZES = [(32, 48), (50, 70), (1, 1)]


def ends_of(interface: str, *, threads: int = 1, image: ImageSpec = IMAGE) -> HostEnds:
    return HostEnds(image, OutputSpec(CLASSES, interface, STRIDE, align_corners=True), threads)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height + width).integers(0, 256, (height, width, 3), np.uint8)


def logits(interface: str, dtype: str = "float32") -> np.ndarray:
    stride = STRIDE if interface == "logits" else 1
    shape = (1, len(CLASSES), IMAGE.height // stride, IMAGE.width // stride)
    return np.random.default_rng(3).standard_normal(shape).astype(dtype)


def recorded(monkeypatch: pytest.MonkeyPatch, name: str) -> list[dict[str, Any]]:
    """Return the keyword arguments of each call of a function of host_ends, which still does its work."""
    told: list[dict[str, Any]] = []
    real = getattr(host_ends, name)

    def called(*arguments: Any, **options: Any) -> Any:
        told.append(options)
        return real(*arguments, **options)

    monkeypatch.setattr(host_ends, name, called)
    return told


# An image becomes a graph's input


@pytest.mark.parametrize("colour_order", ["RGB", "BGR"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interface", INTERFACES)
def test_the_input_of_a_graph_is_what_its_contract_says(
    interface: str, size: tuple[int, int], colour_order: str
) -> None:
    spec = ImageSpec(IMAGE.height, IMAGE.width, colour_order)
    found = ends_of(interface, image=spec).graph_input(picture(*size))
    wanted = (resized_image if interface == "labels" else tensor_from_image)(picture(*size), spec)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted[None])


def test_a_tensor_comes_in_the_type_that_is_asked_for_and_pixels_as_pixels() -> None:
    half = ends_of("logits").graph_input(picture(50, 70), "float16")
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, ends_of("logits").graph_input(picture(50, 70)).astype(np.float16))
    assert ends_of("labels").graph_input(picture(50, 70), "float32").dtype == np.uint8


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("interface", "out"),
    [
        ("logits", np.empty((1, 3, 32, 48), np.float32)),
        ("scores", np.empty((1, 3, 32, 48), np.float16)),
        ("logits", np.empty((1, 32, 48, 8), np.float32)[..., :3].transpose(0, 3, 1, 2)),
        ("labels", np.empty((1, 32, 48, 3), np.uint8)),
    ],
    ids=["float32", "float16", "channels last with gaps", "pixels"],
)
def test_an_out_of_any_layout_is_filled_and_returned(interface: str, out: np.ndarray, size: tuple[int, int]) -> None:
    out[...] = 99
    assert ends_of(interface).graph_input(picture(*size), out=out) is out
    np.testing.assert_array_equal(out, ends_of(interface).graph_input(picture(*size), str(out.dtype)))


@pytest.mark.parametrize(("interface", "called"), [("logits", "tensor_from_image"), ("labels", "resized_image")])
def test_what_can_be_written_in_place_is(monkeypatch: pytest.MonkeyPatch, interface: str, called: str) -> None:
    told = recorded(monkeypatch, called)
    out = ends_of(interface).graph_input(picture(32, 48))
    ends_of(interface).graph_input(picture(50, 70), out=out)
    assert [np.shares_memory(call["out"], out) for call in told] == [True, True]


@pytest.mark.parametrize("interface", INTERFACES)
def test_what_is_no_image_is_refused(interface: str) -> None:
    with pytest.raises(ImageError, match="not an image"):
        ends_of(interface).graph_input(picture(4, 4)[..., 0])


@pytest.mark.parametrize("interface", ["logits", "labels"])
def test_an_out_that_cannot_hold_the_input_is_refused(interface: str) -> None:
    with pytest.raises(SpecError, match="out cannot hold the"):
        ends_of(interface).graph_input(picture(50, 70), out=np.empty((1, 48, 32, 3), np.float32))


# A graph's result becomes labels


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interface", ["logits", "scores"])
def test_logits_and_scores_are_interpolated_to_the_size_that_is_asked_for(
    interface: str, size: tuple[int, int], dtype: str
) -> None:
    result = logits(interface, dtype)
    height, width = size
    wanted = labels_from_logits(result[0].astype(np.float32), height=height, width=width, align_corners=True)
    out = np.full(size, 99, np.uint8)
    np.testing.assert_array_equal(ends_of(interface).labels(result, height=height, width=width), wanted)
    assert ends_of(interface).labels(result, height=height, width=width, out=out) is out
    np.testing.assert_array_equal(out, wanted)


def test_logits_whose_channels_lie_together_are_the_same_logits() -> None:
    result = logits("logits")
    together = np.ascontiguousarray(result.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    found, wanted = (ends_of("logits").labels(each, height=50, width=70) for each in (together, result))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("size", SIZES)
def test_labels_are_resized_to_the_nearest_into_an_array_of_their_own(size: tuple[int, int]) -> None:
    result = logits("scores").argmax(1).astype(np.uint8)
    height, width = size
    found = ends_of("labels").labels(result, height=height, width=width)
    np.testing.assert_array_equal(found, resize_labels(result[0], height, width))
    assert not np.shares_memory(found, result)
    out = np.full(size, 99, np.uint8)
    assert ends_of("labels").labels(result, height=height, width=width, out=out) is out
    np.testing.assert_array_equal(out, found)


# Cores


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize(("interface", "called"), [("logits", "tensor_from_image"), ("labels", "resized_image")])
def test_the_image_is_prepared_by_as_many_threads_as_are_allowed(
    monkeypatch: pytest.MonkeyPatch, interface: str, called: str, threads: int
) -> None:
    told = recorded(monkeypatch, called)
    ends = ends_of(interface, threads=threads)
    np.testing.assert_array_equal(ends.graph_input(picture(50, 70)), ends_of(interface).graph_input(picture(50, 70)))
    assert [call["threads"] for call in told] == [threads, 1]


def test_the_labels_are_made_by_as_many_threads_as_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    told = recorded(monkeypatch, "labels_from_logits")
    ends_of("logits", threads=3).labels(logits("logits"), height=50, width=70)
    assert [call["threads"] for call in told] == [3]
