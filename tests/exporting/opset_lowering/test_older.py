from __future__ import annotations

import numpy as np

from tests.exporting.opset_lowering.opset_graphs import case, floats, require_same

RANDOM = np.random.default_rng(14)
X = floats(RANDOM, 1, 2, 7, 10)


def test_a_dropout_with_a_ratio_is_one_without() -> None:
    assert require_same(case("Dropout", X, ratio=0.4), 11) == ["Dropout"]


def test_regions_are_read_between_pixels_as_they_were() -> None:
    region = [np.array([[0.3, 0.6, 5, 5.5]], np.float32)]
    require_same(case("RoiAlign", X, region, [np.array([0])], output_height=2, output_width=2), 11)
