"""One suite for both implementations of uint8 image -> normalised tensor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.errors import ImageError, SpecError
from rtseg.frame import native_library
from rtseg.frame.preprocess import resized_image, tensor_from_image
from rtseg.specs import ImageSpec

TOLERANCE = 2e-4
"""Of a normalised value. Float32 source coordinates of images up to 100 pixels wide are exact to 4e-6;
times 255, the steepest slope between pixels, / 255 / 0.2, the smallest std, that is 2e-5; torch's own
float32 coordinates are as far off on the other side. The rest is room for its order of operations."""

SPEC = ImageSpec(32, 48)


@pytest.fixture(scope="module", params=["native", "numpy"], autouse=True)
def core(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both implementations in turn; the native one where it could be built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(native_library.CHOICE, raising=False)
        if request.param == "numpy":
            patch.setenv(native_library.CHOICE, "numpy")
        elif native_library.core() is None:
            pytest.skip(native_library.why_none())
        yield request.param


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def expected(image: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """What torch gives for an image whose channels are already in the spec's order."""
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float()
    resized = F.interpolate(planes, size=(spec.height, spec.width), mode="bilinear", align_corners=False)[0]
    mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
    return ((resized * spec.scale - mean) / std).numpy()


@pytest.mark.parametrize(
    "size",
    [(32, 48), (64, 96), (16, 24), (45, 80), (33, 47), (31, 49), (100, 20), (7, 100), (1, 1), (1, 48), (32, 1), (2, 2)],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def test_a_tensor_is_what_torch_resizes_and_normalises(size: tuple[int, int]) -> None:
    image = picture(*size)
    tensor = tensor_from_image(image, SPEC)
    assert tensor.dtype == np.float32
    assert tensor.shape == (3, 32, 48)
    np.testing.assert_allclose(tensor, expected(image, SPEC), rtol=0, atol=TOLERANCE)


@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    resolution=st.tuples(st.integers(16, 70), st.integers(16, 70)),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_any_size_becomes_any_other(size, resolution, seed) -> None:
    image, spec = picture(*size, seed), ImageSpec(*resolution)
    np.testing.assert_allclose(tensor_from_image(image, spec), expected(image, spec), rtol=0, atol=TOLERANCE)


def test_an_image_of_the_right_size_is_normalised_exactly() -> None:
    image = picture(32, 48)
    mean, std = np.float32(SPEC.mean), np.float32(SPEC.std)
    exact = ((image.astype(np.float32) * np.float32(SPEC.scale) - mean) / std).transpose(2, 0, 1)
    np.testing.assert_array_equal(tensor_from_image(image, SPEC), exact)


def test_each_of_the_256_values_meets_each_channels_own_mean_and_std() -> None:
    spec = ImageSpec(16, 16, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0))
    image = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    tensor = tensor_from_image(image, spec).reshape(3, 256)
    values = np.arange(256)[None] / 255
    exact = (values - np.array(spec.mean)[:, None]) / np.array(spec.std)[:, None]
    np.testing.assert_allclose(tensor, exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(32, 48), (50, 70)])
@pytest.mark.parametrize("wanted", ["RGB", "BGR"])
@pytest.mark.parametrize("given_order", ["RGB", "BGR"])
def test_channels_are_brought_into_the_specs_order(given_order: str, wanted: str, size: tuple[int, int]) -> None:
    image, spec = picture(*size), replace(SPEC, colour_order=wanted)
    tensor = tensor_from_image(image, spec, colour_order=given_order)
    ordered = image if given_order == wanted else image[..., ::-1]
    np.testing.assert_allclose(tensor, expected(ordered, spec), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("size", [(32, 48), (50, 70)])
@pytest.mark.parametrize(
    "view",
    [
        lambda image: np.pad(image, ((0, 0), (0, 5), (0, 0)))[:, :-5],
        lambda image: np.ascontiguousarray(image[::-1])[::-1],
        lambda image: np.ascontiguousarray(image[:, ::-1])[:, ::-1],
        lambda image: np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0),
        lambda image: np.pad(image, ((0, 0), (0, 0), (0, 1)))[..., :3],
        lambda image: np.repeat(image, 2, axis=0)[::2],
        lambda image: np.asfortranarray(image),
    ],
    ids=["gaps", "bottom up", "mirrored", "planar", "rgba", "every other row", "fortran"],
)
def test_the_layout_in_memory_does_not_matter(view, size: tuple[int, int]) -> None:
    image = picture(*size)
    np.testing.assert_array_equal(tensor_from_image(view(image), SPEC), tensor_from_image(image, SPEC))


def test_one_row_repeated_without_memory_is_an_image() -> None:
    image = np.broadcast_to(picture(1, 70), (50, 70, 3))
    np.testing.assert_array_equal(tensor_from_image(image, SPEC), tensor_from_image(image.copy(), SPEC))


def test_one_pixel_that_is_a_view_with_odd_strides_is_an_image() -> None:
    pixel = np.arange(4, dtype=np.uint8).reshape(1, 1, 4)[..., [0, 1, 2]]
    np.testing.assert_array_equal(tensor_from_image(pixel, SPEC), tensor_from_image(pixel.copy(order="C"), SPEC))


