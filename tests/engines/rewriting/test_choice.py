from __future__ import annotations

import onnx
import pytest

from rtseg.engines.rewriting.choice import AppliedPass, repeated, rewritten, rewritten_where_it_pays
from rtseg.engines.rewriting.cost import Cost
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.errors import EngineError, QuantizationError
from rtseg.graphs.change import GraphChange
from tests.engines.lowering.lowering_graphs import graph, node
from tests.observers import Recorder


def made_of(*operators: str) -> onnx.ModelProto:
    names = ["image", *(f"t{place}" for place in range(1, len(operators))), "output"]
    return graph([node(kind, [before], after) for kind, before, after in zip(operators, names, names[1:])])


def operators_of(model: onnx.ModelProto) -> list[str]:
    return [entry.op_type for entry in model.graph.node]


def replacing(old: str, new: str) -> GraphPass:
    """A pass that puts one operator, the first of its kind, in the place of another."""

    def rewrite(model: onnx.ModelProto) -> onnx.ModelProto:
        change = GraphChange(model)
        for entry in change.view.nodes:
            if entry.op_type == old:
                change.define(entry.output[0], new, list(entry.input))
                break
        return change.result()

    return GraphPass(f"{old}-to-{new}", rewrite, carries_over=True)


PRICES = {"Exp": 50, "Tanh": 40, "Sigmoid": 30, "Relu": 20, "Abs": 10}


def cost(kernels: int, size: int) -> Cost:
    return Cost(kernels, size, 0, 0)


def judge(model: onnx.ModelProto) -> Cost:
    """A kernel for each operator, of so many bytes."""
    kinds = operators_of(model)
    if "Neg" in kinds:
        raise EngineError("refused")
    return cost(len(kinds), sum(PRICES[kind] for kind in kinds))


def test_a_pass_that_saves_bytes_is_applied_wherever_it_finds_a_place() -> None:
    made = rewritten_where_it_pays(made_of("Exp", "Relu", "Exp"), [replacing("Exp", "Tanh")], judge)
    assert operators_of(made.model) == ["Tanh", "Relu", "Tanh"]
    assert made.applied == (AppliedPass("Exp-to-Tanh", cost(0, 20)),)
    assert (made.before, made.after, made.dropped) == (cost(3, 120), cost(3, 100), ())


def test_a_pass_that_adds_bytes_is_dropped_and_named() -> None:
    model = made_of("Relu")
    made = rewritten_where_it_pays(model, [replacing("Relu", "Exp")], judge)
    assert made.model is model and made.applied == () and made.dropped == ("Relu-to-Exp",)


def test_a_pass_may_give_back_bytes_that_others_saved_where_it_lowers_the_price() -> None:
    def judged(model: onnx.ModelProto) -> Cost:
        return {"Exp": cost(9, 500), "Tanh": cost(9, 100), "Relu": cost(1, 500), "Abs": cost(0, 501)}[
            operators_of(model)[0]
        ]

    passes = [replacing("Exp", "Tanh"), replacing("Tanh", "Relu"), replacing("Relu", "Abs")]
    made = rewritten_where_it_pays(made_of("Exp"), passes, judged)
    assert operators_of(made.model) == ["Relu"] and made.dropped == ("Relu-to-Abs",)


def test_a_pass_whose_result_the_compiler_refuses_is_dropped() -> None:
    model = made_of("Relu")
    made = rewritten_where_it_pays(model, [replacing("Relu", "Neg")], judge)
    assert made.model is model and made.dropped == ("Relu-to-Neg",)


def test_a_pass_whose_result_cannot_be_lowered_is_dropped() -> None:
    def judged(model: onnx.ModelProto) -> Cost:
        if "Neg" in operators_of(model):
            raise QuantizationError("no such precision")
        return judge(model)

    model = made_of("Relu")
    assert rewritten_where_it_pays(model, [replacing("Relu", "Neg")], judged).dropped == ("Relu-to-Neg",)


def test_a_graph_that_the_compiler_refuses_is_an_error() -> None:
    with pytest.raises(EngineError, match="refused"):
        rewritten_where_it_pays(made_of("Neg"), [replacing("Neg", "Relu")], judge)


def test_a_pass_without_a_place_is_neither_applied_nor_dropped() -> None:
    made = rewritten_where_it_pays(made_of("Relu"), [replacing("Exp", "Tanh")], judge)
    assert made.applied == made.dropped == ()


def test_a_pass_finds_the_place_that_a_later_one_made() -> None:
    passes = [replacing("Relu", "Abs"), replacing("Sigmoid", "Relu")]
    made = rewritten_where_it_pays(made_of("Sigmoid"), passes, judge)
    assert operators_of(made.model) == ["Abs"]
    assert [entry.name for entry in made.applied] == ["Sigmoid-to-Relu", "Relu-to-Abs"]


def test_a_described_rewriting_is_repeated_without_compiling() -> None:
    model = made_of("Exp", "Sigmoid", "Relu")
    passes = [replacing("Exp", "Tanh"), replacing("Relu", "Exp"), replacing("Sigmoid", "Abs")]
    made = rewritten_where_it_pays(model, passes, judge)
    again = repeated(model, passes, made.to_json())
    assert again.model.SerializeToString() == made.model.SerializeToString()
    assert again.to_json() == made.to_json()


def test_a_description_with_a_pass_that_is_no_more_is_no_description() -> None:
    told = rewritten_where_it_pays(made_of("Exp"), [replacing("Exp", "Tanh")], judge).to_json()
    with pytest.raises(KeyError):
        repeated(made_of("Exp"), [], told)


def test_where_nothing_is_compiled_every_pass_with_a_place_is_applied() -> None:
    made = rewritten(made_of("Exp"), [replacing("Exp", "Tanh"), replacing("Relu", "Exp")])
    assert made.applied == (AppliedPass("Exp-to-Tanh"),) and made.before is made.after is None


def test_a_pass_that_always_finds_something_ends() -> None:
    back = replacing("Exp", "Exp")
    assert rewritten(made_of("Exp"), [back]).applied == (AppliedPass("Exp-to-Exp"),)


def test_every_pass_that_is_tried_is_told_and_the_last_step_is_the_whole() -> None:
    observer = Recorder()
    passes = [replacing("Relu", "Abs"), replacing("Exp", "Tanh")]
    rewritten_where_it_pays(made_of("Exp"), passes, judge, observer)
    assert observer.steps == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    silent = Recorder()
    rewritten_where_it_pays(made_of("Sigmoid"), passes, judge, silent)
    assert silent.steps == [(0, 4), (1, 4), (4, 4)], "no second round where nothing was applied"
