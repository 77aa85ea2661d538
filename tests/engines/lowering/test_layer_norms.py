"""LayerNormalization for a TensorRT that does not know it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.lowering.layer_norms import without_layer_norms
from rtseg.engines.lowering.lower import lower
from rtseg.engines.lowering.versions import FLAGS, FORMS
from rtseg.exporting.tensorrt_operators import TENSORRT_8_5_OPERATORS, WRITTEN_OTHERWISE, unsupported_operators
from tests.engines.lowering.lowering_graphs import graph, node, operators, picture, ran, weights


def normalised(axis: int = -1, *, bias: bool = True, epsilon: float = 1e-5) -> onnx.ModelProto:
    shape = (1, 3, 4, 6)
    constants = {"scale": weights(*shape[axis:]), **({"bias": weights(*shape[axis:])} if bias else {})}
    layer = node("LayerNormalization", ["image", *constants], "output", axis=axis, epsilon=epsilon)
    return graph([layer], shape, **constants)


@settings(max_examples=30, deadline=None)
@given(
    axis=st.integers(-4, 3), bias=st.booleans(), epsilon=st.sampled_from([1e-6, 1e-5, 1e-2]), shift=st.floats(-50, 50)
)
def test_what_takes_its_place_computes_the_same(axis: int, bias: bool, epsilon: float, shift: float) -> None:
    model = normalised(axis, bias=bias, epsilon=epsilon)
    changed, number = without_layer_norms(model)
    assert number == 1
    onnx.checker.check_model(changed, full_check=True)
    assert set(operators(changed)) <= TENSORRT_8_5_OPERATORS
    array = picture(model) + np.float32(shift)
    np.testing.assert_allclose(ran(changed, array), ran(model, array), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_it_is_written_otherwise_where_the_form_is_flags_alone(form: str) -> None:
    lowered = lower(normalised(), "fp32", form)
    assert ("LayerNormalization" in operators(lowered.model)) == (form != FLAGS)
    assert ("1 LayerNormalization written as InstanceNormalization" in lowered.account) == (form == FLAGS)


def test_what_takes_its_place_goes_by_its_name() -> None:
    changed, _ = without_layer_norms(normalised())
    assert (changed.graph.node[-1].name, changed.graph.node[-1].output[0]) == ("/output", "output")


def test_a_graph_without_one_comes_back_as_it_is() -> None:
    model = graph([node("Relu", ["image"], "output")])
    assert without_layer_norms(model)[0] is model


def test_one_whose_mean_is_read_stays() -> None:
    layer = onnx.helper.make_node("LayerNormalization", ["image", "scale"], ["normal", "output"], "/both")
    model = graph([layer], (1, 3, 4, 6), result=(1, 3, 4, 1), scale=weights(6))
    changed, number = without_layer_norms(model)
    assert (changed is model, number) == (True, 0)


def test_a_graph_with_one_is_not_said_to_be_beyond_tensorrt_8_5() -> None:
    assert unsupported_operators(normalised()) == []
    assert {"LayerNormalization"} == WRITTEN_OTHERWISE
