"""Two files layer by layer: planted faults are found where they are, and nothing is found where nothing is."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("polygraphy")

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.manifest import manifest_path, read_manifest, write_manifest
from rtseg.cli.drift_command import drift as drift_command
from rtseg.datasets.pictures import PictureSource
from rtseg.datasets.registry import open_pictures
from rtseg.engines.openvino_building import build_openvino
from rtseg.errors import DatasetError, ManifestError, MissingDependencyError, OnnxError, RunnerError, SpecError
from rtseg.graphs.canonical import read_canonical
from rtseg.graphs.view import GraphView
from rtseg.observer import Observer
from rtseg.quantization import drift_runs
from rtseg.quantization.drift_count import ErrorSum, LayerCount
from rtseg.quantization.drift_graphs import common_tensors
from rtseg.quantization.files import int8_graph, read_original, read_table
from rtseg.quantization.fp16 import to_fp16
from rtseg.quantization.layer_drift import Drift, measured_drift

CONV = "/network/unit2/unit2.1/block/block.2/block.2.0/Conv"
SCENES = "streets:64x64"
Twin = Callable[..., Path]


@pytest.fixture(scope="module")
def pictures() -> PictureSource:
    return open_pictures(SCENES, "val")


@pytest.fixture(scope="module")
def half(affnet_file: Path) -> bytes:
    """affnet in FP16."""
    return to_fp16(read_canonical(affnet_file)).model.SerializeToString()


@pytest.fixture(scope="module")
def quantized(affnet_file: Path, affnet_table: Path) -> dict[str, bytes]:
    """affnet in INT8 by target."""
    original = read_original(affnet_file)
    table = read_table(affnet_table, original)
    return {
        target: int8_graph(original, table, target=target)[0].SerializeToString()
        for target in ("tensorrt", "onnxruntime")
    }


@pytest.fixture
def twin(affnet_file: Path, tmp_path: Path) -> Twin:
    """Write a graph with the manifest of the affnet_file file, or one that differs from it in some fields."""

    def written(model: onnx.ModelProto, precision: str = "fp32", **fields: object) -> Path:
        path = tmp_path / "twin.onnx"
        path.write_bytes(model.SerializeToString())
        told = replace(read_manifest(affnet_file, kind="onnx"), precision=precision, **fields)  # type: ignore[arg-type]
        write_manifest(path, told)
        return path

    return written


def changed(model: onnx.ModelProto, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace the value of a constant."""
    (entry,) = (entry for entry in model.graph.initializer if entry.name == name)
    value = numpy_helper.to_array(entry)
    entry.CopyFrom(numpy_helper.from_array(change(value.copy()).astype(value.dtype), name))


def operator(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    (node,) = (node for node in model.graph.node if node.name == name)
    return node


def drifted(reference: Path, other: Path, pictures: PictureSource, **settings: Any) -> Drift:
    return measured_drift(Artifact.open(reference), Artifact.open(other), pictures, **settings)


@pytest.mark.parametrize("target", ["tensorrt", "onnxruntime"])
def test_a_scale_of_weights_that_is_wrong_by_4_puts_its_operator_first(
    target: str, quantized: dict[str, bytes], affnet_file: Path, twin: Twin, pictures: PictureSource
) -> None:
    model = onnx.load_from_string(quantized[target])
    clean = drifted(affnet_file, twin(model, "int8"), pictures, images=1, threads=1)
    weight = operator(model, CONV).input[1]
    reader = GraphView(model).producer(weight)
    assert reader is not None and reader.op_type == "DequantizeLinear"
    (there,) = (node for node in model.graph.node if weight in node.output)
    scale = next(entry for entry in model.graph.initializer if entry.name == there.input[1])
    model.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(scale) * 4, "wrong"))
    there.input[1] = "wrong"
    found = drifted(affnet_file, twin(model, "int8"), pictures, images=1, threads=1)
    worst, *others = found.ranked()
    assert (worst.operator, worst.operator_type) == (CONV, "Conv")
    assert worst.added > 2 > 4 * others[0].added
    assert worst.error_out > 2 * worst.error_in
    assert clean.ranked()[0].added < 0.5
    place = found.layers.index(worst)
    assert found.layers[:place] == clean.layers[:place], "what comes before the fault knows nothing of it"
    added = [[layer.added for layer in each.layers[place + 1 :]] for each in (found, clean)]
    assert added[0] == added[1], "what comes behind adds no more than it did"


