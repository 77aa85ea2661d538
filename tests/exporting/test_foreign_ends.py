"""The ends of other tools' graphs: found, turned, and the labels are those of the file itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtseg.datasets.registry import class_spec
from rtseg.errors import NetworkError, OnnxError, SpecError
from rtseg.exporting.foreign import canonical_import
from rtseg.exporting.foreign_contract import ContractOptions
from rtseg.specs import IMAGENET_NORMALIZATION, Resolution
from tests.exporting.foreign_graphs import HEIGHT, WIDTH, labels_of, random_graph

SIZE = Resolution(HEIGHT, WIDTH)


def said(classes: int, **more: object) -> ContractOptions:
    return ContractOptions(class_spec(str(classes)), IMAGENET_NORMALIZATION, align_corners=False, **more)  # type: ignore[arg-type]


def run(model: bytes | str, given: np.ndarray) -> list[np.ndarray]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: given})  # type: ignore[no-any-return]


@pytest.mark.parametrize("seed", range(8))
def test_the_labels_are_those_of_the_file_itself(seed: int, tmp_path: Path) -> None:
    for number in range(26):
        found = random_graph(1000 * seed + number)
        path = tmp_path / f"{number}.onnx"
        onnx.save(found.model, path)
        options = said(found.classes, resolution=SIZE if found.open_size else None)
        made = canonical_import(path, said=options)
        output = made.artifact.manifest.output
        assert (output.stride, output.threshold) == (found.stride, found.threshold), found.words
        assert ("cut off" in made.account) == (found.decides or "cast scores" in found.words), found.words
        picture = np.random.default_rng(number).standard_normal((1, 3, HEIGHT, WIDTH)).astype(np.float32)
        own = np.repeat(picture.transpose(0, 2, 3, 1) if found.channels_last_input else picture, 4, axis=0)
        own = own if "batch 4" in found.words else own[:1]
        scores = run(str(made.artifact.path), picture)[0][0]
        ours = scores.argmax(0) if output.threshold is None else scores[0] > np.float32(output.threshold)
        theirs = labels_of(found, run(found.model.SerializeToString(), own)[0])
        assert (ours == theirs).mean() > 0.999, found.words


def heads(**outputs: tuple[int, int]) -> onnx.ModelProto:
    """Return a graph with those outputs: channels and stride of each."""
    numbers = np.random.default_rng(0)
    nodes, constants, values = [], [], []
    for name, (channels, stride) in outputs.items():
        weight = numbers.standard_normal((channels, 3, 1, 1)).astype(np.float32)
        constants.append(numpy_helper.from_array(weight, f"{name}.weight"))
        nodes.append(helper.make_node("Conv", ["x", f"{name}.weight"], [name], strides=[stride] * 2))
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, HEIGHT, WIDTH))
    graph = helper.make_graph(nodes, "g", [source], values, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("outputs", "taken"),
    [
        ({"aux": (5, 4), "out": (5, 4)}, "out"),
        ({"features": (64, 4), "y": (5, 4)}, "y"),
        ({"boundary": (1, 4), "y": (5, 4)}, "y"),
        ({"logits": (5, 4), "aux": (5, 8)}, "logits"),
    ],
)
def test_of_several_outputs_the_scores_are_taken(
    outputs: dict[str, tuple[int, int]], taken: str, tmp_path: Path
) -> None:
    model = heads(**outputs)
    onnx.save(model, tmp_path / "a.onnx")
    made = canonical_import(tmp_path / "a.onnx", said=said(5))
    picture = np.ones((1, 3, HEIGHT, WIDTH), np.float32)
    theirs = dict(zip(outputs, run(model.SerializeToString(), picture)))
    np.testing.assert_allclose(run(str(made.artifact.path), picture)[0], theirs[taken], rtol=1e-5, atol=1e-5)


def test_where_several_outputs_could_be_the_scores_the_user_picks(tmp_path: Path) -> None:
    model = heads(first=(5, 4), second=(5, 4))
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(NetworkError, match=r"several outputs that could be its logits.*Try: choose the network's own"):
        canonical_import(tmp_path / "a.onnx", said=said(5))
    picture = np.ones((1, 3, HEIGHT, WIDTH), np.float32)
    theirs = run(model.SerializeToString(), picture)
    for head, place in (("first", 0), ("second", 1), (1, 1), ("0", 0)):
        made = canonical_import(tmp_path / "a.onnx", tmp_path / "b.onnx", said=said(5, head=head))
        np.testing.assert_allclose(run(str(made.artifact.path), picture)[0], theirs[place], rtol=1e-5, atol=1e-5)


def single(*tail: onnx.NodeProto, channels: int = 1, constants: dict[str, np.ndarray] | None = None) -> onnx.ModelProto:
    """Return a graph whose convolution "map" is followed by those nodes, the last of which gives "y"."""
    weight = numpy_helper.from_array(np.ones((channels, 3, 1, 1), np.float32), "w")
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, HEIGHT, WIDTH))
    nodes = [helper.make_node("Conv", ["x", "w"], ["map"]), *tail]
    given = [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()]
    output = onnx.ValueInfoProto(name="y")
    output.type.tensor_type.elem_type = TensorProto.FLOAT
    graph = helper.make_graph(nodes, "g", [source], [output], [weight, *given])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


NODE = helper.make_node
SIGMOID = NODE("Sigmoid", ["map"], ["s"])
NUMBER = {"t": np.array(0.5, np.float32), "one": np.array(1.0, np.float32), "zero": np.array(0.0, np.float32)}


@pytest.mark.parametrize(
    ("tail", "threshold"),
    [
        ([NODE("Identity", ["map"], ["y"])], 0.0),
        ([NODE("Sigmoid", ["map"], ["y"])], 0.5),
        ([SIGMOID, NODE("Round", ["s"], ["y"])], 0.5),
        ([SIGMOID, NODE("Greater", ["s", "t"], ["b"]), NODE("Cast", ["b"], ["y"], to=1)], 0.5),
        ([SIGMOID, NODE("Less", ["t", "s"], ["b"]), NODE("Cast", ["b"], ["y"], to=1)], 0.5),
        ([SIGMOID, NODE("Greater", ["s", "t"], ["b"]), NODE("Where", ["b", "one", "zero"], ["y"])], 0.5),
        (
            [SIGMOID, NODE("GreaterOrEqual", ["s", "t"], ["b"]), NODE("Cast", ["b"], ["y"], to=1)],
            float(np.nextafter(np.float32(0.5), np.float32(0))),
        ),
    ],
)
def test_one_channel_is_two_classes_by_the_threshold_that_the_graph_means(
    tail: list[onnx.NodeProto], threshold: float, tmp_path: Path
) -> None:
    onnx.save(single(*tail, constants=NUMBER), tmp_path / "a.onnx")
    made = canonical_import(tmp_path / "a.onnx", said=said(2))
    assert made.artifact.manifest.output.threshold == threshold


def test_the_users_threshold_goes_before_the_usual_one(tmp_path: Path) -> None:
    onnx.save(single(NODE("Sigmoid", ["map"], ["y"])), tmp_path / "a.onnx")
    assert canonical_import(tmp_path / "a.onnx", said=said(2, threshold=0.3)).artifact.manifest.output.threshold == 0.3


def test_a_threshold_for_a_channel_of_each_class_is_refused(tmp_path: Path) -> None:
    onnx.save(single(NODE("Identity", ["map"], ["y"]), channels=2), tmp_path / "a.onnx")
    with pytest.raises(OnnxError, match="has a channel for each class"):
        canonical_import(tmp_path / "a.onnx", said=said(2, threshold=0.3))


def test_one_channel_is_no_network_of_three_classes(tmp_path: Path) -> None:
    onnx.save(single(NODE("Identity", ["map"], ["y"])), tmp_path / "a.onnx")
    with pytest.raises(SpecError, match="another number of classes; got 3; expected 2"):
        canonical_import(tmp_path / "a.onnx", said=said(3))


def test_a_mask_for_each_class_is_refused(tmp_path: Path) -> None:
    tail = [SIGMOID, NODE("Greater", ["s", "t"], ["b"]), NODE("Cast", ["b"], ["y"], to=1)]
    onnx.save(single(*tail, channels=5, constants=NUMBER), tmp_path / "a.onnx")
    with pytest.raises(NetworkError):
        canonical_import(tmp_path / "a.onnx", said=said(5))


def test_scores_in_half_precision_become_float32(tmp_path: Path) -> None:
    tail = [NODE("Cast", ["map"], ["h"], to=TensorProto.FLOAT16), NODE("Relu", ["h"], ["y"])]
    model = single(*tail, channels=3)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(model, tmp_path / "a.onnx")
    made = canonical_import(tmp_path / "a.onnx", said=said(3))
    assert "output of float16 became float32" in made.account


def test_labels_beside_their_scores_are_left_aside(tmp_path: Path) -> None:
    model = single(NODE("ArgMax", ["map"], ["labels"], axis=1), NODE("Identity", ["map"], ["y"]), channels=3)
    model.graph.output.append(helper.make_tensor_value_info("labels", TensorProto.INT64, None))
    onnx.save(model, tmp_path / "a.onnx")
    assert canonical_import(tmp_path / "a.onnx", said=said(3)).artifact.manifest.output.interface == "scores"


@pytest.mark.parametrize("resolution", [Resolution(64, 48), Resolution(32, 64)])
def test_another_size_than_that_of_the_file_is_refused(resolution: Resolution, tmp_path: Path) -> None:
    onnx.save(heads(y=(5, 4)), tmp_path / "a.onnx")
    with pytest.raises(OnnxError, match="accepts only one"):
        canonical_import(tmp_path / "a.onnx", said=said(5, resolution=resolution))


CLIP = {"low": np.array(-10, np.float32), "high": np.array(10, np.float32), "many": np.array(255, np.float32)}


@pytest.mark.parametrize(
    ("tail", "threshold"),
    [
        ([NODE("Clip", ["map", "low", "high"], ["y"])], 0.0),
        ([SIGMOID, NODE("Mul", ["s", "one"], ["y"])], 0.5),
        ([SIGMOID, NODE("MaxPool", ["s"], ["y"], kernel_shape=[3, 3], pads=[1] * 4)], 0.5),
        ([SIGMOID, NODE("Sub", ["one", "s"], ["y"])], 0.5),
    ],
)
def test_whether_one_channel_holds_probabilities_is_measured(
    tail: list[onnx.NodeProto], threshold: float, tmp_path: Path
) -> None:
    onnx.save(single(*tail, constants=NUMBER | CLIP), tmp_path / "a.onnx")
    assert canonical_import(tmp_path / "a.onnx", said=said(2)).artifact.manifest.output.threshold == threshold


@pytest.mark.parametrize(
    "tail",
    [[SIGMOID, NODE("Mul", ["s", "many"], ["y"])], [NODE("Relu", ["map"], ["y"])]],
    ids=["0 to 255", "no negative value"],
)
def test_one_channel_of_neither_needs_a_threshold(tail: list[onnx.NodeProto], tmp_path: Path) -> None:
    onnx.save(single(*tail, constants=CLIP), tmp_path / "a.onnx")
    with pytest.raises(NetworkError, match=r"holds neither logits nor probabilities.*Try: pass --threshold"):
        canonical_import(tmp_path / "a.onnx", said=said(2))
    assert canonical_import(tmp_path / "a.onnx", said=said(2, threshold=9)).artifact.manifest.output.threshold == 9


LABELS = NODE("ArgMax", ["map"], ["labels"], axis=1)
SIZES = {"sizes": np.array([1, 1, HEIGHT, WIDTH])}


@pytest.mark.parametrize(
    "tail",
    [
        [LABELS, NODE("Cast", ["labels"], ["f"], to=1), NODE("Resize", ["f", "", "", "sizes"], ["y"], mode="nearest")],
        [LABELS, NODE("Cast", ["labels"], ["f"], to=1), NODE("Mul", ["f", "many"], ["y"])],
        [NODE("Softmax", ["map"], ["p"], axis=1), NODE("ReduceMax", ["p"], ["y"], axes=[1])],
        [NODE("Cast", ["map"], ["y"], to=TensorProto.UINT8)],
    ],
    ids=["labels resized", "labels times 255", "a confidence", "scores in whole numbers"],
)
def test_what_only_looks_like_scores_is_refused(tail: list[onnx.NodeProto], tmp_path: Path) -> None:
    model = single(*tail, channels=5, constants=CLIP | SIZES)
    if tail[-1].op_type == "Cast":
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, tmp_path / "a.onnx")
    for classes in (2, 5):
        with pytest.raises(NetworkError, match=r"has the shape of logits.*ends in scores, or in ArgMax of them"):
            canonical_import(tmp_path / "a.onnx", said=said(classes))


@pytest.mark.parametrize("axes", [[0, 1], [1]])
def test_labels_without_their_first_axes_are_cut_all_the_same(axes: list[int], tmp_path: Path) -> None:
    model = single(LABELS, NODE("Squeeze", ["labels", "axes"], ["y"]), channels=5, constants={"axes": np.array(axes)})
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    onnx.save(model, tmp_path / "a.onnx")
    assert "ArgMax and Squeeze at the end cut off" in canonical_import(tmp_path / "a.onnx", said=said(5)).account


def test_one_channel_without_its_axis_gets_it_back(tmp_path: Path) -> None:
    tail = [NODE("Squeeze", ["map", "axes"], ["flat"]), NODE("Sigmoid", ["flat"], ["y"])]
    onnx.save(single(*tail, constants={"axes": np.array([1])}), tmp_path / "a.onnx")
    made = canonical_import(tmp_path / "a.onnx", said=said(2))
    assert made.artifact.manifest.output.threshold == 0.5
    assert run(str(made.artifact.path), np.ones((1, 3, HEIGHT, WIDTH), np.float32))[0].shape == (1, 1, HEIGHT, WIDTH)


def test_labels_beside_probabilities_are_left_aside(tmp_path: Path) -> None:
    model = single(LABELS, NODE("Softmax", ["map"], ["y"], axis=1), channels=3)
    model.graph.output.insert(0, helper.make_tensor_value_info("labels", TensorProto.INT64, None))
    onnx.save(model, tmp_path / "a.onnx")
    assert "cut off" not in canonical_import(tmp_path / "a.onnx", said=said(3)).account


def test_a_file_whose_scores_stand_in_a_branch_is_taken(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("inside", TensorProto.FLOAT, None)
    branches = [
        helper.make_graph([NODE(name, ["map"], ["before"]), NODE("Neg", ["before"], ["inside"])], name, [], [value])
        for name in ("Abs", "Exp")
    ]
    choice = NODE("If", ["yes"], ["y"], then_branch=branches[0], else_branch=branches[1])
    onnx.save(single(choice, channels=3, constants={"yes": np.array(True)}), tmp_path / "a.onnx")
    made = canonical_import(tmp_path / "a.onnx", said=said(3))
    assert run(str(made.artifact.path), np.ones((1, 3, HEIGHT, WIDTH), np.float32))[0].max() <= 0


def test_a_graph_that_draws_at_random_is_refused_by_name(tmp_path: Path) -> None:
    tail = [NODE("RandomNormalLike", ["map"], ["noise"]), NODE("Add", ["map", "noise"], ["y"])]
    onnx.save(single(*tail, channels=3), tmp_path / "a.onnx")
    with pytest.raises(OnnxError, match="draws at random: noise is a RandomNormalLike"):
        canonical_import(tmp_path / "a.onnx", said=said(3))
