from __future__ import annotations

import numpy as np
import pytest

from tests.exporting.opset_lowering.opset_graphs import case, floats, require_same, told

RANDOM = np.random.default_rng(6)
X = floats(RANDOM, 1, 2, 7, 10)


@pytest.mark.parametrize("axes", [[2, 3], [3, 2], [-1, -2], [3]])
def test_sizes_of_some_axes_are_sizes_of_all(axes: list[int]) -> None:
    sizes = [np.array([9, 13][: len(axes)])]
    assert require_same(case("Resize", X, None, None, sizes, axes=axes, mode="linear"), 18) == ["Resize"]


def test_a_resize_that_asks_for_nothing_new_may_have_sizes_that_are_computed() -> None:
    made = case("Resize", X, None, None, np.array([1, 2, 9, 13]), mode="linear", keep_aspect_ratio_policy="stretch")
    assert require_same(made, 19) == ["Resize"]


def test_a_region_of_some_axes_is_one_of_all() -> None:
    region = [np.array([0.1, 0.2, 0.8, 0.9], np.float32)]
    rule = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    require_same(case("Resize", X, region, None, [np.array([9, 13])], axes=[2, 3], **rule), 18)


@pytest.mark.parametrize(
    ("policy", "sizes"), [("not_larger", [21, 40]), ("not_smaller", [14, 14]), ("stretch", [5, 9])]
)
def test_a_ratio_that_is_kept_is_one_scale(policy: str, sizes: list[int]) -> None:
    options = {"axes": [2, 3], "mode": "linear", "keep_aspect_ratio_policy": policy}
    require_same(case("Resize", X, None, None, [np.array(sizes)], **options), 19)


def test_a_ratio_that_rounds_sizes_up_is_refused() -> None:
    options = {"axes": [2, 3], "mode": "linear", "keep_aspect_ratio_policy": "not_larger"}
    message = told(case("Resize", X, None, None, [np.array([20, 15])], **options), 19)
    assert "got keep_aspect_ratio_policy 'not_larger', whose sizes (1, 2, 11, 15) no scale gives" in message


def test_symmetric_centres_are_plain_ones_for_whole_sizes_and_refused_for_others() -> None:
    options = {"axes": [2, 3], "mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric"}
    require_same(case("Resize", X, None, None, [np.array([9, 13])], **options), 19)
    require_same(case("Resize", X, None, [np.array([2, 1.5], np.float32)], **options), 19)
    message = told(case("Resize", X, None, [np.array([1.5, 1.3], np.float32)], **options), 19)
    assert "got half_pixel_symmetric with scales that do not give whole sizes" in message


def test_an_antialias_that_changes_nothing_is_left_out_and_another_refused() -> None:
    options = {"axes": [2, 3], "antialias": 1}
    require_same(case("Resize", X, None, None, [np.array([9, 13])], mode="linear", **options), 18)
    fractional = case("Resize", X, None, [np.array([1.3, 1], np.float32)], mode="linear", **options)
    assert "got antialias" in told(fractional, 18)
    for mode, sizes in (("linear", [5, 13]), ("cubic", [9, 13])):
        assert "got antialias" in told(case("Resize", X, None, None, [np.array(sizes)], mode=mode, **options), 18)


@pytest.mark.parametrize("mode", ["linear", "cubic", "nearest", None])
def test_the_modes_of_a_grid_sample_are_named_as_before(mode: str | None) -> None:
    grid = RANDOM.uniform(-1.2, 1.2, (1, 4, 5, 2)).astype(np.float32)
    require_same(case("GridSample", X, grid, **({"mode": mode} if mode else {})), 20)


def test_a_grid_sample_of_volumes_is_refused() -> None:
    made = case("GridSample", floats(RANDOM, 1, 2, 3, 4, 5), floats(RANDOM, 1, 2, 2, 2, 3))
    assert "got a map of 3 dimensions" in told(made, 20)


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("size", [[2, 3, 4, 5], [1, 2, 3, 4, 2]])
def test_an_affine_grid_is_a_product_with_constant_points(size: list[int], aligned: int) -> None:
    rank = len(size) - 2
    made = case("AffineGrid", floats(RANDOM, size[0], rank, rank + 1), [np.array(size)], align_corners=aligned)
    assert require_same(made, 20) == ["Transpose", "MatMul", "Reshape"]


def test_an_affine_grid_of_one_pixel_between_corners_is_refused() -> None:
    made = case("AffineGrid", floats(RANDOM, 1, 2, 3), [np.array([1, 1, 1, 5])], align_corners=1)
    assert "got align_corners along a side of one pixel" in told(made, 20)