def test_a_wrong_bias_in_fp16_puts_its_operator_first_and_is_the_first_beyond(
    half: bytes, affnet_file: Path, twin: Twin, pictures: PictureSource
) -> None:
    model = onnx.load_from_string(half)
    changed(model, operator(model, CONV).input[2], lambda bias: bias + np.float16(0.5))
    found = drifted(affnet_file, twin(model, "fp16"), pictures, images=2, threads=1)
    assert found.pictures == 2
    assert found.ranked()[0].operator == CONV
    assert found.ranked()[1].added < 0.01 < found.ranked()[0].added
    first = found.first_beyond(0.02)
    assert first is not None and first.operator == CONV
    assert found.first_beyond(1e9) is None


def test_two_equal_files_do_not_drift(affnet_file: Path, pictures: PictureSource) -> None:
    told: list[tuple[float, float | None]] = []
    observer = Observer()
    observer.progress = lambda task, done, total, detail="": told.append((done, total))  # type: ignore[method-assign]
    found = drifted(affnet_file, affnet_file, pictures, images=1, threads=1, observer=observer)
    assert told == [(index + 1, len(found.layers)) for index in range(len(found.layers))]
    assert len(found.layers) > 100
    assert {error for layer in found.layers for error in (layer.error_in, layer.error_out, layer.added)} == {0.0}
    assert (found.output_error, found.label_difference, found.interface) == (0.0, 0.0, "logits")


