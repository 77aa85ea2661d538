from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.exporting.opset_lowering.opset_graphs import Case, case, require_same, told

RANDOM = np.random.default_rng(11)
LENGTH, KEPT = 5, 7


def attending(*masks: Any, heads: int = 4, own: int = 2, outputs: int = 1, **attributes: Any) -> Case:
    query, key, value = (
        RANDOM.standard_normal(shape).astype(np.float32)
        for shape in ((1, heads, LENGTH, 8), (1, own, KEPT, 8), (1, own, KEPT, 6))
    )
    return case("Attention", query, key, value, *masks, outputs=outputs, **attributes)


@pytest.mark.parametrize("opset", [23, 24, 25])
@pytest.mark.parametrize(
    "attributes", [{}, {"is_causal": 1}, {"scale": 0.3}, {"softcap": 1.5}, {"softmax_precision": 1}]
)
def test_attention_is_two_products_and_a_softmax(opset: int, attributes: dict[str, Any]) -> None:
    require_same(attending(**attributes), opset, 2e-5)


def test_attention_without_a_mask_adds_nothing() -> None:
    assert require_same(attending(own=4), 23, 2e-5) == ["Mul", "Transpose", "MatMul", "Softmax", "MatMul"]


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("kind", ["float", "bool"])
@pytest.mark.parametrize("causal", [0, 1])
def test_a_mask_is_added_or_hides(constant: bool, kind: str, causal: int) -> None:
    mask: Any = RANDOM.standard_normal((LENGTH, KEPT)).astype(np.float32)
    if kind == "bool":
        mask = mask > -0.5
        mask[:, 0] = True
    require_same(attending([mask] if constant else mask, is_causal=causal), 23, 2e-5)


def test_a_query_that_may_see_nothing_is_refused_where_that_is_known() -> None:
    mask = np.ones((LENGTH, KEPT), bool)
    mask[2] = False
    assert "got an attention mask that hides every key from some query" in told(attending([mask]), 23)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (attending(None, np.zeros((1, 2, 3, 8), np.float32), np.zeros((1, 2, 3, 6), np.float32)), "the input past_key"),
        (attending(outputs=3), "the output present_key"),
        (attending(own=3), "4 heads of queries for 3 of keys"),
    ],
)
def test_what_keeps_state_or_does_not_fit_is_refused(made: Case, why: str) -> None:
    assert f"got {why}. Try:" in told(made, 24)
