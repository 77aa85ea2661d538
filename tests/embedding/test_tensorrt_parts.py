"""What the backend `tensorrt` of the C++ library decides without TensorRT: as Python decides it."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtseg.artifacts.details import EngineDetails
from rtseg.artifacts.manifest import Manifest
from rtseg.datasets.registry import class_spec
from rtseg.errors import RtsegError
from rtseg.frame.window import window_of
from rtseg.runners.cuda import ends
from rtseg.runners.tensorrt.messages import LogRecord, engine_error
from rtseg.runners.tensorrt.preflight import require_release_inside, require_runnable
from rtseg.runners.tensorrt.rtx_runtime import _DIAGNOSTICS
from rtseg.specs import ImageSpec, OutputSpec
from tests.contracts.tensorrt_api import RTX_VERSIONS, VERSIONS, every_version
from tests.embedding.tensorrt_modules import BACKEND, CPP, HERE
from tests.made_once import made_once

COMPILER = shutil.which("c++")
KINDS = {"int32": "i", "int64": "l", "float32": "f", "uint64": "p"}
LIBRARY = "parts.so"
PARTS = ("end_launches", "host_tensors", "messages", "preflight")

IMAGE = ImageSpec(96, 160)
OUTPUT = OutputSpec(class_spec("camvid"), "logits", 8, False)
SIZES = ((96, 160), (96, 161), (95, 160), (12, 20), (24, 40), (7, 1000), (1000, 7), (720, 960), (1, 1), (480, 800))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    library = made_once(tmp_path_factory, "tensorrt-parts", compile_parts) / LIBRARY
    loaded = ctypes.CDLL(str(library))
    for name in ("front", "tail", "preflight", "release_inside", "told", "diagnosis"):
        getattr(loaded, name).restype = ctypes.c_char_p
    loaded.diagnosis.argtypes = [ctypes.c_ulonglong]
    return loaded


def compile_parts(folder: Path) -> None:
    if COMPILER is None:
        pytest.skip("no C++ compiler (c++)")
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    includes = [f"-I{CPP / 'include'}", f"-I{CPP / 'src'}", f"-I{BACKEND}"]
    sources = [HERE / "tensorrt_parts.cpp", CPP / "src" / "errors.cpp", *(BACKEND / f"{name}.cpp" for name in PARTS)]
    command = [COMPILER, "-std=c++17", "-shared", "-fPIC", *warnings, *includes, *sources, "-o", folder / LIBRARY]
    subprocess.run(command, check=True)


def described(launch: ends.Launch) -> str:
    """Return a launch as tensorrt_parts.cpp writes it."""
    words = [launch.kernel, str(launch.grid[0])]
    for value in launch.arguments.values():
        bits = value.view(np.int32) if value.dtype == np.float32 else value
        words.append(f"{KINDS[value.dtype.name]}{int(bits)}")
    return " ".join(words)


def contract(spec: ImageSpec) -> tuple[ctypes.Array[ctypes.c_int], ctypes.Array[ctypes.c_float]]:
    numbers = (spec.height, spec.width, int(spec.colour_order == "BGR"), int(spec.fit == "letterbox"), spec.padding)
    return (ctypes.c_int * 5)(*numbers), (ctypes.c_float * 7)(spec.scale, *spec.mean, *spec.std)


IMAGES = (
    IMAGE,
    replace(IMAGE, colour_order="BGR"),
    replace(IMAGE, fit="letterbox", padding=9),
    replace(IMAGE, height=160, fit="letterbox"),
)


@pytest.mark.parametrize("size", SIZES)
def test_the_front_is_launched_as_python_launches_it(parts: ctypes.CDLL, size: tuple[int, int]) -> None:
    for spec in IMAGES:
        for order in ("RGB", "BGR"):
            for dtype in ("float32", "float16"):
                expected = ends.front(0x1000, size, 0x2000, spec, dtype=dtype, colour_order=order)
                made = parts.front(*contract(spec), *size, int(order == "BGR"), int(dtype == "float16"))
                assert made.decode() == described(expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("multiple", [0, 1, 8, 16])
def test_the_tail_is_launched_as_python_launches_it(parts: ctypes.CDLL, size: tuple[int, int], multiple: int) -> None:
    for spec in IMAGES:
        for stride in (1, 4, 8):
            for align_corners in (False, True):
                for threshold in (None, 0.25):
                    shape = (11 if threshold is None else 1, spec.height // stride, spec.width // stride)
                    expected = ends.tail(
                        *(0x3000, shape, 0x4000, size),
                        align_corners=align_corners,
                        dtype="float16",
                        strides=ends.channels_last(shape, multiple) if multiple else None,
                        threshold=threshold,
                        window=window_of(spec, *size),
                    )
                    logits = (ctypes.c_int * 5)(*shape, 1, multiple)
                    limit = None if threshold is None else ctypes.byref(ctypes.c_float(threshold))
                    made = parts.tail(*contract(spec), logits, *size, int(align_corners), limit)
                    assert made.decode() == described(expected)


class Card:
    name = "A GPU"

    def __init__(self, capability: tuple[int, int]) -> None:
        self.compute_capability = capability


@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt-rtx"])
@pytest.mark.parametrize("built", ["8.5.3.1", "8.5.3", "8.5.2", "10.3.0.26", "", "newest"])
@pytest.mark.parametrize("capabilities", [("8.9",), ("8.6", "8.9"), ("8.0",), ("9.0",), (), ("any",)])
def test_an_engine_of_another_release_or_gpu_is_refused_in_pythons_words(
    parts: ctypes.CDLL, runtime: str, built: str, capabilities: tuple[str, ...]
) -> None:
    for portable in (False, True):
        for compatibility in ("none", "ampere_plus"):
            for release in ("8.5.3", "8.5.3.1"):
                for card in ((7, 5), (8, 0), (8, 9), (12, 0)):
                    expected = refusal(runtime, built, capabilities, portable, compatibility, release, card)
                    made = parts.preflight(
                        *(int(runtime == "tensorrt-rtx"), runtime.encode(), built.encode()),
                        *(" ".join(capabilities).encode(), int(portable), compatibility.encode()),
                        *(release.encode(), *card),
                    )
                    assert parts_of(made.decode()) == parts_of(expected)


def refusal(runtime, built, capabilities, portable, compatibility, release, card) -> str:
    details = EngineDetails(
        runtime=runtime,
        release=built,
        compute_capabilities=capabilities,
        portable=portable,
        settings={"hardware_compatibility": compatibility},
    )
    manifest = Manifest(
        kind="engine",
        network="affnet",
        options={},
        weights="random",
        precision="fp16",
        image=IMAGE,
        output=OUTPUT,
        details=details,
    )
    try:
        require_runnable(manifest, release, Card(card))
    except RtsegError as error:
        return str(error)
    return ""


def parts_of(message: str) -> str:
    """Return a message with what, got, expected and try told apart in one way, and values that say nothing left out."""
    message = re.sub(r"[;:,.] (got|expected|[Tt]ry:) ", lambda found: f" | {found[1].lower()} ", message)
    return re.sub(r"got (\([^|]*?\)|'[^|']*')(?= \||$)", "got what says nothing", message)


@pytest.mark.parametrize("content", [b"", bytes(64), bytes(24) + bytes([1, 7, 1]) + bytes(37), bytes(24) + bytes([1])])
def test_the_release_inside_an_engine_of_rtx_is_read_as_python_reads_it(parts: ctypes.CDLL, content: bytes) -> None:
    try:
        require_release_inside(content, "1.7.1.116")
        expected = ""
    except RtsegError as error:
        expected = str(error)
    made = parts.release_inside(content, ctypes.c_size_t(len(content)), b"1.7.1.116").decode()
    assert parts_of(made) == parts_of(expected)


LINES = (
    "CUDA initialization failure with error: 35. Please check your CUDA installation",
    "CUDA initialization failure with error: 100",
    "CUDA initialization failure with error: 804",
    "CUDA initialization failure with error: 999",
    "1: [stdArchiveReader.cpp::StdArchiveReader::32] Error Code 1: Serialization (Serialization assertion "
    "magicTagRead == kMAGIC_TAG failed.\nMagic tag does not match)",
    "6: The engine plan file is not compatible with this version of TensorRT, expecting library version 8.5.3.1 got "
    "8.6.1.6, please rebuild.",
    "6: The engine plan file is generated on an incompatible device, expecting compute 8.9 got compute 8.6, please "
    "rebuild.",
    "[pluginV2Runner.cpp::load::300] Error Code 1: Serialization (Serialization assertion creator failed.Cannot "
    "deserialize plugin since corresponding IPluginCreator not found in Plugin Registry)",
    "a line that nobody knows",
)


@pytest.mark.parametrize("line", LINES)
def test_tensorrts_words_are_translated_as_python_translates_them(parts: ctypes.CDLL, line: str) -> None:
    expected = str(engine_error("it refuses", [line], hint="a hint"))
    assert parts_of(parts.told(1, line.encode()).decode()) == parts_of(expected)


def test_a_missing_driver_is_heard_though_tensorrt_tells_it_as_a_warning(parts: ctypes.CDLL) -> None:
    for severity in range(5):
        for line in LINES[:1] + LINES[-1:]:
            record = LogRecord()
            record.add(severity, line)
            expected = str(engine_error("it refuses", record.errors, hint="a hint"))
            assert parts_of(parts.told(severity, line.encode()).decode()) == parts_of(expected)


def test_what_rtx_diagnoses_is_told_as_python_tells_it(parts: ctypes.CDLL) -> None:
    for bit, (name, cause, hint) in enumerate(_DIAGNOSTICS):
        expected = f"TensorRT for RTX cannot load the engine: {cause} | got {name} | try: {hint}"
        assert parts_of(parts.diagnosis(1 << bit).decode()) == expected
    both = parts.diagnosis(0b11).decode()
    assert ", and ".join(cause for _, cause, _ in _DIAGNOSTICS[:2]) in both
    assert "VERSION_MISMATCH and UNSUPPORTED_CC" in both


def test_every_float16_is_read_and_written_as_numpy_does(parts: ctypes.CDLL) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16)
    floats = np.empty(len(halves), np.float32)
    parts.from_half(halves.ctypes, ctypes.c_int64(len(halves)), floats.ctypes)
    np.testing.assert_array_equal(floats, halves.view(np.float16).astype(np.float32))
    finite = floats[np.isfinite(floats)]
    between = np.concatenate([finite, (finite[1:] + finite[:-1]) / 2, np.float32([65519, 65520, 1e9, -1e9, np.inf])])
    made = np.empty(len(between), np.uint16)
    parts.to_half(between.ctypes, ctypes.c_int64(len(between)), made.ctypes)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(made.view(np.float16), between.astype(np.float16))


PYTHON_NAMES = {
    "getNbIOTensors": ("ICudaEngine", "num_io_tensors"),
    "getIOTensorName": ("ICudaEngine", "get_tensor_name"),
    "getTensorIOMode": ("ICudaEngine", "get_tensor_mode"),
    "getTensorShape": ("ICudaEngine", "get_tensor_shape"),
    "getTensorDataType": ("ICudaEngine", "get_tensor_dtype"),
    "getTensorFormat": ("ICudaEngine", "get_tensor_format"),
    "getTensorFormatDesc": ("ICudaEngine", "get_tensor_format_desc"),
    "getTensorStrides": ("IExecutionContext", "get_tensor_strides"),
    "setTensorAddress": ("IExecutionContext", "set_tensor_address"),
    "enqueueV3": ("IExecutionContext", "execute_async_v3"),
    "deserializeCudaEngine": ("Runtime", "deserialize_cuda_engine"),
}
"""What the C++ interface calls the functions that the backend calls whatever the version."""


def test_outside_its_one_header_the_backend_calls_only_what_every_version_has() -> None:
    called = set()
    for source in [*BACKEND.glob("*.cpp"), *BACKEND.glob("*.h")]:
        if source.name != "tensorrt_versions.h":
            text = source.read_text(encoding="utf-8")
            called |= set(
                re.findall(r"\b(?:engine|engine_|context|context_|runtime_)(?:->|\.)([a-z]+[A-Z]\w*)\(", text)
            )
            assert not re.search(r"NV_TENSORRT_|TRT_MAJOR|RTSEG_FOR_RTX", text), source.name
    assert called == set(PYTHON_NAMES)
    for release in every_version():
        for kind, name in PYTHON_NAMES.values():
            assert name in release.classes[kind], (release.name, kind, name)


def test_the_header_of_differences_takes_every_version_that_python_takes() -> None:
    if COMPILER is None:
        pytest.skip("no C++ compiler (c++)")
    source = (BACKEND / "tensorrt_versions.h").read_text(encoding="utf-8")
    check = "\n".join(line for line in guard_of(source).splitlines() if not line.startswith("#include"))
    for name in (*VERSIONS, *RTX_VERSIONS):
        assert accepts(check, name), name
    for name in ("8.4.3", "7.2.3", "12.0", "rtx-1.3", "rtx-2.0"):
        assert not accepts(check, name), name


def guard_of(source: str) -> str:
    """Return the part of the header that refuses versions."""
    return source[source.index("#if defined(TRT_MAJOR_RTX)") : source.index("namespace rtseg_internal")]


def accepts(check: str, version: str) -> bool:
    major, minor = version.removeprefix("rtx-").split(".")[:2]
    defines = [f"-DNV_TENSORRT_MAJOR={major}", f"-DNV_TENSORRT_MINOR={minor}"]
    if version.startswith("rtx-"):
        defines.append(f"-DTRT_MAJOR_RTX={major}")
    command = [str(COMPILER), "-E", "-x", "c++", *defines, "-"]
    return subprocess.run(command, input=check, text=True, capture_output=True, check=False).returncode == 0
