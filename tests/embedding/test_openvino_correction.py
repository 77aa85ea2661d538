"""What the C++ library makes of an ONNX file before OpenVINO compiles it is what Python makes of it, byte for byte."""

from __future__ import annotations

import filecmp
import subprocess
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

import rtseg
from rtseg.runners.openvino_package import openvino_package
from rtseg.runners.openvino_quantization import join_quantization
from tests.embedding.cpp_library import CppLibrary
from tests.runners.quantized_graphs import KINDS, Encoding, Network, write_quantized

ROOT = Path(__file__).resolve().parents[2]
COMPARED = "2026.4.1-1234-abcdef"
"""A release of OpenVINO whose corrected models were compared with ONNX Runtime."""

pytestmark = [
    pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed"),
    pytest.mark.filterwarnings("ignore"),  # of onnxruntime.quantization
]

SELDOM = """
<ir_version: 8, opset_import: ["" : 17]>
graph (float[1, 4, 6, 6] x) => (float[1, 4, 6, 6] y)
<
    float step = {0.05}, float[4] steps = {0.05, 0.1, 0.02, 0.03}, float wide = {0.5},
    uint8 middle = {120}, int8 none = {0}, int8[4] offsets = {0, -3, 5, 0}, uint8[4] bottoms = {0, 3, 5, 0},
    int8[6, 6] left = {1, 2, 3, -4, 5, 6, 1, 2, -3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 1, -2, 3, 4, 5, 6, 1, 2, 3, 4, -5, 6,
        1, 2, 3, 4, 5, 6},
    int8[1, 4, 1, 1] added = {1, -2, 3, 4}, float[1, 4, 1, 1] no_sign = {0.0, 1.0, 2.0, 0.0},
    float[1, 4, 1, 1] signs = {-1.0, 1.0, 2.0, -3.0}, float[4] gamma = {1.0, -1.0, 2.0, 3.0},
    float[4] beta = {1.0, 2.0, 3.0, 4.0}, float[4] spread = {1.0, 2.0, 1.0, 2.0}
>
{
    whole = QuantizeLinear(x, step, middle)
    given = DequantizeLinear(whole, step, middle)
    given_wide = DequantizeLinear(whole, wide, middle)
    left_real = DequantizeLinear(left, step, none)
    product = MatMul(left_real, given)
    summed = Add(product, given_wide)
    added_real = DequantizeLinear<axis = 1>(added, steps, offsets)
    shifted = Add(summed, added_real)
    channels = QuantizeLinear<axis = 1>(shifted, steps, bottoms)
    channels_real = DequantizeLinear<axis = 1>(channels, steps, bottoms)
    kept = Mul(channels_real, no_sign)
    turned = Mul(signs, kept)
    rest = Sub(signs, turned)
    parts = Div(rest, signs)
    normal = BatchNormalization(parts, gamma, beta, beta, spread)
    positive = Relu(normal)
    positive_whole = QuantizeLinear<axis = 1>(positive, steps, bottoms)
    positive_real = DequantizeLinear<axis = 1>(positive_whole, steps, bottoms)
    signed = QuantizeLinear(positive_real, step, none)
    signed_real = DequantizeLinear(signed, step, none)
    y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1>(signed_real)
}
"""
"""What the tool of quantized_graphs seldom makes: constants on the left, activations with a scale per channel, a tensor
of whole numbers that is read with two scales."""

Correct = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def correct(cpp_library: CppLibrary) -> Correct:
    """Have the library correct pairs of files, IN.onnx and OUT.xml, with the release of OpenVINO that it is told."""
    program = cpp_library.test_program("correct_models")
    return lambda *pairs, release=COMPARED: subprocess.run([program, release, *pairs], capture_output=True, text=True)


def write_corrected(path: Path, result: Path, *, corrected: bool = True) -> None:
    """Write what Python makes of an ONNX file, its nodes named by place as correct_models names them."""
    package = openvino_package()
    reader = package.frontend.FrontEndManager().load_by_framework("onnx")
    model = reader.convert(reader.load(str(path)))
    model.set_friendly_name("model")
    for place, node in enumerate(model.get_ordered_ops()):
        node.set_friendly_name(f"node {place}")
    if corrected:
        join_quantization(model, package)
    package.serialize(model, result)


def require_same(correct: Correct, paths: Iterable[Path], *, corrected: bool = True) -> list[str]:
    """Compare what both make of the files. Return the text of each model."""
    pairs = [(path, path.with_suffix(".python.xml"), path.with_suffix(".cpp.xml")) for path in paths]
    ended = correct(*(name for path, _, by_cpp in pairs for name in (path, by_cpp)))
    assert ended.returncode == 0, ended.stderr
    for path, by_python, by_cpp in pairs:
        write_corrected(path, by_python, corrected=corrected)
        for suffix in (".xml", ".bin"):
            ours, theirs = by_python.with_suffix(suffix), by_cpp.with_suffix(suffix)
            assert filecmp.cmp(ours, theirs, shallow=False), (path, suffix)
    return [by_cpp.read_text(encoding="utf-8") for _, _, by_cpp in pairs]


