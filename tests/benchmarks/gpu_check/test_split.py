from __future__ import annotations

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from benchmarks.gpu_check.split import LEAST_BYTES, Split, split_graph


def serialized(sizes: list[int], values: list[int]) -> bytes:
    """A model with one constant for each size in floats, each of one value: equal ones lie beside each other."""
    tensors = [
        numpy_helper.from_array(np.full(n, v, np.float32), f"c{i}") for i, (n, v) in enumerate(zip(sizes, values))
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1,)) for name in ("image", "logits")]
    node = helper.make_node("Relu", ["image"], ["logits"])
    graph = helper.make_graph([node], "constants", ends[:1], ends[1:], tensors)
    return helper.make_model(graph).SerializeToString()


def joined(split: Split) -> bytes:
    content, start = b"", 0
    for offset, constant in split.constants:
        content += split.skeleton[start:offset] + constant
        start = offset
    return content + split.skeleton[start:]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 2)), max_size=6))
def test_the_parts_of_a_graph_put_together_are_the_graph(constants: list[tuple[int, int]]) -> None:
    graph = serialized([n for n, _ in constants], [v for _, v in constants])
    split = split_graph(graph)
    assert joined(split) == graph
    assert [len(c) for _, c in split.constants] == [4 * n for n, _ in constants if 4 * n >= LEAST_BYTES]


def test_a_constant_that_is_stored_in_another_field_stays_in_the_skeleton() -> None:
    tensor = helper.make_tensor("c", TensorProto.FLOAT, (3000,), [0.5] * 3000)
    assert not tensor.raw_data
    model = onnx.load_model_from_string(serialized([], []))
    model.graph.initializer.append(tensor)
    assert split_graph(model.SerializeToString()) == Split(model.SerializeToString(), ())
