"""Quantised files of others by OpenVINO: what ONNX Runtime computes operator by operator, or refused by name."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtseg.errors import RunnerError
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.runners.openvino import OpenVinoRunner
from rtseg.runners.probes import distance, probe_inputs
from tests.runners.quantized_graphs import KINDS, Encoding, write_quantized

pytestmark = [
    pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed"),
    pytest.mark.filterwarnings("ignore"),  # of onnxruntime.quantization
]

LARGEST_DISTANCE = 0.05
"""Of the standard deviation. The steps themselves are some 0.01, and a value between two may be rounded either way."""

ENCODINGS = st.builds(
    Encoding,
    *(st.sampled_from(["QUInt8", "QInt8"]), st.sampled_from(["QUInt8", "QInt8"])),
    *(st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.just("QDQ")),
).filter(lambda encoding: (encoding.activations, encoding.weights) != ("QInt8", "QUInt8"))  # which the tool refuses

GRAPHS = st.lists(st.sampled_from(KINDS), min_size=1, max_size=6)


@pytest.fixture(autouse=True, scope="module")
def no_verdict_is_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["RTSEG_CACHE"] = str(tmp_path_factory.mktemp("cache"))


def require_same(path: Path) -> None:
    """Compare both runners on every probe; opening the second compares them too."""
    with OnnxRuntimeRunner(path, threads=1, optimized=False) as reference, OpenVinoRunner(path, threads=1) as runner:
        for name, array in probe_inputs(reference.input, seed=1):
            assert distance(reference.infer(array.copy()), runner.infer(array.copy())) < LARGEST_DISTANCE, name


def check(kinds: list[str], encoding: Encoding, seed: int) -> None:
    with TemporaryDirectory() as folder:
        require_same(write_quantized(Path(folder) / "x.onnx", kinds, encoding, seed=seed))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(GRAPHS, ENCODINGS, st.integers(0, 1000))
def test_a_quantised_file_computes_what_it_says(kinds: list[str], encoding: Encoding, seed: int) -> None:
    check(kinds, encoding, seed)


@pytest.mark.slow
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(GRAPHS, ENCODINGS, st.integers(0, 1000))
def test_many_quantised_files_compute_what_they_say(kinds: list[str], encoding: Encoding, seed: int) -> None:
    check(kinds, encoding, seed)


SHIFTED = Encoding(shifted_weights=True)


@pytest.mark.parametrize(
    ("kinds", "encoding"),
    [
        (["transposed"], SHIFTED),
        (["transposed"], SHIFTED._replace(weights="QUInt8", per_channel=True)),
        (["convolution", "transposed"], SHIFTED._replace(activations="QInt8")),
        (["depthwise", "convolution"], SHIFTED._replace(weights="QUInt8")),
        (["MaxPool", "convolution", "MaxPool", "Mul"], Encoding(centred_activations=True, keep_removable=True)),
        (["convolution", "MaxPool", "Neg"], Encoding("QInt8", keep_removable=True)),
    ],
    ids=["transposed", "each channel", "signed", "depthwise", "negative factors", "negated"],
)
def test_what_openvino_gets_wrong_by_itself_comes_out_right(
    tmp_path: Path, kinds: list[str], encoding: Encoding
) -> None:
    for seed in range(3):
        require_same(write_quantized(tmp_path / f"{seed}.onnx", kinds, encoding, seed=seed))


def test_operators_that_compute_in_whole_numbers_themselves_are_refused(tmp_path: Path) -> None:
    path = write_quantized(tmp_path / "x.onnx", ["convolution", "matrix"], Encoding(form="QOperator"))
    refusal = r"x\.onnx holds INT8 operators .*; got QLinearConv, QLinearMatMul; .* Try: quantize the network"
    with pytest.raises(RunnerError, match=refusal):
        OpenVinoRunner(path).open()
    with OnnxRuntimeRunner(path, threads=1) as runner:
        assert np.isfinite(runner.infer(np.zeros(runner.input.shape, np.float32))).all()
