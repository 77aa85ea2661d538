"""What OpenVINO has beyond the contract of runners: precisions, INT8 files, silence, and what it refuses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtseg.errors import RunnerError
from rtseg.frame.protocol import Array
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.runners.openvino import OpenVinoRunner, cpu_capabilities, require_precision

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")

SHAPE = (1, 3, 24, 40)
FLOAT_TOLERANCE = 1e-4
"""Of the largest value: two libraries add up in different orders, and nothing else may differ."""

STEP = np.float32(0.1)
"""The quantisation step of the INT8 graph's last tensor."""


def saved(path: Path, nodes: Sequence[Any], constants: dict[str, Array], **settings: Any) -> Path:
    """Write a graph from x to y, float32 of SHAPE unless settings say otherwise, and return its path."""
    kind = settings.get("kind", TensorProto.FLOAT)
    inputs = [helper.make_tensor_value_info("x", kind, settings.get("shape", SHAPE))]
    outputs = [helper.make_tensor_value_info(name, kind, None) for name in settings.get("outputs", ["y"])]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def relu(path: Path, **settings: Any) -> Path:
    return saved(path, [helper.make_node("Relu", ["x"], ["y"])], {}, **settings)


def picture() -> Array:
    return np.random.default_rng(1).standard_normal(SHAPE, np.float32)


def outputs_of(path: Path, array: Array, **settings: Any) -> tuple[Array, Array]:
    """Return what OpenVINO gives and what ONNX Runtime gives."""
    with OpenVinoRunner(path, threads=1, **settings) as runner, OnnxRuntimeRunner(path, threads=1) as reference:
        return runner.infer(array), reference.infer(array)


def quantised(source: str, result: str, constants: dict[str, Array], step: float) -> list[onnx.NodeProto]:
    """Return the pair of nodes that quantises a tensor to int8 with zero point 0, as TensorRT wants it."""
    constants[f"{result}_scale"] = np.float32(step)
    constants["zero"] = np.int8(0)
    return [
        helper.make_node("QuantizeLinear", [source, f"{result}_scale", "zero"], [f"{result}_int8"]),
        helper.make_node("DequantizeLinear", [f"{result}_int8", f"{result}_scale", "zero"], [result]),
    ]


def convolution(
    source: str, result: str, shape: tuple[int, ...], constants: dict[str, Array], kind: str = "Conv", **attributes: Any
) -> list[onnx.NodeProto]:
    """Return a convolution with a bias and with int8 weights of a scale for each output channel."""
    axis = 0 if kind == "Conv" else 1
    random = np.random.default_rng(len(constants))
    weights = random.standard_normal(shape, np.float32)
    scale = np.abs(weights).max(tuple({0, 1, 2, 3} - {axis}), keepdims=True) / 127
    constants[f"{result}_weights"] = np.round(weights / scale).astype(np.int8)
    constants[f"{result}_weights_scale"] = scale.ravel()
    constants[f"{result}_weights_zero"] = np.zeros(scale.size, np.int8)
    constants[f"{result}_bias"] = random.standard_normal(shape[axis], np.float32)
    names = [f"{result}_weights", f"{result}_weights_scale", f"{result}_weights_zero"]
    return [
        helper.make_node("DequantizeLinear", names, [f"{result}_real_weights"], axis=axis),
        helper.make_node(kind, [source, f"{result}_real_weights", f"{result}_bias"], [result], **attributes),
    ]


def quantised_convolution(path: Path) -> Path:
    """A convolution with ReLU whose output is quantised."""
    constants: dict[str, Array] = {}
    nodes = [
        *quantised("x", "a", constants, 3 / 127),
        *convolution("a", "b", (16, 3, 3, 3), constants, pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["b"], ["c"]),
        *quantised("c", "y", constants, STEP),
    ]
    return saved(path, nodes, constants)


def concatenated(constants: dict[str, Array]) -> list[onnx.NodeProto]:
    return [helper.make_node("Neg", ["x"], ["n"]), helper.make_node("Concat", ["a", "n"], ["m"], axis=1)]


def concatenated_after_quantising(constants: dict[str, Array]) -> list[onnx.NodeProto]:
    negative = [helper.make_node("Neg", ["x"], ["n"]), *quantised("n", "p", constants, 0.029)]
    return [*negative, helper.make_node("Concat", ["a", "p"], ["m"], axis=1)]


def concatenated_and_rectified(constants: dict[str, Array]) -> list[onnx.NodeProto]:
    nodes = [helper.make_node("Neg", ["x"], ["n"]), helper.make_node("Concat", ["a", "n"], ["c"], axis=1)]
    return [*nodes, helper.make_node("Relu", ["c"], ["m"])]


