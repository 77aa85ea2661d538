from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from rtseg.exporting.opset_lowering.opset import with_canonical_opset
from tests.exporting.opset_lowering.opset_graphs import Case, case, floats, model_of, ran, require_same, told

RANDOM = np.random.default_rng(5)


def grouped(
    array: NDArray[np.float32], groups: int, length: int, *, constant: bool = True, **attributes: object
) -> Case:
    scale, bias = floats(RANDOM, length), floats(RANDOM, length)
    parameters = ([scale], [bias]) if constant else (scale, bias)
    return case("GroupNormalization", array, *parameters, num_groups=groups, **attributes)


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 5), (1, 6, 3, 4), (1, 6, 2, 3, 2)])
def test_groups_are_scaled_by_group_before_opset_21_and_by_channel_since(
    shape: tuple[int, ...], constant: bool
) -> None:
    array = RANDOM.standard_normal(shape).astype(np.float32)
    for opset, length in ((18, 3), (20, 3), (21, 6), (26, 6)):
        require_same(grouped(array, 3, length, constant=constant), opset, 1e-4)


def test_constant_scales_need_no_operators() -> None:
    array = floats(RANDOM, 1, 4, 3, 3)
    assert require_same(grouped(array, 2, 2), 18, 1e-3) == ["Reshape", "InstanceNormalization", "Reshape", "Mul", "Add"]


def exact(array: NDArray[np.float32], made: Case, groups: int, epsilon: float) -> NDArray[np.float64]:
    """Return a group normalisation in FP64, scaled by channel."""
    batch, channels = array.shape[:2]
    rows = array.astype(np.float64).reshape(batch, groups, -1)
    normal = (rows - rows.mean(2, keepdims=True)) / np.sqrt(rows.var(2, keepdims=True) + epsilon)
    scale, bias = (made.constants[name].reshape(1, channels, 1, 1) for name in ("x1", "x2"))
    return normal.reshape(array.shape) * scale + bias


@pytest.mark.parametrize("mean", [0, 10, 300])
def test_groups_far_from_zero_are_normalised_no_worse_than_by_onnx_runtime(mean: float) -> None:
    array = (RANDOM.standard_normal((1, 8, 16, 16)) + mean).astype(np.float32)
    made = grouped(array, 2, 8, epsilon=1e-3)
    model = model_of(made, 21)
    lowered, _ = with_canonical_opset(model, "mine.onnx")
    truth = exact(array, made, 2, 1e-3)
    mine, theirs = (np.abs(ran(each, made.given)[0] - truth).max() for each in (lowered, model))
    assert mine <= max(2 * theirs, 1e-5 * np.abs(truth).max())


def test_statistics_of_halves_are_taken_in_float32() -> None:
    array = (RANDOM.standard_normal((1, 4, 8, 8)) * 300).astype(np.float16)  # whose squares no half can hold
    ones = np.ones(4, np.float16)
    made = case("GroupNormalization", array, [ones], [ones], num_groups=2)
    operators = require_same(made, 21, 2e-3)
    assert operators == ["Cast", "Reshape", "InstanceNormalization", "Reshape", "Cast", "Mul", "Add"]


def test_groups_that_do_not_fit_the_channels_are_refused() -> None:
    assert "got 4 groups of 6 channels" in told(grouped(floats(RANDOM, 1, 6, 3), 4, 4), 18)
    assert "got 3 values in x1 for 3 groups of 6 channels" in told(grouped(floats(RANDOM, 1, 6, 3), 3, 3), 21)


def test_statistics_in_another_type_are_refused() -> None:
    made = grouped(floats(RANDOM, 1, 6, 3), 3, 6, stash_type=TensorProto.DOUBLE)
    assert "got stash_type DOUBLE" in told(made, 21)


@pytest.mark.parametrize("axis", [-1, 0, 1, -3])
def test_a_root_mean_square_is_over_the_last_axes(axis: int) -> None:
    array = floats(RANDOM, 2, 3, 5)
    require_same(case("RMSNormalization", array, [floats(RANDOM, *array.shape[axis:])], axis=axis), 23)


def test_batch_statistics_as_outputs_were_training_before_opset_14_and_are_refused() -> None:
    parameters = [[np.ones(3, np.float32)]] * 4
    trained = case("BatchNormalization", floats(RANDOM, 1, 3, 4), *parameters, outputs=5)
    assert "got statistics of the batch as outputs, which is training" in told(trained, 13)
    assert require_same(case("BatchNormalization", floats(RANDOM, 1, 3, 4), *parameters), 13) == ["BatchNormalization"]