def random_kinds(random: np.random.Generator) -> list[str]:
    return [str(kind) for kind in random.choice(KINDS, random.integers(1, 7))]


def random_graphs(folder: Path, count: int, seed: int) -> Iterable[Path]:
    """Write quantised files of a few operators each, in every encoding."""
    random = np.random.default_rng(seed)
    for number in range(count):
        activations, weights = [("QUInt8", "QInt8"), ("QUInt8", "QUInt8"), ("QInt8", "QInt8")][random.integers(3)]
        encoding = Encoding(activations, weights, *(bool(choice) for choice in random.integers(0, 2, 4)))
        yield write_quantized(folder / f"{number}.onnx", random_kinds(random), encoding, seed=number)


def test_quantised_graphs_are_corrected_the_same_way(correct: Correct, tmp_path: Path) -> None:
    models = require_same(correct, list(random_graphs(tmp_path, 40, seed=0)))
    for added in ("top", "bounded", "least", "folded", "hidden"):
        assert any(f'/{added}"' in model for model in models), f"no graph was corrected by a node {added}"


@pytest.mark.slow
def test_many_quantised_graphs_are_corrected_the_same_way(correct: Correct, tmp_path: Path) -> None:
    require_same(correct, list(random_graphs(tmp_path, 600, seed=1)))


@pytest.mark.parametrize("target", ["tensorrt", "onnxruntime", "openvino"])
def test_int8_for_every_target_is_corrected_the_same_way(
    correct: Correct, exported: Path, calibrated: Path, tmp_path: Path, target: str
) -> None:
    made = rtseg.quantize(exported, calibrated, tmp_path / "int8.onnx", target=target)
    require_same(correct, [made.artifact.path])


@pytest.mark.slow
@pytest.mark.parametrize("target", ["tensorrt", "openvino"])
@pytest.mark.parametrize("network", ["affnet", "s2fpn18"])
def test_the_shipped_networks_in_int8_are_corrected_the_same_way(
    correct: Correct, tmp_path: Path, network: str, target: str
) -> None:
    checkpoint = ROOT / f"export/checkpoints/{network}-camvid.safetensors"
    table = ROOT / f"calibration/{network}-camvid-360x480.table.json"
    fp32 = rtseg.export(None, "360x480", tmp_path / "fp32.onnx", checkpoint=checkpoint, images=0).artifact
    made = rtseg.quantize(fp32, table, tmp_path / "int8.onnx", target=target)
    (model,) = require_same(correct, [made.artifact.path])
    assert '/top"' in model or '/least"' in model


def test_what_the_tool_seldom_makes_is_corrected_the_same_way(correct: Correct, tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(SELDOM), tmp_path / "x.onnx")
    (model,) = require_same(correct, [tmp_path / "x.onnx"])
    assert '/folded"' in model and '/least"' in model and '/hidden"' in model


def test_graphs_in_floating_point_stay_as_they_are(correct: Correct, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    for number in range(20):
        network = Network(number)
        for kind in (*random_kinds(random), "average with padding", "Neg"):
            network.grow(kind)
        network.write(tmp_path / f"{number}.onnx")
    require_same(correct, sorted(tmp_path.glob("*.onnx")), corrected=False)


def test_a_network_in_floating_point_stays_as_it_is(correct: Correct, exported: Path, tmp_path: Path) -> None:
    halved = rtseg.quantize(exported, None, tmp_path / "fp16.onnx", to="fp16").artifact.path
    (tmp_path / "fp32.onnx").write_bytes(exported.read_bytes())
    require_same(correct, [halved, tmp_path / "fp32.onnx"], corrected=False)


def test_operators_that_compute_in_whole_numbers_themselves_are_refused(correct: Correct, tmp_path: Path) -> None:
    path = write_quantized(tmp_path / "x.onnx", ["convolution", "matrix"], Encoding(form="QOperator"))
    ended = correct(path, tmp_path / "x.xml")
    assert ended.returncode == 1
    assert ended.stderr == (
        f"{path} holds INT8 operators that OpenVINO computes incorrectly; got QLinearConv, QLinearMatMul; "
        "expected plain operators between QuantizeLinear and DequantizeLinear. Try: use the backend onnxruntime, or "
        "quantize the network in the QDQ format\n"
    )


@pytest.mark.parametrize("release", ["2026.3.0-1-a", "2026.40.0-1-a", "2027.4.0-1-a", ""])
def test_a_release_whose_models_were_not_compared_is_refused(correct: Correct, tmp_path: Path, release: str) -> None:
    path = write_quantized(tmp_path / "x.onnx", ["convolution"], Encoding())
    ended = correct(path, tmp_path / "x.xml", release=release)
    assert ended.returncode == 1
    assert (
        f"got OpenVINO {release}; expected OpenVINO 2026.4. Try: run rtseg build --runtime openvino {path}"
        in ended.stderr
    )


def test_any_release_takes_a_network_in_floating_point(correct: Correct, exported: Path, tmp_path: Path) -> None:
    assert correct(exported, tmp_path / "x.xml", release="2031.1").returncode == 0
