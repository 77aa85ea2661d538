from __future__ import annotations

import numpy as np
import onnx

from rtseg.engines.lowering.byte_ends import with_float_ends
from tests.engines.lowering.lowering_graphs import (
    FLOAT,
    UINT8,
    element_types,
    graph,
    node,
    operators,
    picture,
    ran,
    weights,
)

LABELS = [
    node("Transpose", ["image"], "a", perm=[0, 3, 1, 2]),
    node("Cast", ["a"], "b", to=FLOAT),
    node("Mul", ["b", "factor"], "c"),
    node("Conv", ["c", "w"], "d", kernel_shape=[1, 1]),
    node("ArgMax", ["d"], "e", axis=1, keepdims=0),
    node("Cast", ["e"], "output", to=UINT8),
]


def labels() -> onnx.ModelProto:
    return graph(
        LABELS, (1, 8, 6, 3), result=(1, 8, 6), kinds=(UINT8, UINT8), factor=np.float32(0.01), w=weights(5, 3, 1, 1)
    )


def test_bytes_meet_casts_from_and_to_float32_only() -> None:
    source = labels()
    before = source.SerializeToString()
    lowered = with_float_ends(source)
    assert source.SerializeToString() == before
    assert operators(lowered) == ["Cast", "Transpose", "Mul", "Conv", "ArgMax", "Cast", "Cast"]
    kinds = element_types(lowered)
    for entry in lowered.graph.node:
        if UINT8 in (kinds[entry.input[0]], kinds[entry.output[0]]):
            assert entry.op_type == "Cast"
            assert FLOAT in (kinds[entry.input[0]], kinds[entry.output[0]])


def test_the_labels_are_the_same_bit_for_bit() -> None:
    source = labels()
    lowered = with_float_ends(source)
    onnx.checker.check_model(lowered, full_check=True)
    np.testing.assert_array_equal(ran(lowered, picture(source)), ran(source, picture(source)))


def test_a_second_time_changes_nothing() -> None:
    once = with_float_ends(labels())
    assert with_float_ends(once) == once


def test_a_graph_of_floats_comes_back_as_it_is() -> None:
    source = graph([node("Relu", ["image"], "output")])
    assert with_float_ends(source) is source


def test_a_cast_that_reads_the_bytes_already_stays_where_it_is() -> None:
    nodes = [node("Cast", ["image"], "a", to=FLOAT), node("Relu", ["a"], "output")]
    source = graph(nodes, kinds=(UINT8, FLOAT))
    assert with_float_ends(source) == source
