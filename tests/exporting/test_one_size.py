"""Open sizes are fixed at one, and the graph computes there what the file computes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtseg.errors import OnnxError
from rtseg.exporting.one_size import settle_at
from rtseg.specs import Resolution
from tests.exporting.foreign_graphs import DYNAMIC, HEIGHT, WIDTH, random_graph

SIZE = Resolution(HEIGHT, WIDTH)


def run(model: onnx.ModelProto, given: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: given})[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("dynamic", DYNAMIC[1:])
def test_a_settled_graph_computes_what_the_file_computes_at_that_size(dynamic: str) -> None:
    for seed in range(50):
        found = random_graph(seed, dynamic=dynamic)
        settled = onnx.ModelProto()
        settled.CopyFrom(found.model)
        changes = settle_at(settled, SIZE if found.open_size else None, "the file")
        sides = [side.dim_value for side in settled.graph.input[0].type.tensor_type.shape.dim]
        assert sides == ([1, HEIGHT, WIDTH, 3] if found.channels_last_input else [1, 3, HEIGHT, WIDTH])
        assert len(changes) == {"batch": 1, "batch 4": 1, "size": 2, "all": 3}[dynamic]
        picture = np.random.default_rng(seed).standard_normal(sides).astype(np.float32)
        theirs = run(found.model, np.repeat(picture, 4, axis=0) if dynamic == "batch 4" else picture)
        np.testing.assert_array_equal(run(settled, picture), theirs[:1].reshape(run(settled, picture).shape))
        assert all(side.dim_value for side in settled.graph.output[0].type.tensor_type.shape.dim), found.words


def sized(*sides: int | str, stated: tuple[object, ...] | None = None) -> onnx.ModelProto:
    """Return a graph of one convolution whose input has those sides, and whose output states others."""
    weight = numpy_helper.from_array(np.ones((5, 3, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, stated)],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("stated", [None, ("n", "c", "h", "w"), (1, 5, 7, 7)])
def test_what_the_file_states_of_its_output_does_not_count(stated: tuple[object, ...] | None) -> None:
    model = sized("n", 3, "h", "w", stated=stated)
    settle_at(model, SIZE, "the file")
    sides = model.graph.output[0].type.tensor_type.shape.dim
    assert [side.dim_value for side in sides] == [1, 5, HEIGHT, WIDTH]


@pytest.mark.parametrize(
    ("sides", "resolution", "words"),
    [
        (
            (1, 3, "h", "w"),
            None,
            "has a dynamic shape; got 1x3xhxw; expected sizes in numbers. Try: pass --resolution",
        ),
        ((1, 3, 32, "w"), None, "got 1x3x32xw"),
        ((1, 3, 32, 48), Resolution(64, 48), "accepts only one height; got 64; expected 32"),
        ((1, 3, 32, "w"), Resolution(64, 48), "accepts only one height"),
        ((3, 32, 48), None, "is not a picture; got 3x32x48; expected 1x3xHxW"),
    ],
)
def test_a_size_that_cannot_be_is_refused(
    sides: tuple[int | str, ...], resolution: Resolution | None, words: str
) -> None:
    with pytest.raises(OnnxError) as refused:
        settle_at(sized(*sides), resolution, "the file")
    assert words in str(refused.value)
