from __future__ import annotations

import numpy as np
import pytest
import torch

from rtseg.frame.preprocess import tensor_from_image
from rtseg.networks.normalization import NormalizingModule
from rtseg.specs import ImageSpec, Normalization

UNLIKE_OTHERS = Normalization("RGB", 0.5, (1.0, 2.0, 3.0), (4.0, 5.0, 8.0))


def test_the_buffers_are_the_contract_as_one_product_and_one_difference() -> None:
    module = NormalizingModule(UNLIKE_OTHERS)
    assert module.factor.tolist() == [[[0.125]], [[pytest.approx(0.1)]], [[0.0625]]]
    assert module.offset.tolist() == [[[0.25]], [[pytest.approx(0.4)]], [[0.375]]]


@pytest.mark.parametrize("normalization", [Normalization(), UNLIKE_OTHERS])
def test_pixels_become_what_the_hosts_end_makes_of_them(normalization: Normalization) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    wanted = tensor_from_image(
        image, ImageSpec(32, 48, scale=normalization.scale, mean=normalization.mean, std=normalization.std)
    )
    pixels = torch.from_numpy(image).permute(2, 0, 1)
    for module, given in ((NormalizingModule(normalization), pixels), (batched(normalization), pixels[None])):
        found = module.normalized(given)
        assert (found.dtype, found.shape) == (torch.float32, given.shape)
        np.testing.assert_allclose(found.numpy().reshape(wanted.shape), wanted, rtol=0, atol=1e-4)


def batched(normalization: Normalization) -> NormalizingModule:
    return NormalizingModule(normalization, batch_axis=True)


def test_the_buffers_are_in_the_state_unless_they_are_not_to_be() -> None:
    assert set(NormalizingModule(UNLIKE_OTHERS).state_dict()) == {"factor", "offset"}
    assert set(NormalizingModule(UNLIKE_OTHERS, persistent=False).state_dict()) == set()
    assert batched(UNLIKE_OTHERS).factor.shape == (1, 3, 1, 1)
