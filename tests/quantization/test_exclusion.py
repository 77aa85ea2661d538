from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from rtseg.errors import QuantizationError
from rtseg.graphs.view import GraphView
from rtseg.quantization.exclusion import matching_operators

NAMES = (
    "/network/down/down.0/Conv",
    "/network/down/down.0/Relu",
    "/network/down/down.1/Conv",
    "/network/downwards/Conv",
    "/network/fusion/attention/Conv",
    "/network/fusion/attention/Add",
    "/network/classifier/Conv",
)


def view() -> GraphView:
    nodes, before = [], "image"
    for name in NAMES:
        nodes.append(helper.make_node("Relu", [before], [f"{name}_output"], name=name))
        before = f"{name}_output"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2)) for name in ("image", before)]
    return GraphView(helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:])))


def matching(*patterns: str) -> list[str]:
    return sorted(matching_operators(view(), patterns))


def test_a_name_is_that_operator() -> None:
    assert matching("/network/down/down.0/Conv") == ["/network/down/down.0/Conv"]


@pytest.mark.parametrize("module", ["/network/down", "/network/down/"])
def test_a_module_is_all_operators_in_it_and_none_of_a_longer_name(module: str) -> None:
    assert matching(module) == sorted(NAMES[:3])


def test_a_shell_pattern_is_over_the_whole_name() -> None:
    assert matching("*/fusion/*") == sorted(NAMES[4:6])
    assert matching("*/down.?/Conv") == ["/network/down/down.0/Conv", "/network/down/down.1/Conv"]


def test_patterns_add_up() -> None:
    assert matching("/network/classifier", "*Add") == ["/network/classifier/Conv", "/network/fusion/attention/Add"]


def test_no_pattern_matches_nothing() -> None:
    assert matching() == []


@pytest.mark.parametrize(
    ("pattern", "nearest"),
    [
        ("fusion", "/network/fusion"),
        ("/network/fussion", "/network/fusion"),
        ("/network/down/down.2", "/network/down/down.1"),
        ("*/clasifier/*", "/network/classifier"),
        ("classifier", "/network/classifier"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest_names(pattern: str, nearest: str) -> None:
    with pytest.raises(QuantizationError, match="no operator matches the pattern") as refused:
        matching("/network/down", pattern)
    assert repr(pattern) in str(refused.value)
    assert nearest in str(refused.value)


@pytest.mark.parametrize("pattern", ["", "/", "CONV", "/NETWORK/down"])
def test_an_empty_pattern_or_another_case_matches_nothing(pattern: str) -> None:
    with pytest.raises(QuantizationError, match="no operator matches the pattern"):
        matching(pattern)
