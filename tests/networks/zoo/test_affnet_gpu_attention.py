"""Several CBAMs as one module: the same values, for maps of any sizes."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.networks.zoo.affnet_fusion import ChannelSpatialAttention
from rtseg.networks.zoo.affnet_gpu_attention import FEWEST_PARTS, PARTS, JointAttention, parts_of
from tests.networks.zoo.gpu_forms import ROUNDING, relative_difference

sides = st.integers(1, 16)


@settings(max_examples=30, deadline=None)
@given(heights=st.tuples(sides, sides), widths=st.tuples(sides, sides), seed=st.integers(0, 2**31))
def test_joint_attention_weights_each_map_as_its_own_module_does(
    heights: tuple[int, int], widths: tuple[int, int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    alone, left, right = (ChannelSpatialAttention(channels).eval() for channels in (48, 32, 32))
    first, second = (
        torch.randn(1, channels, height, width, generator=generator)
        for channels, height, width in zip((48, 64), heights, widths)
    )
    with torch.inference_mode():
        got = JointAttention([[alone], [left, right]])([first, second])
        expected = [alone(first), torch.cat([left(second[:, :32]), right(second[:, 32:])], 1)]
        assert all(relative_difference(*pair) <= ROUNDING for pair in zip(got, expected))


@given(st.lists(st.integers(1, 1 << 16), min_size=1, max_size=4))
def test_every_map_divides_into_its_parts(pixels: list[int]) -> None:
    parts = parts_of(pixels)
    assert all(count % part == 0 and 1 <= part <= PARTS for count, part in zip(pixels, parts))


@given(st.integers(FEWEST_PARTS, PARTS), st.lists(st.integers(1, 1000), min_size=1, max_size=4))
def test_maps_that_have_a_number_of_parts_in_common_are_divided_alike(common: int, factors: list[int]) -> None:
    assert len(set(parts_of([common * factor for factor in factors]))) == 1


def test_maps_that_have_too_few_parts_in_common_are_divided_each_for_itself() -> None:
    assert math.gcd(23 * 30, 45 * 61) == 15
    assert parts_of([23 * 30, 45 * 61]) == [46, 61]
