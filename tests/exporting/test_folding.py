"""What does not depend on the picture becomes constants, and the graph computes the same."""

from __future__ import annotations

import io
import random
import warnings

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from rtseg.errors import OnnxError, RtsegError
from rtseg.exporting.folding import LARGEST, fold_constants
from rtseg.graphs.canonical import SHAPE_OPERATORS

NODE = helper.make_node
SIZE = (1, 3, 32, 48)


class Chunk(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        first, second, third = x.chunk(3, 1)
        return torch.cat([third, first, second], 1)


class PadToMultiple(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        padded = F.pad(x, (0, -width % 7, 0, -height % 5))
        return F.interpolate(padded, size=(height, width), mode="bilinear", align_corners=False)


class Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + F.adaptive_avg_pool2d(x, 1).expand_as(x)


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(tokens, tokens, tokens)
        return mixed.transpose(1, 2).reshape(batch, channels, height, width)


class Recomputed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(F.max_pool2d(x, 2), scale_factor=2.0, recompute_scale_factor=True)


class SliceAssignment(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x.clone()
        y[:, :, : x.shape[2] // 2] = x[:, :, x.shape[2] - x.shape[2] // 2 :]
        return y


class Grid(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        rows = torch.arange(x.shape[2], device=x.device).view(1, 1, -1, 1) / x.shape[2]
        return x * rows.float()


class Shuffle(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        return x.view(batch, 3, channels // 3, height, width).transpose(1, 2).reshape(batch, channels, height, width)


MODULES = {
    "chunk": Chunk(),
    "padding before a resize": PadToMultiple(),
    "expand_as": Gate(),
    "attention": Attention(),
    "recompute_scale_factor": Recomputed(),
    "slice assignment": SliceAssignment(),
    "a grid": Grid(),
    "a shuffle of channels": Shuffle(),
    "GroupNorm": nn.GroupNorm(3, 3),
    "Transformer": nn.Sequential(
        nn.Conv2d(3, 8, 8, 8), nn.Flatten(2), nn.TransformerEncoderLayer(24, 2, 16, batch_first=True, dropout=0)
    ),
}


def traced(module: nn.Module) -> onnx.ModelProto:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (torch.zeros(SIZE),), stream, dynamo=False, opset_version=17)  # type: ignore[arg-type]
    return onnx.load_model_from_string(stream.getvalue())


def run(model: onnx.ModelProto, given: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: given})[0]  # type: ignore[no-any-return]


def operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES.keys())
def test_sizes_that_pytorch_writes_as_nodes_become_constants(module: nn.Module) -> None:
    model = traced(module)
    picture = np.random.default_rng(0).standard_normal(SIZE).astype(np.float32)
    before = run(model, picture)
    fold_constants(model, "the graph")
    assert not operators(model) & (SHAPE_OPERATORS | {"ConstantOfShape", "Range"})
    np.testing.assert_allclose(run(model, picture), before, rtol=1e-6, atol=1e-6)
    onnx.checker.check_model(model, full_check=True)


def graph(
    *nodes: onnx.NodeProto, constants: dict[str, np.ndarray] | None = None, shape: tuple[int, ...] = SIZE
) -> onnx.ModelProto:
    """Return a graph of those nodes from x to y."""
    made = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


ARITHMETIC = ("Add", "Sub", "Mul", "Max", "Min")


@pytest.mark.parametrize("seed", range(5))
def test_any_arithmetic_on_sizes_is_folded_to_what_onnx_runtime_computes(seed: int) -> None:
    draws = random.Random(seed)
    for _ in range(10):
        nodes = [NODE("Shape", ["x"], ["shape"])]
        constants = {"two": np.array([2]), "one": np.array([1]), "three": np.array([3])}
        sizes = ["two", "one", "three"]
        for number in range(draws.randrange(2, 12)):
            name = f"n{number}"
            if draws.random() < 0.4:
                constants[f"{name}.at"] = np.array([draws.randrange(4)])
                nodes.append(NODE("Gather", ["shape", f"{name}.at"], [name], axis=0))
            else:
                nodes.append(NODE(draws.choice(ARITHMETIC), draws.choices(sizes, k=2), [name]))
            sizes.append(name)
        nodes += [
            NODE("Sum", [f"{name}.float" for name in sizes], ["total"]),
            NODE("Mul", ["x", "total"], ["y"]),
        ]
        casts = [NODE("Cast", [name], [f"{name}.float"], to=TensorProto.FLOAT) for name in sizes]
        model = graph(*nodes[:-2], *casts, *nodes[-2:], constants=constants)
        picture = np.random.default_rng(seed).standard_normal(SIZE).astype(np.float32)
        before = run(model, picture)
        fold_constants(model, "the graph")
        assert operators(model) == {"Mul"}
        np.testing.assert_array_equal(run(model, picture), before)


@pytest.mark.parametrize("condition", [True, False])
def test_of_a_branch_with_a_constant_condition_one_side_stays(condition: bool) -> None:
    value = helper.make_tensor_value_info("inside", TensorProto.FLOAT, None)
    branches = [
        helper.make_graph([NODE(name, ["x"], ["before"]), NODE("Abs", ["before"], ["inside"])], name, [], [value])
        for name in ("Neg", "Exp")
    ]
    choice = NODE("If", ["condition"], ["chosen"], then_branch=branches[0], else_branch=branches[1])
    model = graph(choice, NODE("Relu", ["chosen"], ["y"]), constants={"condition": np.array(condition)})
    picture = np.random.default_rng(0).standard_normal(SIZE).astype(np.float32)
    before = run(model, picture)
    fold_constants(model, "the graph")
    assert operators(model) == {"Neg" if condition else "Exp", "Abs", "Identity", "Relu"}
    np.testing.assert_array_equal(run(model, picture), before)


def test_two_branches_with_the_same_names_inside_do_not_meet() -> None:
    value = helper.make_tensor_value_info("inside", TensorProto.FLOAT, None)

    def branch(operator: str, source: str) -> onnx.GraphProto:
        return helper.make_graph([NODE(operator, [source], ["inside"])], operator, [], [value])

    nodes = [
        NODE("If", ["yes"], ["a"], then_branch=branch("Neg", "x"), else_branch=branch("Abs", "x")),
        NODE("If", ["no"], ["b"], then_branch=branch("Neg", "a"), else_branch=branch("Abs", "a")),
        NODE("Relu", ["b"], ["y"]),
    ]
    model = graph(*nodes, constants={"yes": np.array(True), "no": np.array(False)})
    picture = np.random.default_rng(0).standard_normal(SIZE).astype(np.float32)
    before = run(model, picture)
    fold_constants(model, "the graph")
    np.testing.assert_array_equal(run(model, picture), before)


def test_a_large_constant_stays_computed() -> None:
    side = int(LARGEST**0.5) + 1
    model = graph(
        NODE("Expand", ["one", "size"], ["large"]),
        NODE("ReduceMax", ["large"], ["most"]),
        NODE("Mul", ["x", "most"], ["y"]),
        constants={"one": np.ones(1, np.float32), "size": np.array([side, side])},
    )
    fold_constants(model, "the graph")
    assert "Expand" in operators(model)


def test_precision_that_the_file_states_stays() -> None:
    constants = {
        "w": np.ones((5, 3, 1, 1), np.int8),
        "scale": np.array(0.1, np.float32),
        "zero": np.array(0, np.int8),
    }
    model = graph(
        NODE("DequantizeLinear", ["w", "scale", "zero"], ["weight"]),
        NODE("Conv", ["x", "weight"], ["y"]),
        constants=constants,
    )
    fold_constants(model, "the graph")
    assert operators(model) == {"DequantizeLinear", "Conv"}


def test_a_size_that_depends_on_the_picture_stays() -> None:
    model = graph(
        NODE("NonZero", ["x"], ["places"]),
        NODE("Shape", ["places"], ["shape"]),
        NODE("Cast", ["shape"], ["float"], to=TensorProto.FLOAT),
        NODE("ReduceSum", ["float"], ["count"]),
        NODE("Mul", ["x", "count"], ["y"]),
    )
    fold_constants(model, "the graph")
    assert {"NonZero", "Shape"} <= operators(model)


def test_a_constant_that_is_the_output_keeps_the_outputs_name() -> None:
    model = graph(NODE("Shape", ["x"], ["shape"]), NODE("Cast", ["shape"], ["y"], to=TensorProto.FLOAT))
    fold_constants(model, "the graph")
    assert [node.output[0] for node in model.graph.node] == ["y"]
    np.testing.assert_array_equal(run(model, np.zeros(SIZE, np.float32)), SIZE)


def test_what_onnx_runtime_refuses_is_an_error_of_one_line() -> None:
    model = graph(
        NODE("Concat", ["one", "two"], ["both"], axis=0),
        NODE("Reshape", ["x", "both"], ["y"]),
        constants={"one": np.array([1]), "two": np.array([[2]])},
    )
    with pytest.raises(RtsegError) as refused:
        fold_constants(model, "the graph")
    assert isinstance(refused.value, OnnxError) or "cannot" in str(refused.value)