def test_a_plain_colour_stays_plain_in_any_size() -> None:
    image = np.full((19, 77, 3), (10, 20, 30), np.uint8)
    spec = replace(SPEC, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    tensor = tensor_from_image(image, spec)
    np.testing.assert_allclose(tensor, np.broadcast_to([[[10]], [[20]], [[30]]], (3, 32, 48)), rtol=1e-6)


@pytest.mark.parametrize("size", [(256, 320), (201, 333)])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_does_not_change_the_tensor(threads: int, size: tuple[int, int]) -> None:
    image, spec = picture(*size), ImageSpec(256, 320)
    alone = tensor_from_image(image, spec, threads=1)
    np.testing.assert_array_equal(tensor_from_image(image, spec, threads=threads), alone)


def test_calls_from_many_threads_do_not_disturb_each_other() -> None:
    spec = ImageSpec(128, 160)
    images = [picture(100 + i, 150, seed=i) for i in range(8)]
    wanted = [tensor_from_image(image, spec) for image in images]
    equal = [False] * len(images)

    def work(i: int) -> None:
        equal[i] = all(np.array_equal(tensor_from_image(images[i], spec, threads=2), wanted[i]) for _ in range(3))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(equal)


def test_the_array_given_as_out_is_filled_and_returned() -> None:
    out = np.full((3, 32, 48), np.nan, np.float32)
    assert tensor_from_image(picture(50, 70), SPEC, out=out) is out
    np.testing.assert_array_equal(out, tensor_from_image(picture(50, 70), SPEC))


def test_the_image_is_left_as_it_was() -> None:
    image = picture(50, 70)
    image.flags.writeable = False
    tensor_from_image(image, SPEC)
    np.testing.assert_array_equal(image, picture(50, 70))


@pytest.mark.parametrize(
    "image",
    [
        picture(4, 4).astype(np.float32),
        picture(4, 4).astype(np.int8),
        picture(4, 4)[..., :1],
        picture(4, 4)[..., 0],
        picture(4, 4)[None],
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
        picture(4, 4).tolist(),
        None,
    ],
    ids=["float", "int8", "one channel", "grey", "batch", "rgba", "planar", "no rows", "no columns", "list", "none"],
)
def test_what_is_no_uint8_colour_image_is_refused(image) -> None:
    with pytest.raises(ImageError, match="image"):
        tensor_from_image(image, SPEC)


def test_an_unknown_colour_order_is_refused() -> None:
    with pytest.raises(SpecError, match="unknown colour order; got 'GBR'"):
        tensor_from_image(picture(4, 4), SPEC, colour_order="GBR")


def test_a_negative_number_of_threads_is_refused() -> None:
    with pytest.raises(SpecError, match="threads is negative"):
        tensor_from_image(picture(4, 4), SPEC, threads=-2)


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((3, 48, 32), np.float32),
        np.zeros((3, 32, 48), np.float64),
        np.zeros((32, 48, 3), np.float32).transpose(2, 0, 1),
        np.broadcast_to(np.float32(0), (3, 32, 48)),
    ],
    ids=["shape", "type", "layout", "read-only"],
)
def test_an_out_that_cannot_hold_the_tensor_is_refused(out: np.ndarray) -> None:
    with pytest.raises(SpecError, match="out cannot hold the tensor"):
        tensor_from_image(picture(4, 4), SPEC, out=out)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_a_resized_image_of_the_right_size_keeps_its_values_in_an_array_of_its_own(order: str) -> None:
    image = picture(32, 48)
    resized = resized_image(image, SPEC, colour_order=order)
    np.testing.assert_array_equal(resized, image if order == SPEC.colour_order else image[..., ::-1])
    assert resized.flags.c_contiguous and not np.shares_memory(resized, image)


def test_a_resized_image_is_refused_for_what_a_tensor_is_refused_for() -> None:
    image = picture(32, 48)
    with pytest.raises(ImageError, match="not an image"):
        resized_image(image.astype(np.float32), SPEC)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="unknown colour order"):
        resized_image(image, SPEC, colour_order="RBG")
    with pytest.raises(SpecError, match="threads"):
        resized_image(image, SPEC, threads=-1)


def test_a_resized_image_is_the_interpolation_rounded() -> None:
    image, plain = picture(50, 70), replace(SPEC, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    resized = resized_image(image, SPEC)
    assert resized.dtype == np.uint8
    assert resized.flags.c_contiguous
    distance = np.abs(resized.transpose(2, 0, 1) - expected(image, plain))
    assert distance.max() <= 0.5 + 255 * TOLERANCE


def test_a_resized_image_comes_in_the_specs_order() -> None:
    image, spec = picture(50, 70), replace(SPEC, colour_order="BGR")
    np.testing.assert_array_equal(resized_image(image, spec), resized_image(image, SPEC)[..., ::-1])


@pytest.mark.parametrize("size", [(32, 48), (50, 70)])
@pytest.mark.parametrize("out", [np.empty((32, 48, 3), np.uint8), np.empty((32, 48, 4), np.uint8)[..., :3]])
def test_a_resized_image_fills_the_array_given_as_out(out: np.ndarray, size: tuple[int, int]) -> None:
    out[...] = 99
    assert resized_image(picture(*size), SPEC, out=out) is out
    np.testing.assert_array_equal(out, resized_image(picture(*size), SPEC))


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((48, 32, 3), np.uint8),
        np.zeros((1, 32, 48, 3), np.uint8),
        np.zeros((32, 48, 3), np.int8),
        np.broadcast_to(np.uint8(0), (32, 48, 3)),
    ],
    ids=["shape", "batch", "type", "read-only"],
)
def test_an_out_that_cannot_hold_the_resized_image_is_refused(out: np.ndarray) -> None:
    with pytest.raises(SpecError, match="out cannot hold the image"):
        resized_image(picture(4, 4), SPEC, out=out)
