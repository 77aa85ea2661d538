"""The ONNX parser of the real TensorRT 8.5.3 reads what rtseg gives it, on a machine without a GPU.

TensorRT's network cannot exist without a GPU, its parser can: it fills a network of ours (network_double.cpp), which
says what it was told. What the parser refuses here it refuses everywhere. That the builder then finds a kernel for each
layer is not shown.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from rtseg.calibration.table import TensorRange
from rtseg.datasets.registry import class_spec
from rtseg.engines.lowering.lower import lower
from rtseg.exporting.onnx_file import export_onnx
from rtseg.exporting.tensorrt_operators import TENSORRT_8_5_OPERATORS
from rtseg.graphs.canonical import read_canonical
from rtseg.graphs.view import GraphView, attribute
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.registry import network_names
from rtseg.quantization.insertion import ENCODINGS, with_pairs
from rtseg.quantization.targets import placement_for
from rtseg.specs import Resolution
from tests.contracts.tensorrt_bundle import needs_bundle, printed

pytestmark = [pytest.mark.slow, needs_bundle]

HERE = Path(__file__).parent
SMALL = Resolution(64, 128)
CLASSES = class_spec("camvid")

CONVOLUTION, IDENTITY, RESIZE, QUANTIZE, DEQUANTIZE = 0, 21, 26, 33, 34
"""TensorRT's LayerType."""

RESIZE_MODES = {"nearest": 0, "linear": 1}
TRANSFORMATIONS = {"align_corners": 0, "asymmetric": 1, "half_pixel": 2, "pytorch_half_pixel": 2}
"""TensorRT's ResizeMode and ResizeCoordinateTransformation. PyTorch's differs in maps of one pixel only."""

HARMLESS = ("INT64 weights", "outside the range of INT32 was clamped")
"""Warnings of a constant that says "to the end" with the largest integer."""

WITHHELD = {"NonMaxSuppression", "NonZero", "RoiAlign"}
"""Operators that 8.5 parses, and denies because ONNX Runtime, which asks, cannot have them."""

LOADS = """
import ctypes, sys
from pathlib import Path
import tensorrt
parser = ctypes.CDLL(str(Path(tensorrt.__file__).with_name("libnvonnxparser.so.8")))
create = ctypes.cast(parser.createNvOnnxParser_INTERNAL, ctypes.c_void_p)
double = ctypes.CDLL(sys.argv[1])
"""
PARSES = (
    LOADS
    + """
double.parsed.argtypes, double.parsed.restype = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t), ctypes.c_char_p
for path in map(Path, sys.argv[2:]):
    content = path.read_bytes()
    path.with_suffix(".json").write_bytes(double.parsed(create, content, len(content)))
"""
)
KNOWS = (
    LOADS
    + """
double.knows.argtypes, double.knows.restype = (ctypes.c_void_p, ctypes.c_char_p), ctypes.c_bool
print(*(name for name in sys.argv[2:] if double.knows(create, name.encode())))
"""
)
TRANSLATES = """
import json, sys
from pathlib import Path
from rtseg.runners.tensorrt.messages import LogRecord, engine_error
report, record = json.loads(Path(sys.argv[1]).read_text()), LogRecord()
for severity, line in report["log"]:
    record.add(severity, line)
told = [f"node {node}: {description}" for node, description in report["errors"]]
print(engine_error("TensorRT's ONNX parser refuses the graph", [*record.errors, *told]))
"""

Report = Mapping[str, Any]


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("the network that the parser fills needs a C++ compiler")
    library = tmp_path_factory.mktemp("double") / "network_double.so"
    flags = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    subprocess.run([compiler, *flags, HERE / "network_double.cpp", "-o", library], check=True, timeout=300)
    return library


def parsed(double: Path, folder: Path, *models: onnx.ModelProto) -> list[Report]:
    """Return what the parser makes of each model."""
    paths = [folder / f"{index}.onnx" for index in range(len(models))]
    for path, model in zip(paths, models):
        path.write_bytes(model.SerializeToString())
    printed(PARSES, double, *paths)
    return [json.loads(path.with_suffix(".json").read_text()) for path in paths]


def one_node(node: onnx.NodeProto, shape: Sequence[int], opset: int = 17, **constants: Any) -> onnx.ModelProto:
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name, sizes in (("x", shape), ("y", None))
    ]
    graph = helper.make_graph([node], "one", ends[:1], ends[1:], list(constants.values()))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def described(values: Sequence[onnx.ValueInfoProto]) -> list[dict[str, Any]]:
    """Return name, type and shape of each value, as a report has them."""
    return [
        {
            "name": value.name,
            "type": helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
            "shape": [size.dim_value for size in value.type.tensor_type.shape.dim],
        }
        for value in values
    ]


