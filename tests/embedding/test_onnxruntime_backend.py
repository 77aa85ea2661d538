"""The backend onnxruntime gives what Python's runner gives, bit for bit, and says what is missing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

import rtseg
from rtseg.frame.protocol import Array
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from tests.embedding.cpp_library import CppLibrary, onnxruntime_headers, onnxruntime_library
from tests.runners.quantized_graphs import Encoding, write_quantized

STATUS_UNSUPPORTED, STATUS_MISSING, STATUS_BACKEND = 4, 5, 6

pytestmark = [
    pytest.mark.skipif(onnxruntime_headers() is None, reason="no onnxruntime_c_api.h: apt install libonnxruntime-dev"),
    pytest.mark.filterwarnings("ignore"),  # of onnxruntime.quantization
]

FLOAT_WEIGHTS = """
<ir_version: 8, opset_import: ["" : 17]>
graph (float[1, 1, 8, 8] x) => (float[1, 1, 8, 8] y)
<float step = {0.02}, uint8 middle = {120}, float[1, 1, 3, 3] w = {0.11, 0.52, -0.33, 0.7, 0.05, 0.66, -0.2, 0.38, 0.1}>
{
    whole = QuantizeLinear(x, step, middle)
    given = DequantizeLinear(whole, step, middle)
    summed = Conv<pads = [1, 1, 1, 1]>(given, w)
    summed_whole = QuantizeLinear(summed, step, middle)
    y = DequantizeLinear(summed_whole, step, middle)
}
"""
"""Activations in INT8 and weights that the file keeps in floating point, which ONNX Runtime would quantise."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(cpp_library: CppLibrary) -> Run:
    """Run a file on an input by the backend, in a process without any variable but those given."""
    module = cpp_library.build / "lib" / "librtseg_backend_onnxruntime.so"
    program = cpp_library.test_program("run_backend")

    def ran(
        model: Path, array: Array | None = None, *, threads: int = 1, sessions: int = 1, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        given, result = model.with_suffix(".input"), model.with_suffix(".output")
        given.write_bytes(b"" if array is None else array.tobytes())
        return subprocess.run(
            [program, module, model, given, result, str(threads), str(sessions)],
            env={"RTSEG_ONNXRUNTIME": str(onnxruntime_library()), **variables},
            capture_output=True,
            text=True,
        )

    return ran


def require_same(run: Run, model: Path, *, threads: int = 1, sessions: int = 1) -> str:
    """Compare the backend with the runner on a random input. Return what the backend says of the file."""
    with OnnxRuntimeRunner(model, threads=threads) as runner:
        array = np.random.default_rng(0).standard_normal(runner.input.shape).astype(np.float32)
        expected = runner.infer(array)
    ended = run(model, array, threads=threads, sessions=sessions)
    assert ended.returncode == 0, ended.stderr
    assert model.with_suffix(".output").read_bytes() == expected.tobytes()
    return ended.stdout


def write(path: Path, text: str) -> Path:
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def identity(path: Path, kind: str, shape: str, opset: int = 17) -> Path:
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> graph ({kind}[{shape}] x) => ({kind}[{shape}] y)'
    return write(path, text + "{ y = Identity(x) }")


@pytest.fixture
def fp32(affnet_file: Path, tmp_path: Path) -> Path:
    return shutil.copy(affnet_file, tmp_path / "fp32.onnx")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_network_gives_the_bits_of_the_runner(run: Run, fp32: Path, threads: int) -> None:
    require_same(run, fp32, threads=threads)


@pytest.mark.parametrize("target", ["tensorrt", "onnxruntime"])
def test_a_network_in_int8_gives_the_bits_of_the_runner(
    run: Run, affnet_file: Path, affnet_table: Path, tmp_path: Path, target: str
) -> None:
    made = rtseg.quantize(affnet_file, affnet_table, tmp_path / "int8.onnx", target=target)
    require_same(run, made.artifact.path)


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_files_of_others_in_int8_give_the_bits_of_the_runner(run: Run, tmp_path: Path, form: str) -> None:
    kinds = ["rectified convolution", "residual", "MaxPool", "matrix", "average with padding"]
    require_same(run, write_quantized(tmp_path / "x.onnx", kinds, Encoding(form=form)))


def test_weights_that_the_file_keeps_in_floating_point_are_not_quantised(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "x.onnx", FLOAT_WEIGHTS)
    require_same(run, path)
    quantising = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    array = np.frombuffer(path.with_suffix(".input").read_bytes(), np.float32).reshape(1, 1, 8, 8)
    given = quantising.run(None, {"x": array})[0]
    assert given.tobytes() != path.with_suffix(".output").read_bytes(), "which would show nothing"


def test_sessions_of_one_file_run_at_once_and_outlive_it(run: Run, fp32: Path) -> None:
    require_same(run, fp32, sessions=4)


def test_device_tensors_and_contracts_are_what_the_runner_says(run: Run, fp32: Path) -> None:
    lines = require_same(run, fp32).splitlines()
    with OnnxRuntimeRunner(fp32, threads=1) as runner:
        tensors = [
            f"{side} {spec.name} {spec.dtype} {' '.join(map(str, spec.shape))}"
            for side, spec in (("input", runner.input), ("output", runner.output))
        ]
        stated = [f"{key} {runner.metadata[key]}" for key in ("rtseg.image", "rtseg.output")]
        assert lines == [f"device {runner.device}", *tensors, *stated]


def test_images_in_bytes_are_taken(run: Run, tmp_path: Path) -> None:
    path = identity(tmp_path / "x.onnx", "uint8", "1, 4, 6, 3")
    array = np.arange(72, dtype=np.uint8)
    ended = run(path, array)
    assert ended.returncode == 0 and path.with_suffix(".output").read_bytes() == array.tobytes()
    assert ended.stdout.splitlines()[1:] == ["input x uint8 1 4 6 3", "output y uint8 1 4 6 3"]


@pytest.mark.parametrize(
    ("write_model", "status", "words"),
    [
        (lambda path: path.write_bytes(b"no graph"), STATUS_BACKEND, "ONNX Runtime refuses the file: "),
        (lambda path: path.write_bytes(b""), STATUS_BACKEND, "ONNX Runtime refuses the file: "),
        (
            lambda path: identity(path, "float", "1, N"),
            STATUS_UNSUPPORTED,
            "the tensor x of the graph has no static shape",
        ),
        (
            lambda path: identity(path, "float16", "1, 2"),
            STATUS_UNSUPPORTED,
            "got ONNX's type 10; expected float or uint8",
        ),
        (
            lambda path: write(path, FLOAT_WEIGHTS.replace("x) =>", "x, float[1] z) =>")),
            STATUS_UNSUPPORTED,
            "the graph has another number of inputs and outputs; got 2 and 1; expected 1 and 1",
        ),
    ],
    ids=["bytes", "nothing", "free", "half", "two"],
)
def test_what_it_does_not_run_it_refuses_in_one_line(
    run: Run, tmp_path: Path, write_model: Callable[[Path], object], status: int, words: str
) -> None:
    write_model(tmp_path / "x.onnx")
    ended = run(tmp_path / "x.onnx")
    assert ended.returncode == 3 and ended.stdout == ""
    assert ended.stderr.startswith(f"{status} {tmp_path / 'x.onnx'}: ") and words in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["/nowhere/libonnxruntime.so", "libm.so.6", __file__])