def pooled(constants: dict[str, Array]) -> list[onnx.NodeProto]:
    return [helper.make_node("MaxPool", ["a"], ["m"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])]


def averaged(constants: dict[str, Array]) -> list[onnx.NodeProto]:
    return [helper.make_node("AveragePool", ["a"], ["m"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])]


def averaged_with_zeros_around(constants: dict[str, Array]) -> list[onnx.NodeProto]:
    settings = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}
    return [helper.make_node("AveragePool", ["a"], ["m"], **settings)]


def averaged_with_zeros_around_beside_a_convolution(
    constants: dict[str, Array], *, rectified: bool
) -> list[onnx.NodeProto]:
    """AFFNet's downsampling unit, behind the sum that it reads."""
    (average,) = averaged_with_zeros_around(constants)
    average.input[0], average.output[0] = "r", "p"
    return [
        *convolution("a", "b", (32, 3, 3, 3), constants, pads=[1, 1, 1, 1]),
        *convolution("a", "c", (32, 3, 1, 1), constants),
        *quantised("b", "d", constants, 0.1),
        helper.make_node("Add", ["d", "c"], ["e"]),
        helper.make_node("Relu" if rectified else "Identity", ["e"], ["f"]),
        *quantised("f", "r", constants, 0.05),
        *convolution("r", "g", (16, 32, 3, 3), constants, strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["g"], ["h"]),
        *quantised("h", "i", constants, STEP),
        average,
        *quantised("p", "q0", constants, STEP),
        helper.make_node("Concat", ["i", "q0"], ["m"], axis=1),
    ]


def resized(constants: dict[str, Array]) -> list[onnx.NodeProto]:
    constants["sizes"] = np.array([1, 3, 48, 80], np.int64)
    return [
        helper.make_node(
            "Resize", ["a", "", "", "sizes"], ["m"], mode="linear", coordinate_transformation_mode="half_pixel"
        )
    ]


def residual(constants: dict[str, Array]) -> list[onnx.NodeProto]:
    branch = convolution("a", "c", (3, 3, 3, 3), constants, pads=[1, 1, 1, 1])
    return [*branch, helper.make_node("Add", ["a", "c"], ["m"])]


def depthwise(constants: dict[str, Array]) -> list[onnx.NodeProto]:
    return convolution("a", "m", (3, 1, 3, 3), constants, group=3, pads=[1, 1, 1, 1])


def transposed(constants: dict[str, Array]) -> list[onnx.NodeProto]:
    return convolution("a", "m", (3, 3, 2, 2), constants, kind="ConvTranspose", strides=[2, 2])


def multiplied(constants: dict[str, Array]) -> list[onnx.NodeProto]:
    constants["left"] = np.random.default_rng(0).standard_normal((24, 24), np.float32)
    return [helper.make_node("MatMul", ["left", "a"], ["m"])]


def gated(constants: dict[str, Array]) -> list[onnx.NodeProto]:
    return [
        helper.make_node("ReduceMean", ["a"], ["g"], axes=[2, 3], keepdims=1),
        helper.make_node("Sigmoid", ["g"], ["s"]),
        helper.make_node("Mul", ["a", "s"], ["m"]),
    ]


MIDDLES: tuple[Callable[[dict[str, Array]], list[onnx.NodeProto]], ...] = (
    concatenated,
    concatenated_after_quantising,
    concatenated_and_rectified,
    pooled,
    averaged,
    averaged_with_zeros_around,
    resized,
    residual,
    depthwise,
    transposed,
    multiplied,
    gated,
)
"""Operators that OpenVINO's low-precision passes have rules for, from a quantised tensor `a` to `m`."""


@needs_openvino
def test_an_fp32_file_gives_what_onnx_runtime_gives(exported: Path) -> None:
    with OnnxRuntimeRunner(exported) as reference:
        array = np.random.default_rng(0).standard_normal(reference.input.shape, np.float32)
    ours, theirs = outputs_of(exported, array)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=FLOAT_TOLERANCE * np.abs(theirs).max())


@needs_openvino
def test_an_int8_file_gives_what_onnx_runtime_gives_within_one_step(tmp_path: Path) -> None:
    ours, theirs = outputs_of(quantised_convolution(tmp_path / "int8.onnx"), picture())
    assert len(np.unique(theirs)) > 50
    assert np.abs(ours - theirs).max() < 1.01 * STEP
    assert np.mean(np.abs(ours - theirs) > STEP / 2) < 0.01


