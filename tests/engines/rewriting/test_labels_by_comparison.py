from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rtseg.engines.rewriting.labels_by_comparison import LABELS_BY_COMPARISON, MAX_CLASSES
from rtseg.quantization.fp16 import to_fp16
from tests.engines.lowering.lowering_graphs import graph, node, operators, weights
from tests.engines.rewriting.rewriting_graphs_b import FLOAT, INT64, UINT8, compiled, ran_as_it_is, rewritten

SIZE = (1, 5, 4, 6)


def labels(
    shape: tuple[int, ...] = SIZE, factor: int = 8, mode: str = "half_pixel", kind: int = UINT8, **argmax: Any
) -> onnx.ModelProto:
    """The picture is the scores: enlarged, ArgMax, Cast where bytes are asked for."""
    batch, classes, height, width = shape
    large = (height * factor, width * factor)
    kept = argmax.get("keepdims", 0)
    nodes = [
        node("Resize", ["image", "", "", "sizes"], "a", mode="linear", coordinate_transformation_mode=mode),
        node("ArgMax", ["a"], "output" if kind == INT64 else "b", **{"axis": 1, "keepdims": 0, **argmax}),
    ]
    if kind == UINT8:
        nodes.append(node("Cast", ["b"], "output", to=UINT8))
    result = (batch, 1, *large) if kept else (batch, *large)
    return graph(nodes, shape, result=result, kinds=(FLOAT, kind), sizes=np.array([batch, classes, *large]))


def scores(shape: tuple[int, ...], seed: int, *, tied: bool) -> NDArray[np.float32]:
    """Return random scores; tied: small whole numbers, which a factor of 2, 4 or 8 enlarges exactly."""
    random = np.random.default_rng(seed)
    if tied:
        return random.integers(-2, 3, shape).astype(np.float32)
    return random.standard_normal(shape).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(2, 20), st.integers(1, 5), st.integers(1, 5)),
    factor=st.sampled_from([2, 4, 8]),
    keepdims=st.booleans(),
    kind=st.sampled_from([UINT8, INT64]),
    seed=st.integers(0, 99),
)
def test_the_first_of_equal_scores_wins_on_every_pixel(
    shape: tuple[int, ...], factor: int, keepdims: bool, kind: int, seed: int
) -> None:
    model = labels(shape, factor, kind=kind, keepdims=int(keepdims))
    changed = rewritten(LABELS_BY_COMPARISON, model)
    assert "ArgMax" not in operators(changed) and "Resize" not in operators(changed)
    image = scores(shape, seed, tied=True)
    np.testing.assert_array_equal(ran_as_it_is(changed, image), ran_as_it_is(model, image))


@settings(deadline=None, max_examples=40)
@given(factor=st.integers(2, 9), mode=st.sampled_from(["half_pixel", "align_corners"]), seed=st.integers(0, 99))
def test_any_scores_enlarged_by_any_factor_give_the_same_labels(factor: int, mode: str, seed: int) -> None:
    model = labels(SIZE, factor, mode)
    image = scores(SIZE, seed, tied=False)
    changed = rewritten(LABELS_BY_COMPARISON, model)
    np.testing.assert_array_equal(ran_as_it_is(changed, image), ran_as_it_is(model, image))


def test_scores_at_full_size_need_no_gathers() -> None:
    nodes = [node("ArgMax", ["image"], "a", axis=1, keepdims=0), node("Cast", ["a"], "output", to=UINT8)]
    model = graph(nodes, SIZE, result=(1, 4, 6), kinds=(FLOAT, UINT8))
    changed = rewritten(LABELS_BY_COMPARISON, model)
    assert "Gather" not in operators(changed)
    image = scores(SIZE, 0, tied=True)
    np.testing.assert_array_equal(ran_as_it_is(changed, image), ran_as_it_is(model, image))


def test_in_fp16_the_class_that_wins_is_the_greatest_or_as_good() -> None:
    model = to_fp16(labels((1, 19, 8, 8))).model
    image = scores((1, 19, 8, 8), 1, tied=False)
    changed = rewritten(LABELS_BY_COMPARISON, model)
    won, first = ran_as_it_is(changed, image), ran_as_it_is(model, image)
    assert np.mean(won != first) < 0.01


def test_scores_up_to_the_end_of_fp16_do_not_overflow() -> None:
    model = to_fp16(labels((1, 3, 4, 4), factor=2)).model
    image = np.random.default_rng(3).choice([-60000, -20000, 30000, 60000], (1, 3, 4, 4)).astype(np.float32)
    changed = rewritten(LABELS_BY_COMPARISON, model)
    np.testing.assert_array_equal(ran_as_it_is(changed, image), ran_as_it_is(model, image))


def test_another_use_of_the_index_still_has_it() -> None:
    nodes = [
        node("ArgMax", ["image"], "a", axis=1, keepdims=1),
        node("Cast", ["a"], "b", to=FLOAT),
        node("Add", ["a", "one"], "c"),
        node("Cast", ["c"], "d", to=FLOAT),
        node("Mul", ["b", "d"], "output"),
    ]
    model = graph(nodes, SIZE, result=(1, 1, 4, 6), one=np.array(1))
    image = scores(SIZE, 2, tied=True)
    changed = rewritten(LABELS_BY_COMPARISON, model)
    np.testing.assert_array_equal(ran_as_it_is(changed, image), ran_as_it_is(model, image))


def test_another_maximum_stays_as_it_is() -> None:
    last = labels(select_last_index=1)
    along_rows = graph([node("ArgMax", ["image"], "output", axis=2)], SIZE, result=(1, 5, 1, 6), kinds=(FLOAT, INT64))
    many = labels((1, MAX_CLASSES + 1, 2, 2))
    flat = graph([node("ArgMax", ["image"], "output", axis=1)], (3, 5), result=(3, 1), kinds=(FLOAT, INT64))
    for model in (last, along_rows, many, flat):
        assert LABELS_BY_COMPARISON.rewrite(model) is model


def test_the_enlarged_scores_never_reach_memory() -> None:
    large = (1, 19, 256, 512)
    nodes = [
        node("Conv", ["image", "w"], "s", kernel_shape=[1, 1]),
        node("Resize", ["s", "", "", "sizes"], "a", mode="linear"),
        node("ArgMax", ["a"], "b", axis=1, keepdims=0),
        node("Cast", ["b"], "output", to=UINT8),
    ]
    ends = {"result": (1, 256, 512), "kinds": (FLOAT, UINT8)}
    model = graph(nodes, (1, 32, 32, 64), **ends, w=weights(19, 32, 1, 1), sizes=np.array(large))  # type: ignore[arg-type]
    before, after = compiled(model), compiled(rewritten(LABELS_BY_COMPARISON, model))
    assert after.kernels < before.kernels
    assert before.bytes - after.bytes >= 2 * 2 * np.prod(large)  # FP16, written and read
