"""What engines run on, under the Python 3.9 and the real TensorRT 8.5.3 of an offline bundle, without a GPU."""

from __future__ import annotations

import json
import mmap
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rtseg.engines.building import ready_graph
from rtseg.frame import native_library
from rtseg.frame.preprocess import tensor_from_image
from rtseg.frame.tail import labels_from_logits
from rtseg.specs import ImageSpec
from tests.contracts.tensorrt_bundle import ROOT, has_driver, needs_bundle, printed

pytestmark = [pytest.mark.slow, needs_bundle]

STAYS_AT_HOME = (
    "benchmarks/gpu_check/prepare.py",
    "benchmarks/gpu_check/split.py",
    "benchmarks/gpu_check/torch_task.py",
    "rtseg/accuracy/reference_run.py",
    "rtseg/benchmarking/paper_table.py",
    "rtseg/benchmarking/session.py",
    "rtseg/calibration",
    "rtseg/cli",
    "rtseg/datasets",
    "rtseg/engines/lowering",
    "rtseg/exporting",
    "rtseg/graphs",
    "rtseg/images",
    "rtseg/labelling.py",
    "rtseg/networks",
    "rtseg/papers",
    "rtseg/quantization",
    "rtseg/runners/torch.py",
    "rtseg/training",
)
"""What trains, exports, quantises, and reads and shows pictures. Everything else, new modules too, runs there."""

ABSENT = (
    "torch",
    "onnx",
    "onnxruntime",
    "openvino",
    "cv2",
    "PIL",
    "rich",
    "click",
    "safetensors",
    "matplotlib",
    "tomli",
)
LATE = ("tensorrt", "cuda", "pycuda")
"""What is there, but loaded by the functions that need it."""

WORDS = (
    "CUDA initialization failure with error: ",
    "CUDA driver version is insufficient for CUDA runtime version",
    "no CUDA-capable device is detected",
    "out of memory",
    "OutOfMemory",
    "Requested amount of GPU memory (",
    " due to insufficient memory on requested size of ",
    "Could not find any implementation for node ",
    " due to insufficient workspace. See verbose log",
    "No importer registered for op: ",
    "getPluginCreator could not find plugin: ",
    "Plugin not found, are the plugin name, version, and namespace correct?",
    "Cannot deserialize plugin since corresponding IPluginCreator not found in Plugin Registry",
    "The engine plan file is not compatible with this version of TensorRT, expecting library version ",
    "The engine plan file is generated on an incompatible device, expecting compute ",
    "Version tag does not match. Note: Current Version: ",
    "Magic tag does not match",
    "Parameter check failed at: ",
)
"""What rtseg.runners.tensorrt.messages looks for, as the libraries of 8.5.3 hold it."""

FAILING_DRIVER = """
#include <stdlib.h>
static int told(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}
int cuInit(unsigned flags) { return told("DRIVER_FAILS", 0); }
int cuDriverGetVersion(int *version) { *version = told("DRIVER_VERSION", 11080); return 0; }
"""
"""A libcuda.so.1 that tells its version, and why it will not begin."""

BUILDS = """
import sys
from pathlib import Path
from rtseg.engines.builder import build_plan
from rtseg.engines.plan import PlanRequest
from rtseg.engines.settings import BuildSettings
from rtseg.engines.progress import BuildProgress
from rtseg.errors import EngineError
try:
    build_plan(PlanRequest(Path(sys.argv[1]).read_bytes(), False, (), BuildSettings(), None), BuildProgress())
except EngineError as error:
    print(error)
"""
DESERIALIZES = """
from rtseg.errors import RunnerError
from rtseg.runners.tensorrt.deserialize import deserialize_engine
from rtseg.runners.tensorrt.module import load_tensorrt
try:
    deserialize_engine(load_tensorrt("tensorrt", "x"), bytes(range(256)) * 64)
except RunnerError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def one_operator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "relu.onnx"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 4, 4)) for name in ("image", "logits")]
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["logits"])], "relu", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def failing_driver(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a driver that does not begin."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("a driver that fails needs a C compiler")
    folder = tmp_path_factory.mktemp("driver")
    command = [compiler, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-x", "c", "-", "-o", folder / "libcuda.so.1"]
    subprocess.run(command, input=FAILING_DRIVER, text=True, check=True, timeout=60)
    return str(folder)


def modules_where_engines_run() -> list[str]:
    names = []
    for path in sorted([*(ROOT / "rtseg").rglob("*.py"), *(ROOT / "benchmarks" / "gpu_check").rglob("*.py")]):
        inside = path.relative_to(ROOT).as_posix()
        if path.name != "__main__.py" and not inside.startswith(STAYS_AT_HOME):
            names.append(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    return names


def test_the_interpreter_is_python_3_9_with_tensorrt_8_5_3() -> None:
    program = (
        "import sys; from rtseg.runners.tensorrt.release import *; print(*sys.version_info[:2], tensorrt_release(''))"
    )
    assert printed(program) == "3 9 8.5.3.1\n"


def test_every_module_that_runs_where_engines_run_is_imported_with_numpy_alone() -> None:
    program = f"""
import importlib, json, sys
for name in {ABSENT + LATE!r}:
    sys.modules[name] = None
refused = {{}}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
    except Exception as error:
        refused[name] = f"{{type(error).__name__}}: {{error}}"
print(json.dumps(refused))
"""
    names = modules_where_engines_run()
    assert {"rtseg", "rtseg.frame.segmenter", "rtseg.engines.building", "rtseg.runners.cuda.ends"} <= set(names)
    assert json.loads(printed(program, json.dumps(names))) == {}


def test_what_stays_at_home_is_there_and_needs_to_stay() -> None:
    program = f"""
