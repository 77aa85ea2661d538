from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.exporting.opset_lowering.opset_graphs import case, floats, require_same

RANDOM = np.random.default_rng(16)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("groups", [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("windows", [{}, {"strides": [2, 1], "pads": [1, 2, 1, 0], "dilations": [1, 2]}])
def test_taps_are_read_where_their_offsets_say(
    masked: bool, groups: tuple[int, int], windows: dict[str, list[int]]
) -> None:
    group, offset_group = groups
    strides, pads, dilations = (
        windows.get(key, default) for key, default in (("strides", [1, 1]), ("pads", [0] * 4), ("dilations", [1, 1]))
    )
    rows, columns = (
        (side + pads[axis] + pads[2 + axis] - dilations[axis] * 2 - 1) // strides[axis] + 1
        for axis, side in enumerate((7, 9))
    )
    offsets = RANDOM.uniform(-3, 3, (1, offset_group * 18, rows, columns)).astype(np.float32)
    inputs: list[Any] = [floats(RANDOM, 1, 4, 7, 9), [floats(RANDOM, 6, 4 // group, 3, 3)], offsets]
    inputs.append([floats(RANDOM, 6)])
    if masked:
        inputs.append(RANDOM.random((1, offset_group * 9, rows, columns)).astype(np.float32))
    made = case("DeformConv", *inputs, group=group, offset_group=offset_group, **windows)
    for opset in (19, 22):
        assert require_same(made, opset, 1e-5)[-1] == "Conv"


def test_weights_may_be_computed_and_a_bias_be_left_out() -> None:
    offsets = np.zeros((1, 18, 5, 5), np.float32)
    require_same(case("DeformConv", floats(RANDOM, 1, 2, 7, 7), floats(RANDOM, 3, 2, 3, 3), offsets), 19, 1e-5)