@needs_openvino
@pytest.mark.parametrize("middle", MIDDLES, ids=lambda middle: middle.__name__)
def test_an_operator_between_quantised_tensors_computes_what_the_file_says(
    tmp_path: Path, middle: Callable[[dict[str, Array]], list[onnx.NodeProto]]
) -> None:
    constants: dict[str, Array] = {}
    channels = 6 if "concatenated" in middle.__name__ else 3
    nodes = [
        *quantised("x", "a", constants, 3 / 127),
        *middle(constants),
        *quantised("m", "q", constants, STEP),
        *convolution("q", "y", (8, channels, 1, 1), constants),
    ]
    ours, theirs = outputs_of(saved(tmp_path / "int8.onnx", nodes, constants), picture())
    # A value that lies between two steps may be rounded either way, which the convolution behind it spreads.
    assert np.abs(ours - theirs).max() < 0.1 * np.abs(theirs).max()
    assert np.mean(np.abs(ours - theirs) > FLOAT_TOLERANCE * np.abs(theirs).max()) < 0.01


@needs_openvino
@pytest.mark.parametrize("rectified", [True, False])
def test_padding_that_an_average_counts_is_zero_whatever_the_zero_point(tmp_path: Path, rectified: bool) -> None:
    constants: dict[str, Array] = {}
    nodes = [
        *quantised("x", "a", constants, 3 / 127),
        *averaged_with_zeros_around_beside_a_convolution(constants, rectified=rectified),
        *quantised("m", "y", constants, STEP),
    ]
    ours, theirs = outputs_of(saved(tmp_path / "int8.onnx", nodes, constants), picture())
    assert np.abs(ours - theirs).max() < 1.01 * STEP
    averages = np.s_[:, 16:]
    assert np.mean(np.abs(ours - theirs)[averages] > STEP / 2) < 0.05  # it rounds twice


@needs_openvino
def test_an_fp16_file_takes_and_gives_float16(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float16)
    path = saved(
        tmp_path / "fp16.onnx", [helper.make_node("Conv", ["x", "w"], ["y"])], {"w": weights}, kind=TensorProto.FLOAT16
    )
    ours, theirs = outputs_of(path, picture().astype(np.float16))
    assert ours.dtype == theirs.dtype == np.float16
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-3 * np.abs(theirs).max())


@needs_openvino
def test_bf16_is_computed_where_the_processor_has_it_and_refused_where_not(exported: Path) -> None:
    runner = OpenVinoRunner(exported, threads=1, precision="bf16")
    if "BF16" not in cpu_capabilities():
        with pytest.raises(RunnerError, match="does not compute in bf16"):
            runner.open()
        return
    with runner, OpenVinoRunner(exported, threads=1) as reference:
        array = np.random.default_rng(0).standard_normal(reference.input.shape, np.float32)
        ours, theirs = runner.infer(array), reference.infer(array)
    assert runner.backend == "openvino-bf16"
    assert ours.dtype == np.float32
    assert 1e-4 < np.abs(ours - theirs).max() / np.abs(theirs).max() < 0.1


def test_a_precision_that_would_be_replaced_silently_is_refused_with_what_there_is() -> None:
    with pytest.raises(
        RunnerError, match=r"does not compute in bf16; got FP32, INT8.*expected BF16.*--runner openvino"
    ):
        require_precision("bf16", ["FP32", "INT8"])
    require_precision("f32", ["FP32", "INT8"])


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(RunnerError, match="got 'f8'; expected f32, bf16"):
        OpenVinoRunner("any.onnx", precision="f8")


@needs_openvino
def test_the_metadata_are_those_of_the_file(exported: Path) -> None:
    with OpenVinoRunner(exported) as runner, OnnxRuntimeRunner(exported) as reference:
        assert runner.metadata == reference.metadata
        assert "rtseg.image" in runner.metadata


@needs_openvino
def test_a_file_without_metadata_has_none(tmp_path: Path) -> None:
    with OpenVinoRunner(relu(tmp_path / "relu.onnx")) as runner:
        assert runner.metadata == {}


def test_the_metadata_of_a_closed_runner_are_not_to_be_had(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="is not open"):
        _ = OpenVinoRunner(tmp_path / "any.onnx").metadata


@needs_openvino
def test_the_device_tells_how_many_threads_there_really_are(tmp_path: Path) -> None:
    path = relu(tmp_path / "relu.onnx")
    with OpenVinoRunner(path, threads=1) as runner:
        assert ", 1 threads)" in runner.device
    with OpenVinoRunner(path, threads=10_000) as runner:
        assert "10000" not in runner.device


@needs_openvino
def test_an_operator_that_could_work_in_place_leaves_the_input_alone(tmp_path: Path) -> None:
    array = picture()
    with OpenVinoRunner(relu(tmp_path / "relu.onnx"), threads=1) as runner:
        step = runner.bind(array)
        step()
        runner.infer(array)
        np.testing.assert_array_equal(step.input, picture())
        np.testing.assert_array_equal(array, picture())
        np.testing.assert_array_equal(step.output, np.maximum(array, 0))


