"""CUDA C++ compiled by nvcc, where the toolkit is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtseg.errors import CudaError
from rtseg.runners.cuda import compiler, ends
from rtseg.runners.cuda.nvcc import compile_kernel, find_nvcc

SCALE = 'extern "C" __global__ void scale(float *data, float factor) { data[threadIdx.x] *= factor; }'


@pytest.fixture
def nvcc() -> str:
    found = find_nvcc()
    if found is None:
        pytest.skip("no nvcc")
    return found


def test_the_kernels_of_the_two_ends_are_compiled_to_machine_code_that_holds_their_names(nvcc: str) -> None:
    image = compile_kernel(nvcc, ends.source(), "sm_90", name=ends.NAME, options=ends.OPTIONS)
    assert image.startswith(b"\x7fELF")
    assert all(f"{name}\0".encode() in image for name in ends.KERNELS)


def test_nvcc_gives_ptx_to_a_device_newer_than_itself(nvcc: str) -> None:
    image = compile_kernel(nvcc, SCALE, "sm_199")
    assert b".visible .entry scale(" in image and image.endswith(b"\0")


def test_the_errors_of_nvcc_arrive_with_the_file_and_the_line(nvcc: str) -> None:
    with pytest.raises(CudaError, match=r"compile broken\.cu for sm_90") as raised:
        compile_kernel(nvcc, "\n\n__global__ void broken() { absent(1); }\n", "sm_90", name="broken.cu")
    assert 'broken.cu(3): error: identifier "absent" is undefined' in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_compiler_that_does_not_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(CudaError, match="does not start: No such file"):
        compile_kernel(str(tmp_path / "nvcc"), SCALE, "sm_90")


def test_nvcc_is_found_in_the_folder_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "nvcc"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert find_nvcc() == str(program)


@pytest.fixture
def no_nvrtc(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> bytes:
        raise CudaError("ask NVRTC", name="no library libnvrtc: none", hint="run pip install nvidia-cuda-nvrtc")

    monkeypatch.setattr("rtseg.runners.cuda.nvrtc.compile_kernel", missing)


def test_without_nvrtc_the_toolkit_compiles(nvcc: str, no_nvrtc: None) -> None:
    assert compiler.compile_kernel(SCALE, "sm_90").startswith(b"\x7fELF")


def test_without_either_compiler_the_package_of_nvrtc_is_named(no_nvrtc: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtseg.runners.cuda.nvcc.find_nvcc", lambda: None)
    with pytest.raises(CudaError, match="pip install nvidia-cuda-nvrtc"):
        compiler.compile_kernel(SCALE, "sm_90")
