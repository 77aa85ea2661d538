"""The backend `tensorrt` beside the real libraries of 8.5.3 and of TensorRT for RTX, without a GPU: its refusals."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.contracts.tensorrt_bundle import has_driver
from tests.embedding.tensorrt_modules import Module, built_module, doubles_for, engine_file
from tests.embedding.tensorrt_networks import BACKEND, MISSING, UNSUPPORTED, refusal
from tests.outside import outside, why_not

pytestmark = pytest.mark.slow

RTX_LIBRARIES = "tensorrt_libraries/rtx-1.6"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Module, Path]:
    if reason := why_not(("tensorrt_headers/8.5.3", "trt85")):
        pytest.skip(reason)
    libraries = sorted(outside("trt85").rglob("libnvinfer.so.8"))
    assert libraries
    return built_module(outside("tensorrt_headers/8.5.3"), tmp_path_factory.mktemp("real")), libraries[0].parent


def test_the_real_library_of_8_5_3_tells_its_release_and_an_engine_of_another_is_refused(real) -> None:
    module, libraries = real
    with module.opened(libraries) as talk:
        answer = refusal(talk, module, Path("engine"), release="8.6.1.6")
    assert answer == (
        f"error {UNSUPPORTED} the engine was built with another version of TensorRT; got 8.6.1.6 in its manifest; "
        "expected 8.5.3, which is installed here. Try: run rtseg build ONNX --precision fp16 on this machine"
    )


@pytest.mark.skipif(has_driver(), reason="there is a driver")
def test_without_a_driver_the_real_library_is_asked_nothing(real) -> None:
    module, libraries = real
    with module.opened(libraries) as talk:
        answer = refusal(talk, module, Path("engine"), release="8.5.3.1")
    assert answer.startswith(f"error {MISSING} CUDA cannot be used here; got no NVIDIA driver: libcuda.so.1")


def test_a_runtime_that_the_real_library_cannot_start_is_told_in_its_words(real, tmp_path: Path) -> None:
    module, libraries = real
    (tmp_path / "libcuda.so.1").symlink_to(doubles_for(module) / "libcuda.so.1")
    with module.opened(tmp_path, libraries) as talk:
        answer = refusal(talk, module, Path("engine"), release="8.5.3.1")
        assert talk.ask("close") == "ok 0 0"
    assert answer.startswith(
        f"error {BACKEND} TensorRT cannot start its runtime: CUDA cannot be used here; got from TensorRT: CUDA init"
    )


@pytest.fixture(scope="module")
def rtx(tmp_path_factory: pytest.TempPathFactory) -> Module:
    if reason := why_not(("tensorrt_headers/rtx-1.6",)):
        pytest.skip(reason)
    return built_module(outside("tensorrt_headers/rtx-1.6"), tmp_path_factory.mktemp("rtx"))


def test_the_real_library_of_rtx_has_to_be_of_the_headers_release(rtx: Module) -> None:
    found = find_spec("tensorrt_rtx_libs")
    release = metadata.version("tensorrt_rtx") if found is not None else ""
    if found is None or release.startswith("1.6."):
        pytest.skip("no TensorRT for RTX of another release than 1.6")
    with rtx.opened(*map(Path, found.submodule_search_locations or ())) as talk:
        answer = refusal(talk, rtx, Path("engine"))
    numbers = ".".join(release.split(".")[:3])
    assert answer.startswith(
        f"error {MISSING} this backend is built for another TensorRT for RTX; got {numbers}; expected 1.6. Try: build"
    )


@pytest.mark.data(RTX_LIBRARIES)
def test_the_real_library_of_rtx_tells_its_release_and_an_engine_of_another_is_refused(
    rtx: Module, tmp_path: Path
) -> None:
    path = engine_file(rtx, tmp_path / "engine", "no engine")
    with rtx.opened(outside(RTX_LIBRARIES)) as talk:
        answer = refusal(talk, rtx, path, release="1.7.1.116")
        assert answer.startswith(
            f"error {UNSUPPORTED} the engine was built with another version of TensorRT for RTX; got 1.7.1.116 in "
            "its manifest; expected 1.6."
        )
        path.write_bytes(bytes(100))
        answer = refusal(talk, rtx, path)
        assert answer.startswith(
            f"error {UNSUPPORTED} the file was not built by this release of TensorRT for RTX; got 0"
        )


@pytest.mark.data(RTX_LIBRARIES)
def test_bytes_that_are_no_engine_are_refused_by_the_real_library_of_rtx(rtx: Module, tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").symlink_to(doubles_for(rtx) / "libcuda.so.1")
    with rtx.opened(tmp_path, outside(RTX_LIBRARIES)) as talk:
        answer = refusal(talk, rtx, engine_file(rtx, tmp_path / "engine", "no engine"))
        assert talk.ask("close") == "ok 0 0"
    assert answer == (
        f"error {UNSUPPORTED} TensorRT for RTX cannot load the engine: it is damaged, or no engine; got MALFORMED_ENG"
        "INE. Try: run rtseg build again"
    )