@needs_openvino
def test_a_step_outlives_the_runner_it_came_from(tmp_path: Path) -> None:
    with OpenVinoRunner(relu(tmp_path / "relu.onnx"), threads=1) as runner:
        step = runner.bind(picture())
    step()
    np.testing.assert_array_equal(step.output, np.maximum(picture(), 0))


@needs_openvino
@pytest.mark.parametrize("size", [11, 100, 5000])
def test_a_file_that_is_no_graph_or_a_part_of_one_is_refused(tmp_path: Path, exported: Path, size: int) -> None:
    path = tmp_path / "part.onnx"
    path.write_bytes(b"not a graph" if size == 11 else exported.read_bytes()[:size])
    with pytest.raises(RunnerError, match=r"OpenVINO cannot load .*part\.onnx: "):
        OpenVinoRunner(path).open()


@needs_openvino
def test_a_missing_file_is_refused_on_opening(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="Could not open the file"):
        OpenVinoRunner(tmp_path / "missing.onnx").open()


@needs_openvino
def test_an_operator_that_openvino_does_not_know_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "odd.onnx", [helper.make_node("Dreamt", ["x"], ["y"])], {})
    with pytest.raises(RunnerError, match="Dreamt"):
        OpenVinoRunner(path).open()


@needs_openvino
def test_a_graph_of_two_outputs_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    with pytest.raises(RunnerError, match="another number of inputs and outputs; got 1 and 2; expected 1 and 1"):
        OpenVinoRunner(saved(tmp_path / "two.onnx", nodes, {}, outputs=["y", "z"])).open()


@needs_openvino
@pytest.mark.parametrize("settings", [{"shape": ["n", 3, 24, 40]}, {"kind": TensorProto.DOUBLE}], ids=["shape", "type"])
def test_a_dynamic_shape_and_another_type_are_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(RunnerError, match="the tensor x is not a static float or uint8 tensor; got "):
        OpenVinoRunner(relu(tmp_path / "odd.onnx", **settings)).open()


def test_without_the_package_its_extra_is_named(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["openvino"] = None
from rtseg.errors import MissingDependencyError
from rtseg.runners.openvino import OpenVinoRunner
try:
    OpenVinoRunner("any.onnx").open()
except MissingDependencyError as error:
    print(error)
"""
    assert "pip install 'rtseg[openvino]'" in ran(program, tmp_path).stdout


def ran(program: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python of its own, in which OpenVINO has not been imported, with that home folder."""
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(home)})


@needs_openvino
def test_constructing_a_runner_does_not_even_import_openvino(tmp_path: Path) -> None:
    program = """
import sys
from rtseg.runners.openvino import OpenVinoRunner
OpenVinoRunner("missing.onnx", threads=3)
assert "openvino" not in sys.modules
"""
    ran(program, tmp_path)


@needs_openvino
def test_opening_prints_nothing_and_sends_no_telemetry(tmp_path: Path, exported: Path) -> None:
    shutil.copy(exported, tmp_path / "good.onnx")
    (tmp_path / "words.onnx").write_text("not a graph")
    program = f"""
import sys
from rtseg.errors import RunnerError
from rtseg.runners.openvino import OpenVinoRunner
for name in ("good", "words"):
    try:
        OpenVinoRunner({str(tmp_path)!r} + f"/{{name}}.onnx").open()
    except RunnerError:
        assert name == "words"
assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
"""
    done = ran(program, tmp_path)
    assert (done.stdout, done.stderr) == ("", "")
    assert not (tmp_path / "intel").exists(), "the telemetry's folder"


@needs_openvino
def test_a_program_that_uses_the_telemetry_package_itself_keeps_it(tmp_path: Path) -> None:
    program = """
import sys
import openvino_telemetry
from rtseg.runners.openvino import cpu_capabilities
cpu_capabilities()
assert sys.modules["openvino_telemetry"] is openvino_telemetry
"""
    ran(program, tmp_path)


@needs_openvino
@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal here")
def test_a_signal_is_handled_after_runners_were_closed_in_the_order_they_were_opened(
    tmp_path: Path, exported: Path
) -> None:
    program = f"""
import gc, os, signal
import numpy as np
from rtseg.runners.openvino import OpenVinoRunner
handled = []
signal.signal(signal.SIGUSR1, lambda number, frame: handled.append(number))
runners = [OpenVinoRunner({str(exported)!r}) for _ in range(2)]
for runner in runners:
    runner.open()
    runner.infer(np.zeros(runner.input.shape, np.float32))
while runners:
    runners.pop(0).close()
    gc.collect()
    os.kill(os.getpid(), signal.SIGUSR1)
assert len(handled) == 2
"""
    ran(program, tmp_path)
