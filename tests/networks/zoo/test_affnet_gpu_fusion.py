"""AFFNet's fusion for a GPU's compiler: the same values, and what its last kernel sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.networks.zoo.affnet import AFFNet
from rtseg.networks.zoo.affnet_fusion import FUSIONS, TwoBranchFusion, concat_ewa
from rtseg.networks.zoo.affnet_gpu_fusion import JointFusion, is_published, sum_of_shifted_columns
from rtseg.networks.zoo.affnet_inference import TAPS, shifted_upsampling
from tests.networks.zoo.gpu_forms import ROUNDING, as_if_trained, relative_difference


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 12), more=st.integers(0, 40), seed=st.integers(0, 2**31))
def test_the_gathered_columns_are_the_product_with_the_matrix_that_upsamples_shifts_and_sums(
    width: int, more: int, seed: int
) -> None:
    taps = np.random.default_rng(seed).standard_normal((TAPS, 2, width, 3)).astype(np.float32)
    expected = np.einsum("ok,hkc->hoc", shifted_upsampling(width, width + more), np.concatenate(list(taps), 1))
    got = sum_of_shifted_columns(torch.from_numpy(taps), width + more).numpy()
    assert np.allclose(got, expected, atol=ROUNDING * np.abs(expected).max())


@pytest.mark.parametrize(
    "sizes", [((16, 32), (8, 16), (4, 8)), ((9, 13), (5, 7), (3, 4)), ((45, 60), (23, 30), (12, 15))]
)
def test_the_fusion_has_the_same_values(sizes: tuple[tuple[int, int], ...]) -> None:
    fusion = as_if_trained(concat_ewa(AFFNet.WIDTHS))
    assert isinstance(fusion, TwoBranchFusion)
    generator = torch.Generator().manual_seed(0)
    features = [
        torch.randn(1, width, *size, generator=generator) for width, size in zip(AFFNet.WIDTHS, (*sizes, sizes[-1]))
    ]
    with torch.inference_mode():
        assert relative_difference(JointFusion(fusion, AFFNet.WIDTHS)(features), fusion(features)) <= ROUNDING


def test_one_fusion_is_the_published_one() -> None:
    fusions = {name: build(AFFNet.WIDTHS) for name, build in FUSIONS.items()}
    published = [name for name, x in fusions.items() if isinstance(x, TwoBranchFusion) and is_published(x)]
    assert published == ["concat+ewa"]
