"""CUDA C++ compiled without a GPU, where NVRTC is installed."""

from __future__ import annotations

import pytest

from rtseg.errors import CudaError
from rtseg.runners.cuda.failures import errors_of
from rtseg.runners.cuda.nvrtc import compile_kernel, target_for

SCALE = """
extern "C" __global__ void scale(float *data, int count, float factor) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) data[i] *= factor;
}
"""


@pytest.fixture
def nvrtc(cuda_python: None) -> None:
    """Skip where the library is not there: it is a package of its own."""
    try:
        compile_kernel(SCALE, "sm_90")
    except CudaError as error:
        if "no library libnvrtc" not in str(error):
            raise
        assert error.hint.startswith("run pip install nvidia-cuda-nvrtc")
        pytest.skip(str(error))


def test_a_kernel_is_compiled_to_machine_code_that_holds_its_name(nvrtc: None) -> None:
    image = compile_kernel(SCALE, "sm_90")
    assert image.startswith(b"\x7fELF") and b"scale\0" in image


def test_the_same_source_gives_the_same_code_for_one_device_and_another_for_another(nvrtc: None) -> None:
    assert compile_kernel(SCALE, "sm_90") == compile_kernel(SCALE, "sm_90") != compile_kernel(SCALE, "sm_80")


def test_a_device_newer_than_the_compiler_gets_ptx(nvrtc: None) -> None:
    image = compile_kernel(SCALE, "sm_199")
    assert b".visible .entry scale(" in image and image.endswith(b"\0")


def test_the_compilers_errors_arrive_with_the_file_and_the_line(nvrtc: None) -> None:
    with pytest.raises(CudaError, match=r"compile broken\.cu for sm_90") as raised:
        compile_kernel("\n\n__global__ void broken() { absent(1); }\n", "sm_90", name="broken.cu")
    assert 'broken.cu(3): error: identifier "absent" is undefined' in str(raised.value)
    assert "\n" not in str(raised.value) and raised.value.code == 6


def test_an_option_reaches_the_compiler(nvrtc: None) -> None:
    source = 'extern "C" __global__ void given(int *out) { *out = GIVEN; }'
    assert compile_kernel(source, "sm_90", options=["--define-macro=GIVEN=4"])
    with pytest.raises(CudaError, match="unrecognized option"):
        compile_kernel(source, "sm_90", options=["--no-such-option"])


@pytest.mark.parametrize(("arch", "target"), [("sm_90", "sm_90"), ("sm_89", "compute_86"), ("sm_121", "compute_100")])
def test_the_target_is_the_device_or_the_newest_below_it(arch: str, target: str) -> None:
    assert target_for(arch, [75, 80, 86, 90, 100]) == target


def test_a_device_older_than_the_compiler_knows_is_refused() -> None:
    with pytest.raises(CudaError, match=r"compile for sm_70; got an NVRTC that starts at sm_75.*cuda-python<13"):
        target_for("sm_70", [75, 80])


@pytest.mark.parametrize("arch", ["90", "sm90", "compute_90", "sm_9", ""])
def test_what_is_no_architecture_is_refused(arch: str) -> None:
    with pytest.raises(CudaError, match="expected one such as sm_90"):
        target_for(arch, [75, 90])


def test_of_a_long_log_the_first_errors_are_told_and_the_others_counted() -> None:
    log = "\n".join(
        [*(f"k.cu({line}): warning: unused" for line in range(3)), "", *(f"k.cu({n}): error: e" for n in range(9))]
    )
    told = errors_of(log + '\n9 errors detected in the compilation of "k.cu".\n\0')
    assert told.startswith("k.cu(0): error: e | k.cu(1): error: e") and told.endswith(" | and 3 more")


def test_a_log_without_errors_is_told_from_its_beginning() -> None:
    assert errors_of("first\nsecond\n") == "first | second"