def test_a_library_that_is_missing_or_another_is_told(run: Run, fp32: Path, name: str) -> None:
    ended = run(fp32, RTSEG_ONNXRUNTIME=name)
    assert ended.returncode == 3 and ended.stderr.startswith(f"{STATUS_MISSING} ")
    assert (
        name in ended.stderr
        and ". Try: run pip install onnxruntime, and set RTSEG_ONNXRUNTIME to the path" in ended.stderr
    )
    assert ended.stderr.count("\n") == 1


def test_a_library_that_is_older_than_the_headers_is_told(run: Run, fp32: Path, tmp_path: Path) -> None:
    source = tmp_path / "old.c"
    source.write_text(
        "#include <stdio.h>\n"
        'static const void* api(unsigned version) { fprintf(stderr, "no API %u\\n", version); return 0; }\n'
        'static const char* words(void) { return "1.9.2"; }\n'
        "static const struct { const void* (*api)(unsigned); const char* (*words)(void); } base = {api, words};\n"
        "const void* OrtGetApiBase(void) { return &base; }\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", tmp_path / "old.so"], check=True)
    ended = run(fp32, RTSEG_ONNXRUNTIME=str(tmp_path / "old.so"))
    assert ended.returncode == 3
    expected = (
        f"{STATUS_MISSING} {tmp_path}/old.so is older than the headers that this backend was built with; got 1.9.2"
    )
    assert ended.stderr.startswith(expected) and ended.stderr.count("\n") == 1


def test_without_a_variable_the_library_is_the_one_that_was_configured(run: Run, fp32: Path) -> None:
    assert run(fp32, np.zeros((1, 3, 64, 64), np.float32), RTSEG_ONNXRUNTIME="").returncode == 0


def test_a_name_without_a_folder_is_looked_for_by_the_loader(run: Run, fp32: Path, tmp_path: Path) -> None:
    (tmp_path / "libonnxruntime.so.7").symlink_to(onnxruntime_library())
    array = np.zeros((1, 3, 64, 64), np.float32)
    named = {"RTSEG_ONNXRUNTIME": "libonnxruntime.so.7"}
    assert run(fp32, array, **named, LD_LIBRARY_PATH=str(tmp_path)).returncode == 0
    assert run(fp32, array, **named).returncode == 3


def test_running_a_file_writes_nothing_into_the_users_folders(run: Run, fp32: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    folders = {"HOME": str(home), "TMPDIR": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    array = np.zeros((1, 3, 64, 64), np.float32)
    assert run(fp32, array, **folders).returncode == 0
    assert list(home.iterdir()) == []
    run(fp32, array, **folders, ORT_DISABLE_TELEMETRY="0")
    if not list(home.iterdir()):
        pytest.skip("this release of ONNX Runtime has no telemetry")
