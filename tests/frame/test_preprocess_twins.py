"""The C++ and the NumPy preprocessing do the same float32 operations in the same order: bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.frame import native_library
from rtseg.frame.preprocess import tensor_from_image
from rtseg.specs import ImageSpec

pytestmark = pytest.mark.skipif(native_library.core() is None, reason=native_library.why_none() or "built")


@pytest.mark.parametrize("colour_order", ["RGB", "BGR"])
@pytest.mark.parametrize("size", [(64, 96), (128, 192), (127, 55), (31, 200), (1, 1), (63, 97)])
def test_both_give_the_same_bits(size, colour_order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    native = tensor_from_image(image, ImageSpec(64, 96), colour_order=colour_order)
    monkeypatch.setenv(native_library.CHOICE, "numpy")
    plain = tensor_from_image(image, ImageSpec(64, 96), colour_order=colour_order)
    np.testing.assert_array_equal(native.view(np.int32), plain.view(np.int32))


@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    resolution=st.tuples(st.integers(16, 90), st.integers(16, 90)),
    padding=st.integers(0, 255),
    colour_order=st.sampled_from(["RGB", "BGR"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=200, deadline=None)
def test_both_letterbox_to_the_same_bits(size, resolution, padding, colour_order, seed) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    mean, std = tuple(rng.uniform(-1, 1, 3).tolist()), tuple(rng.uniform(0.01, 3, 3).tolist())
    spec = ImageSpec(*resolution, mean=mean, std=std, fit="letterbox", padding=padding)
    native = tensor_from_image(image, spec, colour_order=colour_order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(native_library.CHOICE, "numpy")
        plain = tensor_from_image(image, spec, colour_order=colour_order)
    np.testing.assert_array_equal(native.view(np.int32), plain.view(np.int32))