def test_the_error_at_the_end_is_that_of_the_files_as_a_whole(
    quantized: dict[str, bytes], affnet_file: Path, twin: Twin, pictures: PictureSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load_from_string(quantized["tensorrt"])
    path = twin(model, "int8")
    found = drifted(affnet_file, path, pictures, images=1, threads=1)
    whole = as_engine(affnet_file, path, pictures, monkeypatch)
    assert whole.layers == ()
    assert found.layers[-1].tensor == GraphView(model).output
    assert found.output_error == found.layers[-1].error_out == pytest.approx(whole.output_error, rel=1e-5)
    assert found.label_difference == pytest.approx(whole.label_difference, abs=1e-3)
    assert 0 < found.label_difference < 1


def as_engine(reference: Path, path: Path, pictures: PictureSource, monkeypatch: pytest.MonkeyPatch) -> Drift:
    """Compare with what stands for an engine: its runner is Polygraphy's for ONNX Runtime."""
    from polygraphy.backend.onnxrt import OnnxrtRunner

    content = path.read_bytes()
    write_manifest(path, replace(read_manifest(path, kind="onnx"), kind="engine"))
    monkeypatch.setattr(
        drift_runs, "_engine_runner", lambda *given: OnnxrtRunner(drift_runs._session(content, 1), name="tensorrt")
    )
    return drifted(reference, path, pictures, images=1, threads=1)


def test_the_result_as_json_names_every_layer_and_the_worst_first(
    half: bytes, affnet_file: Path, twin: Twin, tmp_path: Path
) -> None:
    path = twin(onnx.load_from_string(half), "fp16")
    arguments = [affnet_file, path, "--data", SCENES, "--images", 1, "--threads", 1, "--threshold", 0.01, "--json"]
    facts = json.loads(called(*arguments).stdout)
    assert (facts["reference"], facts["other"]) == (str(affnet_file), str(path))
    assert (facts["data"], facts["split"], facts["pictures"], facts["interface"]) == ("streets", "val", 1, "logits")
    layers = {layer["tensor"]: layer for layer in facts["layers"]}
    assert list(layers) == [layer["tensor"] for layer in facts["layers"]]
    assert sorted(facts["ranked"]) == sorted(layers)
    added = [layers[tensor]["added"] for tensor in facts["ranked"]]
    assert added == sorted(added, reverse=True) and added[0] > 0
    assert set(facts["layers"][0]) == {"operator", "operator_type", "tensor", "error_in", "error_out", "added"}
    assert facts["threshold"] == pytest.approx(1e-4)
    assert layers[facts["first_beyond"]]["error_out"] > 1e-4
    assert 0 < facts["output_error"] < 0.05 and 0 <= facts["label_difference"] < 0.1


def test_the_table_shows_as_many_layers_as_asked_and_nothing_else_is_printed(
    half: bytes, affnet_file: Path, twin: Twin, capfd: pytest.CaptureFixture[str]
) -> None:
    path = twin(onnx.load_from_string(half), "fp16")
    text = called(
        affnet_file, path, "--data", SCENES, "--images", 1, "--threads", 1, "--top", 3, "--threshold", 5
    ).stdout
    assert "the 3 of 204 layers that add most" in text
    assert sum("Conv" in line for line in text.splitlines()) == 3
    assert "no layer is off by more than 5 %" in text
    assert "of the labels differ (pictures: 1 of streets val)" in text
    assert capfd.readouterr() == ("", "")


def called(*arguments: object) -> Result:
    outcome = CliRunner().invoke(drift_command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return outcome


def test_files_of_different_contracts_are_refused(affnet_file: Path, twin: Twin, pictures: PictureSource) -> None:
    image = replace(read_manifest(affnet_file, kind="onnx").image, mean=(0.0, 0.0, 0.0))
    path = twin(read_canonical(affnet_file), image=image)
    told = r"have different contracts; got mean .*0.0.*; expected mean .*0.485.*Try: run rtseg quantize"
    with pytest.raises(SpecError, match=told):
        drifted(affnet_file, path, pictures)


def test_a_file_that_is_not_what_its_manifest_says_is_refused(
    export_copy: Path, affnet_file: Path, pictures: PictureSource
) -> None:
    export_copy.write_bytes(export_copy.read_bytes() + b" ")
    with pytest.raises(ManifestError, match="does not match its manifest"):
        drifted(affnet_file, export_copy, pictures)


def test_no_picture_is_refused(affnet_file: Path, pictures: PictureSource) -> None:
    with pytest.raises(DatasetError, match="no picture to compare on; got 0"):
        drifted(affnet_file, affnet_file, pictures, images=0)


def test_missing_polygraphy_is_named_with_its_extra(
    affnet_file: Path, pictures: PictureSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polygraphy", None)
    with pytest.raises(MissingDependencyError, match=r"layer by layer needs the package polygraphy.*rtseg\[report\]"):
        drifted(affnet_file, affnet_file, pictures)


def test_an_engine_without_tensorrt_is_refused_by_name(
    export_copy: Path, exported: Path, pictures: PictureSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    write_manifest(export_copy, replace(read_manifest(export_copy, kind="onnx"), kind="engine"))
    with pytest.raises(MissingDependencyError, match=r"running an engine needs the package tensorrt.*rtseg\[gpu\]"):
        drifted(exported, export_copy, pictures)


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
def test_of_a_model_of_openvino_the_outputs_alone_are_compared(
    export_copy: Path, pictures: PictureSource, tmp_path: Path
) -> None:
    stored = build_openvino(export_copy, tmp_path / "m.xml").path
    found = drifted(export_copy, stored, pictures, images=1, threads=1)
    assert found.layers == ()
    assert found.output_error is not None and 0 < found.output_error < 1e-4
    assert found.label_difference == 0


def test_what_polygraphy_raises_comes_as_one_error_and_its_logger_is_as_before(
    affnet_file: Path, twin: Twin, pictures: PictureSource, capfd: pytest.CaptureFixture[str]
) -> None:
    from polygraphy.logger import G_LOGGER

    before = G_LOGGER.module_severity.get()
    model = read_canonical(affnet_file)
    operator(model, CONV).op_type = "NoSuchOperator"
    with pytest.raises(RunnerError, match=r"ONNX Runtime cannot compute .*NoSuchOperator"):
        drifted(affnet_file, twin(model), pictures, images=1, threads=1)
    assert G_LOGGER.module_severity.get() == before
    assert capfd.readouterr() == ("", "")


def label_graph(bias: float) -> onnx.ModelProto:
    """A graph of CamVid's 11 classes that takes the picture and gives labels: the brighter, the higher."""
    weight = np.arange(11, dtype=np.float32).repeat(3).reshape(11, 3, 1, 1)
    constants = {"weight": weight, "bias": (bias - 40.0 * np.arange(11) ** 2).astype(np.float32)}
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight", "bias"], ["scores"], "conv"),
        helper.make_node("ArgMax", ["scores"], ["indices"], axis=1, keepdims=0),
        helper.make_node("Cast", ["indices"], ["output"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "labels",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, (1, 64, 64, 3))],
        [helper.make_tensor_value_info("output", TensorProto.UINT8, (1, 64, 64))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_of_a_graph_that_gives_labels_their_difference_is_told_and_no_error(
    affnet_file: Path, twin: Twin, tmp_path: Path, pictures: PictureSource
) -> None:
    output = replace(read_manifest(affnet_file, kind="onnx").output, interface="labels")
    path = twin(label_graph(0.0), output=output)
    shutil.copy(path, tmp_path / "first.onnx")
    shutil.copy(manifest_path(path), manifest_path(tmp_path / "first.onnx"))
    model = label_graph(0.0)
    changed(model, "bias", lambda bias: bias + np.eye(11)[0] * 1e6)  # now all is of the first class
    found = drifted(tmp_path / "first.onnx", twin(model, output=output), pictures, images=1, threads=1)
    assert found.interface == "labels" and found.output_error is None
    assert found.label_difference > 0.5
    assert [layer.tensor for layer in found.layers] == ["float", "planes", "scores"]
    assert [layer.added > 0 for layer in found.layers] == [False, False, True]


def chain(*factors: float, element_type: int = TensorProto.FLOAT, name: str = "step{}") -> GraphView:
    """A graph that multiplies its input by each factor in turn; what is computed in FP16 is cast at both ends."""
    dtype = helper.tensor_dtype_to_np_dtype(element_type)
    cast = element_type != TensorProto.FLOAT
    nodes = [helper.make_node("Cast", ["image"], ["image_cast"], to=element_type)] if cast else []
    last = "image_cast" if cast else "image"
    for index in range(len(factors)):
        nodes.append(helper.make_node("Mul", [last, f"factor{index}"], [last := name.format(index)], f"mul{index}"))
    nodes.append(helper.make_node("Cast", [last], ["output"], "end", to=TensorProto.FLOAT))
    constants = [numpy_helper.from_array(np.array(value, dtype), f"factor{i}") for i, value in enumerate(factors)]
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, (1, 2, 2, 2)) for end in ("image", "output")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], constants)
    return GraphView(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def errors_of(reference: GraphView, other: GraphView, value: float = 1.0) -> dict[str, tuple[float, float, float]]:
    count = LayerCount(reference, other, threads=1)
    count.add(np.full((1, 2, 2, 2), value, np.float32), lambda done, total: None)
    return {row.tensor.operator: (row.error_in, row.error_out, row.added) for row in count.rows()}


def test_errors_are_what_they_are_by_hand() -> None:
    found = errors_of(chain(2, 3, 4), chain(2, 6, 3))
    assert found["mul0"] == (0, 0, 0)
    assert found["mul1"] == (0, 1, 1)
    assert found["mul2"] == (1, 0.5, 0.25)
    assert found["end"] == (0.5, 0.5, 0)


def test_what_fp16_cannot_hold_is_infinite_and_counts_for_the_operator_that_gives_it() -> None:
    found = errors_of(chain(2, 1e5, 1e-5), chain(2, 6e4, 1e-5, element_type=TensorProto.FLOAT16), 3.0)
    assert found["mul0"][2] == 0
    assert found["mul1"] == (0, np.inf, np.inf)
    assert found["mul2"][1] == np.inf and found["mul2"][2] < 1


def test_a_name_that_looks_like_a_pattern_is_a_name() -> None:
    found = errors_of(chain(2, 3, name="a[{}]*?"), chain(2, 6, name="a[{}]*?"))
    assert [error[2] for error in found.values()] == [0, 1, 0]


def test_a_tensor_of_one_graph_alone_is_a_part_of_the_way_to_the_next_common_one() -> None:
    reference, other = chain(2, 3), chain(2, 6, element_type=TensorProto.FLOAT16)
    assert [tensor.name for tensor in common_tensors(reference, other)] == ["step0", "step1", "output"]
    found = common_tensors(chain(2, 3), chain(2, 6, name="other{}"))
    assert [(tensor.name, tensor.operator, tensor.other_inputs) for tensor in found] == [("output", "end", ("image",))]


def test_graphs_that_call_their_ends_differently_are_refused() -> None:
    other = chain(2).model
    other.graph.node[-1].output[0] = other.graph.output[0].name = "result"
    with pytest.raises(OnnxError, match="got image and result; expected image and output"):
        common_tensors(chain(2), GraphView(other))


def test_an_error_is_relative_over_all_pictures() -> None:
    total = ErrorSum()
    assert total.error == 0
    total.add(np.array([3.0, 0.0], np.float32), np.array([3.0, 1.0], np.float16))
    total.add(np.array([4.0]), np.array([4.0 + np.sqrt(3)]))
    assert total.error == pytest.approx(np.sqrt(4 / 25))
    nothing = ErrorSum()
    nothing.add(np.zeros(2), np.zeros(2))
    assert nothing.error == 0
    nothing.add(np.zeros(2), np.ones(2))
    assert nothing.error == np.inf


def test_a_result_with_an_infinite_error_is_json_all_the_same() -> None:
    from rtseg.quantization.layer_drift import LayerDrift

    layers = (LayerDrift("a", "Mul", "x", 0.0, 0.5, 0.5), LayerDrift("b", "Mul", "y", 0.5, np.inf, np.inf))
    facts = json.loads(json.dumps(Drift(1, "logits", layers, np.inf, 0.25).to_json(), allow_nan=False))
    assert (facts["ranked"], facts["output_error"]) == (["y", "x"], None)
    assert (facts["layers"][1]["error_in"], facts["layers"][1]["added"]) == (0.5, None)