def assert_read_as_meant(report: Report, model: onnx.ModelProto) -> None:
    """Every tensor that bears a name in both has the shape that ONNX gives it; the ends are those of the graph."""
    assert (report["errors"], report["faults"], report["accepted"]) == ([], [], True)
    severe = [line for severity, line in report["log"] if severity <= 2]
    assert [line for line in severe if not any(text in line for text in HARMLESS)] == []
    assert report["inputs"] == described(model.graph.input)
    assert report["outputs"] == described(model.graph.output)
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    meant = {value["name"]: value["shape"] for value in described([*graph.value_info, *graph.output])}
    read = {output["name"]: output["shape"] for layer in report["layers"] for output in layer["outputs"]}
    common = meant.keys() & read.keys()
    computed = [node for node in graph.node if node.op_type != "Constant"]
    assert len(common) > 0.9 * len(computed)
    assert {name: read[name] for name in common} == {name: meant[name] for name in common}
    resizes = [
        (
            RESIZE_MODES[attribute(node, "mode", b"nearest").decode()],
            TRANSFORMATIONS[attribute(node, "coordinate_transformation_mode", b"half_pixel").decode()],
        )
        for node in graph.node
        if node.op_type == "Resize"
    ]
    assert [(layer["mode"], layer["coordinates"]) for layer in report["layers"] if layer["kind"] == RESIZE] == resizes


@pytest.mark.parametrize("name", network_names())
def test_every_network_is_read_as_it_is_meant(name: str, double: Path, tmp_path: Path, one_core: None) -> None:
    network = network_with_random_weights(name, CLASSES, seed=1)
    for interface in ("logits", "labels"):
        export_onnx(network, SMALL, tmp_path / f"{interface}.onnx", interface=interface)
    logits, labels = (read_canonical(tmp_path / f"{interface}.onnx") for interface in ("logits", "labels"))
    view = GraphView(logits)
    ranges = dict.fromkeys([view.input, *view.activations()], TensorRange(1.0, -1.0, 1.0))
    pairs = with_pairs(view, placement_for("tensorrt", view, []), ranges, ENCODINGS["tensorrt"])
    models = [
        lower(model, precision, "flags").model
        for model, precision in ((logits, "fp16"), (pairs, "int8"), (labels, "fp16"))
    ]
    reports = parsed(double, tmp_path, *models)
    for report, model in zip(reports, models):
        assert_read_as_meant(report, model)
    assert_pairs_stay_pairs(reports[1], models[1])
    assert_bytes_are_cast_at_the_ends_only(reports[2])


def assert_pairs_stay_pairs(report: Report, model: onnx.ModelProto) -> None:
    """Each QuantizeLinear is a layer that DequantizeLinear alone reads; weights too reach a layer through a pair."""
    layers, operators = report["layers"], [node.op_type for node in model.graph.node]
    assert sum(layer["kind"] == QUANTIZE for layer in layers) == operators.count("QuantizeLinear") > 0
    for layer in layers:
        for tensor in layer["inputs"]:
            assert (tensor["type"] == "int8") == (layer["kind"] == DEQUANTIZE and tensor is layer["inputs"][0])
    through_pairs = [layer for layer in layers if layer["kind"] == CONVOLUTION and len(layer["inputs"]) == 2]
    assert len(through_pairs) > 0


def assert_bytes_are_cast_at_the_ends_only(report: Report) -> None:
    """What TensorRT asks of uint8: an Identity to float32 behind the input, and one from float32 before the output."""
    cast = []
    for layer in report["layers"]:
        types = [[tensor["type"] for tensor in layer[side]] for side in ("inputs", "outputs")]
        if "uint8" in types[0] + types[1]:
            cast.append((layer["kind"], *types[0], *types[1]))
    assert cast == [(IDENTITY, "uint8", "float32"), (IDENTITY, "float32", "uint8")]


def test_a_labels_file_that_was_not_lowered_is_refused(double: Path, tmp_path: Path, one_core: None) -> None:
    network = network_with_random_weights("fast_scnn", CLASSES, seed=1)
    export_onnx(network, SMALL, tmp_path / "labels.onnx", interface="labels")
    [report] = parsed(double, tmp_path, read_canonical(tmp_path / "labels.onnx"))
    assert not report["accepted"] and "kFLOAT" in report["errors"][0][1]


def test_an_operator_that_is_unknown_is_told_by_its_name(double: Path, tmp_path: Path) -> None:
    model = one_node(helper.make_node("Mish", ["x"], ["y"]), (1, 3, 4, 4), opset=18)
    [report] = parsed(double, tmp_path, model)
    assert not report["accepted"]
    message = printed(TRANSLATES, tmp_path / "0.json")
    assert message.startswith(
        "TensorRT's ONNX parser refuses the graph: TensorRT's ONNX parser does not know the operator Mish; got from "
    )
    assert "Try: run rtseg export again" in message and message.count("\n") == 1


def test_axes_as_an_input_are_misread_which_is_why_files_are_opset_17(double: Path, tmp_path: Path) -> None:
    axes = helper.make_tensor("axes", TensorProto.INT64, (2,), (2, 3))
    of_17 = one_node(helper.make_node("ReduceMean", ["x"], ["y"], axes=(2, 3)), (2, 3, 4, 5))
    of_18 = one_node(helper.make_node("ReduceMean", ["x", "axes"], ["y"]), (2, 3, 4, 5), opset=18, axes=axes)
    reports = parsed(double, tmp_path, of_17, of_18)
    assert [report["outputs"][0]["shape"] for report in reports] == [[2, 3, 1, 1], [1, 1, 1, 1]]
    assert all(report["accepted"] and not report["errors"] for report in reports)


def test_the_list_of_operators_is_the_parsers_own(double: Path) -> None:
    names = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    known = set(printed(KNOWS, double, *sorted(names | TENSORRT_8_5_OPERATORS)).split())
    assert known == TENSORRT_8_5_OPERATORS - WITHHELD