import importlib, json, sys
for name in {ABSENT!r}:
    sys.modules[name] = None
idle = []
for part, names in json.loads(sys.argv[1]).items():
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            break
    else:
        idle.append(part)
print(json.dumps(idle))
"""
    parts: dict[str, list[str]] = {}
    for part in STAYS_AT_HOME:
        found = ROOT / part
        files = sorted(found.rglob("*.py")) if found.is_dir() else [found]
        assert files and all(path.is_file() for path in files), part
        parts[part] = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    assert json.loads(printed(program, json.dumps(parts))) == []


@pytest.mark.parametrize("core", ["", "numpy"], ids=["compiled", "numpy"])
def test_the_two_ends_give_the_same_bits_there_as_here(core: str, tmp_path: Path) -> None:
    if not core and native_library.core() is None:
        pytest.skip(native_library.why_none())
    program = f"""
import sys
import numpy as np
from rtseg import native_library
from rtseg.frame.preprocess import tensor_from_image
from rtseg.specs import ImageSpec
from rtseg.frame.tail import labels_from_logits
given = np.load(sys.argv[1])
tensor = tensor_from_image(given["image"], ImageSpec(32, 48))
labels = [
    labels_from_logits(given["logits"], height=61, width=83, align_corners=rule) for rule in (False, True)
]
np.savez(sys.argv[2], tensor=tensor, labels=labels)
assert native_library.why_none() == ({"RTSEG_CORE=numpy is set" if core else ""!r}), native_library.why_none()
"""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (41, 67, 3), np.uint8)
    logits = rng.standard_normal((7, 9, 13)).astype(np.float32)
    np.savez(tmp_path / "given.npz", image=image, logits=logits)
    printed(program, tmp_path / "given.npz", tmp_path / "there.npz", RTSEG_CORE=core)
    with np.load(tmp_path / "there.npz") as there:
        assert np.array_equal(there["tensor"], tensor_from_image(image, ImageSpec(32, 48)))
        for labels, rule in zip(there["labels"], (False, True)):
            assert np.array_equal(labels, labels_from_logits(logits, height=61, width=83, align_corners=rule))


def test_build_settings_without_a_toml_parser_names_the_package(tmp_path: Path) -> None:
    settings = tmp_path / "a.toml"
    settings.write_text("workspace_mib = 1024\n")
    program = """
import sys
sys.modules["tomli"] = None
from rtseg.engines.settings import read_settings
from rtseg.errors import SpecError
try:
    read_settings(sys.argv[1])
except SpecError as error:
    print(error)
"""
    assert (
        printed(program, settings)
        == "before Python 3.11 build settings need the package tomli. Try: run pip install tomli\n"
    )


def test_a_graph_is_lowered_there_as_here(exported: Path) -> None:
    program = """
import sys
from rtseg.engines.building import ready_graph
for release in ("8.5.3.1", "10.3.0"):
    print(ready_graph(sys.argv[1], "fp16", release).sha256)
"""
    here = [ready_graph(exported, "fp16", release).sha256 for release in ("8.5.3.1", "10.3.0")]
    assert printed(program, exported).split() == here


def test_the_words_that_are_translated_are_tensorrts_own() -> None:
    package = Path(printed("import tensorrt; print(tensorrt.__file__)").strip()).parent
    missing = set(WORDS)
    for name in ("libnvonnxparser.so.8", "libnvinfer_plugin.so.8", "libnvinfer.so.8"):
        with (package / name).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            missing -= {words for words in missing if content.find(words.encode()) >= 0}
    assert missing == set()


@pytest.mark.skipif(has_driver(), reason="there is a driver here")
def test_cuda_without_a_driver_is_one_line() -> None:
    program = """
from rtseg.runners.cuda.registry import open_cuda
from rtseg.errors import CudaError
try:
    open_cuda()
except CudaError as error:
    print(error)
"""
    message = printed(program)
    assert message.startswith("CUDA cannot be used here; got no NVIDIA driver") and message.count("\n") == 1


@pytest.mark.skipif(has_driver(), reason="there is a driver here")
def test_building_and_reading_an_engine_without_a_driver_is_one_line_each(one_operator: Path) -> None:
    cause = "there is no NVIDIA driver, or one too old for this TensorRT's CUDA; got from TensorRT: CUDA initialization"
    for program, what in (
        (BUILDS, "TensorRT cannot start its builder"),
        (DESERIALIZES, "TensorRT cannot start its runtime"),
    ):
        message = printed(program, one_operator)
        assert message.startswith(f"{what}: {cause}") and message.count("\n") == 1
        assert "Try: run nvidia-smi" in message


@pytest.mark.parametrize(
    ("variables", "cause"),
    [
        ({"DRIVER_VERSION": "10020"}, "one too old for this TensorRT's CUDA"),
        ({"DRIVER_FAILS": "2"}, "not enough GPU memory"),
        ({"DRIVER_FAILS": "34"}, "the CUDA toolkit's stub library hides the driver"),
        ({"DRIVER_FAILS": "100"}, "CUDA sees no GPU"),
        ({"DRIVER_FAILS": "803"}, "the parts of the NVIDIA driver have different versions"),
        ({"DRIVER_FAILS": "999"}, "CUDA cannot be used here"),
    ],
    ids=lambda value: next(iter(value.items()))[1] if isinstance(value, dict) else "",
)
def test_what_tensorrt_says_of_a_driver_that_fails_is_understood(
    variables: dict[str, str], cause: str, one_operator: Path, failing_driver: str
) -> None:
    for program in (BUILDS, DESERIALIZES):
        message = printed(program, one_operator, LD_LIBRARY_PATH=failing_driver, **variables)
        assert cause in message.partition("; got from TensorRT: ")[0] and message.count("\n") == 1
