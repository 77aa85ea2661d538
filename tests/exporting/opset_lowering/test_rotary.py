from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.exporting.opset_lowering.opset_graphs import case, floats, require_same

RANDOM = np.random.default_rng(15)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("part", [0, 4])
@pytest.mark.parametrize("placed", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_pairs_are_turned_by_the_angle_of_their_place(
    interleaved: int, part: int, placed: bool, together: bool
) -> None:
    heads, length, size = 2, 3, 8
    half = (part or size) // 2
    attributes: dict[str, Any] = {"interleaved": interleaved, "rotary_embedding_dim": part}
    shape = (1, length, heads * size) if together else (1, heads, length, size)
    if together:
        attributes["num_heads"] = heads
    if placed:
        tables, places = (floats(RANDOM, 9, half), floats(RANDOM, 9, half)), [np.array([[4, 0, 8]])]
    else:
        tables, places = (floats(RANDOM, 1, length, half), floats(RANDOM, 1, length, half)), []
    require_same(case("RotaryEmbedding", floats(RANDOM, *shape), *tables, *places, **attributes), 23)
