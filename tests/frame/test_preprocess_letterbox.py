"""One suite for both implementations: an image scaled by one factor, in the middle of its padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.errors import SpecError
from rtseg.frame.preprocess import resized_image, tensor_from_image
from rtseg.frame.window import Window, window_of
from rtseg.specs import ImageSpec
from tests.frame.references import fitted_tensor, placed

pytestmark = pytest.mark.usefixtures("core")

TOLERANCE = 2e-4
"""Of a normalised value, as in test_preprocess.py."""

SPEC = ImageSpec(32, 48, fit="letterbox")
PLAIN = {"scale": 1.0, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    resolution=st.tuples(st.integers(16, 70), st.integers(16, 70)),
    padding=st.integers(0, 255),
    colour_order=st.sampled_from(["RGB", "BGR"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=200, deadline=None)
def test_any_size_is_resized_into_its_window_and_padded_around_it(
    size, resolution, padding, colour_order, seed
) -> None:
    image, spec = picture(*size, seed), ImageSpec(*resolution, colour_order, fit="letterbox", padding=padding)
    ordered = image if colour_order == "RGB" else image[..., ::-1]
    np.testing.assert_allclose(tensor_from_image(image, spec), fitted_tensor(ordered, spec), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("size", [(32, 20), (17, 48), (20, 90), (1, 1), (64, 96)])
def test_the_window_has_the_very_values_of_the_image_stretched_to_it(size: tuple[int, int]) -> None:
    image = picture(*size)
    window = placed(SPEC, *size)
    inside = window.cut(tensor_from_image(image, SPEC))
    if min(window.height, window.width) >= 16:
        stretched = tensor_from_image(image, ImageSpec(window.height, window.width))
        np.testing.assert_array_equal(inside, stretched)
    else:
        np.testing.assert_allclose(inside, window.cut(fitted_tensor(image, SPEC)), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("padding", [0, 114, 255])
def test_all_around_the_window_is_the_padding_normalised_as_a_pixel_is(padding: int) -> None:
    spec = replace(SPEC, padding=padding)
    tensor = tensor_from_image(picture(40, 20), spec)
    pixel = tensor_from_image(np.full((32, 48, 3), padding, np.uint8), spec)
    window = window_of(spec, 40, 20)
    assert window == Window(32, 48, 0, 16, 32, 16)
    np.testing.assert_array_equal(tensor[:, :, :16], pixel[:, :, :16])
    np.testing.assert_array_equal(tensor[:, :, 32:], pixel[:, :, 32:])


def test_an_image_of_the_canvas_shape_is_stretched_to_it() -> None:
    for size in [(32, 48), (64, 96), (2, 3)]:
        image = picture(*size)
        np.testing.assert_array_equal(tensor_from_image(image, SPEC), tensor_from_image(image, ImageSpec(32, 48)))


@pytest.mark.parametrize("size", [(20, 50), (48, 32), (32, 20)])
@pytest.mark.parametrize(
    "view",
    [
        lambda image: np.pad(image, ((0, 0), (0, 5), (0, 0)))[:, :-5],
        lambda image: np.ascontiguousarray(image[::-1])[::-1],
        lambda image: np.asfortranarray(image),
    ],
    ids=["gaps", "bottom up", "fortran"],
)
def test_the_layout_in_memory_does_not_matter(view, size: tuple[int, int]) -> None:
    image = picture(*size)
    np.testing.assert_array_equal(tensor_from_image(view(image), SPEC), tensor_from_image(image, SPEC))


@pytest.mark.parametrize("threads", [1, 2, 64])
def test_the_number_of_threads_does_not_change_the_tensor(threads: int) -> None:
    spec, image = ImageSpec(320, 400, fit="letterbox"), picture(200, 500)
    np.testing.assert_array_equal(
        tensor_from_image(image, spec, threads=threads), tensor_from_image(image, spec, threads=1)
    )


def test_the_array_given_as_out_is_filled_wholly() -> None:
    out = np.full((3, 32, 48), np.nan, np.float32)
    assert tensor_from_image(picture(40, 20), SPEC, out=out) is out
    np.testing.assert_array_equal(out, tensor_from_image(picture(40, 20), SPEC))
    with pytest.raises(SpecError, match="out cannot hold the tensor"):
        tensor_from_image(picture(40, 20), SPEC, out=np.empty((3, 32, 32), np.float32))


@pytest.mark.parametrize("colour_order", ["RGB", "BGR"])
@pytest.mark.parametrize("size", [(40, 20), (32, 20), (32, 48)])
def test_a_resized_image_is_the_interpolation_rounded_in_the_middle_of_its_padding(size, colour_order: str) -> None:
    spec = replace(SPEC, colour_order=colour_order, padding=7)
    image = picture(*size)
    resized = resized_image(image, spec)
    ordered = image if colour_order == "RGB" else image[..., ::-1]
    assert (resized.dtype, resized.shape) == (np.uint8, (32, 48, 3))
    plain = fitted_tensor(ordered, replace(spec, **PLAIN))
    assert np.abs(resized.transpose(2, 0, 1) - plain).max() <= 0.5 + 255 * TOLERANCE
    if size[1] == 20:
        assert (resized[:, :12] == 7).all() and (resized[:, 36:] == 7).all()
