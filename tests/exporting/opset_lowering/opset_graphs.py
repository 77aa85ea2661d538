"""Graphs of one operator of any opset, with random attributes, and what ONNX Runtime computes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from rtseg.errors import OnnxError
from rtseg.exporting.opset_lowering.opset import with_canonical_opset

NEWEST_OPSET = 26
"""The newest that ONNX Runtime 1.31 loads."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass
class Case:
    """An operator, what it is given, and which of its inputs stand in the file."""

    node: onnx.NodeProto
    given: dict[str, NDArray[Any]]
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)


def case(operator: str, *arrays: Any, outputs: int = 1, **attributes: Any) -> Case:
    """Return an operator of these inputs: arrays of floats are given, those in a list stand in the file."""
    names, given, constants = [], {}, {}
    for index, array in enumerate(arrays):
        if array is None:
            names.append("")
            continue
        names.append(f"x{index}")
        if isinstance(array, list):
            constants[names[-1]] = np.asarray(array[0])
        else:
            given[names[-1]] = np.asarray(array)
    results = [f"y{index}" for index in range(outputs)]
    return Case(helper.make_node(operator, names, results, "node", **attributes), given, constants)


def model_of(made: Case, opset: int, *, ir_version: int = 8) -> onnx.ModelProto:
    """Return a model of that operator alone, of which shapes and types of the outputs are inferred."""
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in made.given.items()
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in made.constants.items()]
    outputs = [onnx.ValueInfoProto(name=name) for name in made.node.output]
    graph = helper.make_graph([made.node], "g", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output
    if not inferred[0].type.tensor_type.elem_type:  # as of a GroupNormalization, which onnx knows nothing of
        inferred[0].type.CopyFrom(inputs[0].type)
    del model.graph.output[:]
    model.graph.output.extend(inferred)
    for value in model.graph.output if made.node.op_type.endswith("Pool") else []:
        for side in value.type.tensor_type.shape.dim:  # one that is rounded up onnx infers rightly since opset 22 only
            side.dim_param = "any"
    return model


def ran(model: onnx.ModelProto, given: Arrays) -> list[NDArray[Any]]:
    """Return what ONNX Runtime computes of the graph as it is written."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: array.copy() for name, array in given.items()})  # type: ignore[no-any-return]


def require_equal(found: list[NDArray[Any]], expected: list[NDArray[Any]], tolerance: float = 2e-6) -> None:
    """Raise AssertionError unless each differs by rounding alone: over the largest value, or not at all if whole."""
    assert [array.shape for array in found] == [array.shape for array in expected]
    for mine, theirs in zip(found, expected):
        assert mine.dtype == theirs.dtype
        if not np.issubdtype(theirs.dtype, np.floating):
            np.testing.assert_array_equal(mine, theirs)
            continue
        finite = np.abs(theirs[np.isfinite(theirs)], dtype=np.float64)
        largest = float(finite.max()) if finite.size else 0.0
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * largest)


def require_same(made: Case, opset: int, tolerance: float = 2e-6) -> list[str]:
    """Compare what an operator becomes with ONNX Runtime on the operator; return the operators in its place."""
    model = model_of(made, opset)
    lowered, _ = with_canonical_opset(model, "mine.onnx")
    onnx.checker.check_model(lowered, full_check=True)
    require_equal(ran(lowered, made.given), ran(model, made.given), tolerance)
    return [node.op_type for node in lowered.graph.node]


def told(made: Case, opset: int) -> str:
    """Return why an operator is refused."""
    with pytest.raises(OnnxError) as refused:
        with_canonical_opset(model_of(made, opset), "mine.onnx")
    return str(refused.value)


# Random operators


def floats(random: Generator, *shape: int) -> NDArray[np.float32]:
    """Return values of both signs, some of them large."""
    return (random.standard_normal(shape) * random.choice([0.1, 1, 30])).astype(np.float32)


def sides(random: Generator, rank: int, most: int = 6) -> tuple[int, ...]:
    return tuple(int(side) for side in random.integers(1, most + 1, rank))


def some_axes(random: Generator, rank: int) -> list[int]:
    """Return axes, each once, some counted from the back."""
    axes = random.permutation(rank)[: random.integers(1, rank + 1)]
    return [int(axis) - rank if random.random() < 0.4 else int(axis) for axis in axes]


def maybe(random: Generator, **attributes: Any) -> dict[str, Any]:
    """Return some of the attributes."""
    return {name: value for name, value in attributes.items() if random.random() < 0.7}


def _gelu(random: Generator, opset: int) -> Case:
    return case(
        "Gelu", floats(random, *sides(random, 3)), **maybe(random, approximate=str(random.choice(["none", "tanh"])))
    )


def _mish(random: Generator, opset: int) -> Case:
    return case("Mish", floats(random, *sides(random, 3)))


def _hard_swish(random: Generator, opset: int) -> Case:
    return case("HardSwish", floats(random, *sides(random, 3)))


def _swish(random: Generator, opset: int) -> Case:
    return case("Swish", floats(random, *sides(random, 3)), **maybe(random, alpha=float(random.uniform(0.2, 2))))


def _softmax(random: Generator, opset: int) -> Case:
    rank = int(random.integers(2, 5))
    operator = str(random.choice(["Softmax", "LogSoftmax", "Hardmax"]))
    return case(operator, floats(random, *sides(random, rank)), **maybe(random, axis=int(random.integers(-rank, rank))))


def _split(random: Generator, opset: int) -> Case:
    rank = int(random.integers(2, 5))
    axis, parts = int(random.integers(-rank, rank)), int(random.integers(1, 5))
    shape = list(sides(random, rank))
    size = int(random.integers(1, 4))
    even = size * parts
    shape[axis] = even
    array = floats(random, *shape)
    kind = random.choice(["even", "uneven", "sizes"])
    if kind == "sizes":
        sizes = random.multinomial(even - parts, [1 / parts] * parts) + 1
        if opset < 13:
            return case("Split", array, outputs=parts, axis=axis, split=[int(size) for size in sizes])
        return case("Split", array, [sizes.astype(np.int64)], outputs=parts, axis=axis)
    if opset < 18:
        return case("Split", array, outputs=parts, axis=axis)
    if kind == "uneven":
        shape[axis] = even - int(random.integers(0, size))
        array = floats(random, *shape)
    return case("Split", array, outputs=parts, axis=axis, num_outputs=parts)


def _pad(random: Generator, opset: int) -> Case:
    rank = int(random.integers(1, 5))
    shape = tuple(side + 3 for side in sides(random, rank))
    modes = ["constant", "edge", "reflect", *(["wrap"] if opset >= 19 else [])]
    mode = str(random.choice(modes))
    value = [np.float32(random.normal())] if mode == "constant" and random.random() < 0.6 else None
    axes = some_axes(random, rank) if opset >= 18 and random.random() < 0.7 else None
    least = -1 if mode == "constant" else 0
    pads = random.integers(least, 4, 2 * (rank if axes is None else len(axes)))
    return case("Pad", floats(random, *shape), [pads], value, *([] if axes is None else [[np.array(axes)]]), mode=mode)


def _reduction(random: Generator, opset: int) -> Case:
    rank = int(random.integers(1, 5))
    names = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare", "Sum"]
    name = str(random.choice(names))
    array = floats(random, *sides(random, rank, 4))
    if name in ("LogSum", "Prod"):
        array = np.abs(array) + np.float32(0.1)
    if name in ("LogSumExp", "Prod"):
        array = np.clip(array, -3, 3)
    if name in ("Max", "Min") and opset >= 20 and random.random() < 0.4:
        array = array > 0
    keep = maybe(random, keepdims=int(random.integers(0, 2)))
    axes = some_axes(random, rank)
    if opset < (13 if name == "Sum" else 18):
        return case(f"Reduce{name}", array, **keep, **maybe(random, axes=axes))
    kind = random.choice(["axes", "none", "empty"])
    noop = maybe(random, noop_with_empty_axes=int(random.integers(0, 2)))
    if kind == "none":
        return case(f"Reduce{name}", array, **keep, **noop)
    return case(f"Reduce{name}", array, [np.array(axes if kind == "axes" else [], np.int64)], **keep, **noop)


def _squeezed(random: Generator, opset: int) -> Case:
    shape = list(sides(random, 4))
    axis = int(random.integers(0, 4))
    if random.random() < 0.5:
        shape[axis] = 1
        operator = "Squeeze"
    else:
        operator = "Unsqueeze"
    array = floats(random, *shape)
    return case(operator, array, axes=[axis]) if opset < 13 else case(operator, array, [np.array([axis])])


def _group_normalization(random: Generator, opset: int) -> Case:
    groups, each = (int(number) for number in random.integers(1, 5, 2))
    shape = (int(random.integers(1, 3)), groups * each, *sides(random, int(random.integers(1, 4))))
    length = groups if opset < 21 else groups * each
    scale, bias = floats(random, length), floats(random, length)
    parameters = ([scale], [bias]) if random.random() < 0.7 else (scale, bias)
    epsilon = maybe(random, epsilon=float(random.choice([1e-5, 1e-3])))
    array = floats(random, *shape) + np.float32(random.normal())
    return case("GroupNormalization", array, *parameters, num_groups=groups, **epsilon)


def _layer_normalization(random: Generator, opset: int) -> Case:
    rank = int(random.integers(2, 5))
    shape = sides(random, rank)
    axis = int(random.integers(-rank, rank))
    scale = floats(random, *shape[axis:])
    bias = [[floats(random, *shape[axis:])]] if random.random() < 0.7 else []
    return case("LayerNormalization", floats(random, *shape), [scale], *bias, axis=axis)


def _rms_normalization(random: Generator, opset: int) -> Case:
    rank = int(random.integers(2, 5))
    shape = sides(random, rank)
    axis = int(random.integers(-rank, rank))
    epsilon = maybe(random, epsilon=float(random.choice([1e-5, 1e-3])))
    return case("RMSNormalization", floats(random, *shape), [floats(random, *shape[axis:])], axis=axis, **epsilon)


def _grid_sample(random: Generator, opset: int) -> Case:
    batch, channels, height, width = (int(side) for side in random.integers(1, 6, 4))
    modes = ["linear", "nearest", "cubic"] if opset >= 20 else ["bilinear", "nearest", "bicubic"]
    grid = random.uniform(-1.3, 1.3, (batch, *sides(random, 2), 2)).astype(np.float32)
    attributes = maybe(
        random,
        mode=str(random.choice(modes)),
        padding_mode=str(random.choice(["zeros", "border", "reflection"])),
        align_corners=int(random.integers(0, 2)),
    )
    return case("GridSample", floats(random, batch, channels, height + 1, width + 1), grid, **attributes)


def _affine_grid(random: Generator, opset: int) -> Case:
    rank = int(random.integers(2, 4))
    batch = int(random.integers(1, 3))
    size = np.array([batch, 3, *(side + 1 for side in sides(random, rank))])
    aligned = maybe(random, align_corners=int(random.integers(0, 2)))
    return case("AffineGrid", floats(random, batch, rank, rank + 1), [size], **aligned)


def _resize(random: Generator, opset: int) -> Case:
    shape = (1, int(random.integers(1, 4)), *(side + 2 for side in sides(random, 2)))
    mode = str(random.choice(["nearest", "linear", "cubic"]))
    rules = ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"]
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": str(random.choice(rules))}
    if mode == "cubic":
        attributes.update(maybe(random, cubic_coeff_a=-0.5))
    if mode == "nearest":
        attributes["nearest_mode"] = str(random.choice(["floor", "ceil", "round_prefer_floor"]))
    axes = [2, 3] if opset >= 18 and random.random() < 0.5 else None
    if axes is not None:
        axes = axes if random.random() < 0.5 else [-1, -2]
        attributes["axes"] = axes
    ones = [1, 1] if axes is None else []
    region = None if opset >= 13 else [np.zeros(0, np.float32)]
    if random.random() < 0.5:
        sizes = [int(side) for side in random.integers(2, 13, 2)]
        full = [1, shape[1], *sizes] if axes is None else sizes
        return case("Resize", floats(random, *shape), region, region, [np.array(full)], **attributes)
    scales = np.array([*ones, *random.choice([0.5, 1, 1.5, 2, 3], 2)], np.float32)
    return case("Resize", floats(random, *shape), region, [scales], **attributes)


def _average_pool(random: Generator, opset: int) -> Case:
    rank = int(random.integers(1, 3))
    kernel = [int(side) for side in random.integers(1, 4, rank)]
    dilations = [int(step) for step in random.integers(1, 3, rank)] if opset >= 19 and random.random() < 0.5 else None
    attributes = maybe(
        random,
        strides=[int(step) for step in random.integers(1, 4, rank)],
        pads=[int(random.integers(0, side)) for side in kernel * 2],
        count_include_pad=int(random.integers(0, 2)),
    )
    if opset >= 10 and random.random() < 0.5:
        attributes["ceil_mode"] = int(random.integers(0, 2))
    if dilations:
        attributes["dilations"] = dilations
    reaches = all(side >= step for side, step in zip(kernel, attributes.get("strides", kernel)))
    if "pads" not in attributes and not dilations and reaches and random.random() < 0.5:
        attributes["auto_pad"] = str(random.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    shape = (1, int(random.integers(1, 4)), *(int(side) for side in random.integers(6, 12, rank)))
    return case("AveragePool", floats(random, *shape), kernel_shape=kernel, **attributes)


def _lp_pool(random: Generator, opset: int) -> Case:
    made = _max_pool(random, opset)
    made.node.op_type = "LpPool"
    banned = {"dilations"} | ({"ceil_mode"} if opset < 18 else set())
    kept = [entry for entry in made.node.attribute if entry.name not in banned]
    del made.node.attribute[:]
    made.node.attribute.extend(kept)
    return made


def _max_pool(random: Generator, opset: int) -> Case:
    made = _average_pool(random, opset)
    kept = [entry for entry in made.node.attribute if entry.name != "count_include_pad"]
    del made.node.attribute[:]
    made.node.op_type = "MaxPool"
    made.node.attribute.extend(kept)
    return made


def _col2im(random: Generator, opset: int) -> Case:
    size = [int(side) for side in random.integers(5, 9, 2)]
    block = [int(side) for side in random.integers(1, 4, 2)]
    strides = [int(step) for step in random.integers(1, 3, 2)]
    dilations = [int(step) for step in random.integers(1, 3, 2)]
    pads = [int(side) for side in random.integers(0, 2, 4)]
    grid = [
        (size[axis] + pads[axis] + pads[2 + axis] - dilations[axis] * (block[axis] - 1) - 1) // strides[axis] + 1
        for axis in range(2)
    ]
    columns = floats(random, 1, 2 * block[0] * block[1], grid[0] * grid[1])
    attributes = {"strides": strides, "dilations": dilations, "pads": pads}
    return case("Col2Im", columns, [np.array(size)], [np.array(block)], **attributes)


def _center_crop_pad(random: Generator, opset: int) -> Case:
    rank = int(random.integers(1, 5))
    axes = some_axes(random, rank) if random.random() < 0.6 else None
    size = random.integers(1, 9, rank if axes is None else len(axes))
    attributes = {} if axes is None else {"axes": axes}
    return case("CenterCropPad", floats(random, *sides(random, rank)), [size], **attributes)


def _attention(random: Generator, opset: int) -> Case:
    heads, repeats, size, other = (int(number) for number in random.integers(1, 4, 4))
    length, kept = (int(number) for number in random.integers(1, 6, 2))
    attributes: dict[str, Any] = maybe(
        random, is_causal=int(random.integers(0, 2)), scale=float(random.uniform(0.1, 1))
    )
    if random.random() < 0.3:
        attributes["softcap"] = 2.0
    query, key, value = (
        np.tanh(floats(random, 1, heads * repeats, length, 8 * size)),
        np.tanh(floats(random, 1, heads, kept, 8 * size)),
        floats(random, 1, heads, kept, 8 * other),
    )
    if random.random() < 0.5:
        query, key, value = (
            np.ascontiguousarray(a.transpose(0, 2, 1, 3).reshape(1, a.shape[2], -1)) for a in (query, key, value)
        )
        attributes.update(q_num_heads=heads * repeats, kv_num_heads=heads)
    mask: list[Any] = []
    kind = random.choice(["none", "float", "bool", "constant"])
    if kind == "float":
        mask = [floats(random, length, kept)]
    elif kind != "none":
        seen = random.random((length, kept)) < 0.7
        seen[:, 0] = True
        mask = [seen if kind == "bool" else [seen]]
    return case("Attention", query, key, value, *mask, **attributes)


def _rotary_embedding(random: Generator, opset: int) -> Case:
    heads, length, half = (int(number) for number in random.integers(1, 5, 3))
    size = 2 * half + 2 * int(random.integers(0, 3))
    attributes = maybe(random, interleaved=int(random.integers(0, 2)))
    if size > 2 * half:
        attributes["rotary_embedding_dim"] = 2 * half
    array = floats(random, 1, heads, length, size)
    if random.random() < 0.5:
        array = np.ascontiguousarray(array.transpose(0, 2, 1, 3).reshape(1, length, -1))
        attributes["num_heads"] = heads
    if random.random() < 0.5:
        tables = floats(random, 9, half), floats(random, 9, half)
        return case("RotaryEmbedding", array, *tables, random.integers(0, 9, (1, length)), **attributes)
    return case(
        "RotaryEmbedding", array, floats(random, 1, length, half), floats(random, 1, length, half), **attributes
    )


def _quantized(random: Generator, opset: int) -> Case:
    array, scale = floats(random, 1, 3, 4, 5), np.float32(random.uniform(0.01, 1))
    if random.random() < 0.5:
        kind = random.choice([np.int8, np.uint8])
        if opset >= 21 and random.random() < 0.5:
            return case("QuantizeLinear", array, [scale], output_dtype=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))
        return case("QuantizeLinear", array, [scale], [kind(3)])
    whole = random.integers(-128, 128, (1, 3, 4, 5)).astype(np.int8)
    each = random.uniform(0.01, 1, 3).astype(np.float32)
    if opset >= 13 and random.random() < 0.5:
        return case("DequantizeLinear", whole, [each], [random.integers(-9, 9, 3).astype(np.int8)], axis=1)
    return case("DequantizeLinear", whole, [scale])


def _moved(random: Generator, opset: int) -> Case:
    array = floats(random, 2, 3, 4)
    return [
        case("Transpose", array, perm=[2, 0, 1]),
        case("Flatten", array, axis=2),
        case("Identity", array),
        case("Reshape", array, [np.array([0, -1])]),
        case("Cast", array, to=onnx.TensorProto.INT32, **({"saturate": 1} if opset >= 19 else {})),
        case("CastLike" if opset >= 15 else "Identity", array, *([[np.int64(0)]] if opset >= 15 else [])),
        case("DepthToSpace", floats(random, 1, 4, 2, 3), blocksize=2),
        case("TopK", array, [np.array([2])], outputs=2),
        case("Equal", np.round(array), [np.float32(1)]),
        case("IsNaN", array),
        case("InstanceNormalization", floats(random, 1, 3, 4, 4), [floats(random, 3)], [floats(random, 3)]),
        case("Elu", array, alpha=0.5),
        case("HardSigmoid", array, alpha=0.3),
        case("Round", array),
        case("GlobalAveragePool", floats(random, 1, 3, 4, 4)),
        case("Dropout", array, **({"ratio": 0.3} if opset < 12 else {})),
        case("Conv", floats(random, 1, 3, 6, 6), [floats(random, 4, 3, 3, 3)], pads=[1, 1, 1, 1]),
        case("ConvTranspose", floats(random, 1, 3, 4, 4), [floats(random, 3, 2, 2, 2)], strides=[2, 2]),
    ][int(random.integers(0, 18))]


MAKERS: Mapping[str, tuple[int, int, Callable[[Generator, int], Case]]] = {
    "activation: Gelu": (20, NEWEST_OPSET, _gelu),
    "activation: HardSwish": (14, NEWEST_OPSET, _hard_swish),
    "activation: Mish": (18, NEWEST_OPSET, _mish),
    "activation: Swish": (24, 24, _swish),
    "affine grid": (20, NEWEST_OPSET, _affine_grid),
    "attention": (23, NEWEST_OPSET, _attention),
    "average pool": (11, NEWEST_OPSET, _average_pool),
    "centre crop and pad": (18, NEWEST_OPSET, _center_crop_pad),
    "columns": (18, NEWEST_OPSET, _col2im),
    "grid sample": (16, NEWEST_OPSET, _grid_sample),
    "group normalization": (18, NEWEST_OPSET, _group_normalization),
    "layer normalization": (17, NEWEST_OPSET, _layer_normalization),
    "length pool": (11, NEWEST_OPSET, _lp_pool),
    "max pool": (11, NEWEST_OPSET, _max_pool),
    "moved": (11, NEWEST_OPSET, _moved),
    "pad": (11, NEWEST_OPSET, _pad),
    "quantized": (11, NEWEST_OPSET, _quantized),
    "reduction": (11, NEWEST_OPSET, _reduction),
    "resize": (11, NEWEST_OPSET, _resize),
    "root mean square": (23, NEWEST_OPSET, _rms_normalization),
    "rotary": (23, NEWEST_OPSET, _rotary_embedding),
    "softmax": (11, NEWEST_OPSET, _softmax),
    "split": (11, NEWEST_OPSET, _split),
    "squeezed": (11, NEWEST_OPSET, _squeezed),
}
"""The first and the last opset at which ONNX Runtime 1.31 has an operator, and how to make a random one."""

TOLERANCES = {
    "attention": 2e-5,  # a Softmax of sums
    "group normalization": 1e-3,  # ONNX Runtime takes the difference of two means
}
"""How much of the largest value the other order of computing may differ by, where that is more than a few roundings."""
