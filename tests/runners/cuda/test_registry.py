"""What open_cuda says where something is missing, and that the real packages drive a driver."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from rtseg.errors import CudaError, RunnerError, UnknownNameError
from rtseg.runners.cuda import CudaDriver, open_cuda
from rtseg.runners.cuda.failures import KNOWN, OLDEST_DRIVER, failure, failure_by_text, require_device, require_driver
from rtseg.runners.cuda.protocol import values_of
from tests.runners.cuda.host_driver import on_the_host_driver

OPEN = "from rtseg.runners.cuda import open_cuda; from rtseg.errors import RtsegError\n"
TRY = f"""exec({OPEN!r})
try: print(open_cuda(sys.argv[1], int(sys.argv[2])).device.name)
except RtsegError as error: print(type(error).__name__, getattr(error, 'code', ''), error)"""
SUITE = "sys.argv[0] = 'pytest'; runpy.run_module('pytest', run_name='__main__')"


def answer(name: str = "cuda-python", device: int = 0, **variables: str) -> str:
    done = on_the_host_driver(TRY, name, device, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return done.stdout[:-1]


def test_importing_it_needs_numpy_only() -> None:
    program = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'onnxruntime', 'cv2', 'PIL', 'rich', 'click', 'cuda', 'pycuda', 'tensorrt'):\n"
        "    sys.modules[name] = None\n"
        "import rtseg.runners.cuda\n"
        "from rtseg.runners.cuda import bindings_driver, dlpack, nvrtc, pycuda_driver\n"
        "for name in rtseg.runners.cuda.DRIVERS:\n"
        "    try: rtseg.runners.cuda.open_cuda(name)\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "MissingDependencyError driving CUDA needs the package cuda-python, which is not installed. "
        "Try: run pip install 'rtseg[gpu]' for TensorRT, or 'rtseg[rtx]' for TensorRT for RTX",
        "MissingDependencyError driving CUDA through PyCUDA needs the package pycuda, which is not installed. "
        "Try: run pip install 'rtseg[pycuda]'",
    ]


def test_an_unknown_implementation_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match="got 'cuda'; expected one of cuda-python, pycuda"):
        open_cuda("cuda")


@pytest.mark.parametrize("name", ["cuda-python", "pycuda"])
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "Host 0"),
        ({"HOST_DRIVER_FAILS": "cuInit:100"}, "CudaError 100 CUDA cannot be used here; got CUDA_ERROR_NO_DEVICE (100)"),
        ({"HOST_DRIVER_FAILS": "cuInit:803"}, "CudaError 803 CUDA cannot be used here; got CUDA_ERROR_SYSTEM_DRIVER_M"),
        (
            {"HOST_DRIVER_DEVICES": "0"},
            "CudaError None CUDA cannot open device 0; got 0 devices; expected at least one",
        ),
        (
            {"HOST_DRIVER_VERSION": "11030"},
            "CudaError None CUDA cannot be used here; got a driver for CUDA 11.3; expected one for CUDA 11.4 or newer. "
            "Try: install a newer NVIDIA driver",
        ),
    ],
    ids=["works", "no device", "driver mismatch", "all devices hidden", "driver too old"],
)
def test_what_is_missing_is_said_in_one_line(
    request: pytest.FixtureRequest, name: str, variables: dict[str, str], said: str
) -> None:
    request.getfixturevalue(name.replace("-", "_"))
    assert answer(name, **variables).startswith(said)


def test_a_device_that_is_not_there_is_refused_with_how_many_are(cuda_python: None) -> None:
    assert "cannot open device 2; got 2 devices; expected a number from 0 to 1" in answer(
        device=2, HOST_DRIVER_DEVICES="2"
    )
    assert answer(device=1, HOST_DRIVER_DEVICES="2") == "Host 1"


def test_a_machine_without_a_driver_is_told_so(cuda_python: None) -> None:
    try:
        open_cuda()
    except CudaError as error:
        if error.code is not None:
            pytest.skip(f"there is a driver here: {error}")
        assert "got no NVIDIA driver: " in str(error) and "install the NVIDIA driver" in error.hint
        return
    pytest.skip("there is a GPU here")


def test_a_function_that_an_old_driver_lacks_is_an_error_of_cuda(cuda_python: None) -> None:
    program = f"""exec({OPEN!r})
cuda = open_cuda()
try: cuda.copy_to_host(__import__('numpy').zeros(4), cuda.allocate(32), cuda.create_stream())
except RtsegError as error: print(type(error).__name__, error)"""
    done = on_the_host_driver(program, HOST_DRIVER_LACKS="cuMemcpyDtoHAsync")
    assert done.stdout.startswith("CudaError CUDA cannot copy an array from the device; got a driver that is too old: ")


@pytest.mark.parametrize("name", ["cuda-python", "pycuda"])
def test_the_contract_holds_on_the_host_driver(request: pytest.FixtureRequest, name: str) -> None:
    request.getfixturevalue(name.replace("-", "_"))
    suite = ("tests/gpu/test_cuda_drivers.py", "-k", name.replace("-", " and "), "-q", "-p", "no:cacheprovider")
    done = on_the_host_driver(SUITE, *suite)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) >= 25, done.stdout


def test_everything_is_freed_with_its_last_reference_and_the_context_last(cuda_python: None) -> None:
    program = f"""exec({OPEN!r})
import ctypes, numpy as np
host = ctypes.CDLL('libcuda.so.1')
cuda = open_cuda()
stream, memory, event = cuda.create_stream(), cuda.allocate(64), cuda.create_event()
module = cuda.load_module(b'\\x7fELF' + bytes(60))
kernel = cuda.kernel(module, 'scale')
graph = cuda.capture(stream, lambda: cuda.fill(memory, 1, 64, stream))
view = cuda.pinned((8, 8), np.uint8)[1:]
print(host.host_driver_alive(), host.host_driver_retained())
del module  # its kernel still needs it
cuda.launch(kernel, (1, 1, 1), (1, 1, 1), (memory, np.int32(0), np.float32(1)), stream)
memory.close(); memory.close()
del stream, memory, event, kernel, graph, cuda
print(host.host_driver_alive(), host.host_driver_retained())
del view
print(host.host_driver_alive(), host.host_driver_retained())"""
    done = on_the_host_driver(program)
    assert done.stdout.split("\n") == ["6 1", "1 1", "0 0", ""], done.stdout + done.stderr


def test_no_garbage_is_collected_between_the_beginning_and_the_end_of_a_capture(cuda_python: None) -> None:
    # What it freed of CUDA's would spoil the capture.
    program = f"""exec({OPEN!r})
import gc
cuda, seen = open_cuda(), []
class Watched:
    def __getattr__(self, name, calls=cuda._cu):
        if 'Capture' in name: seen.append(gc.isenabled())
        return getattr(calls, name)
cuda._cu = Watched()
cuda.capture(cuda.create_stream(), lambda: seen.append(gc.isenabled()))
print(seen, gc.isenabled())"""
    done = on_the_host_driver(program)
    assert done.stdout == "[False, False, False] True\n", done.stdout + done.stderr


def test_a_lost_context_frees_in_silence_and_the_process_ends_well(cuda_python: None) -> None:
    program = f"""exec({OPEN!r})
cuda = open_cuda()
memory, array = cuda.allocate(64), cuda.pinned((4,), 'uint8')
os.environ['HOST_DRIVER_FAILS'] = 'cuMemFree:700'
try: cuda._cu.cuMemFree('free', memory.native)
except RtsegError as error: print(error)
del memory"""
    done = on_the_host_driver(program)
    assert done.stdout.startswith("CUDA cannot free; got CUDA_ERROR_ILLEGAL_ADDRESS (700). Try: start a new process")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["cuda-python", "pycuda"])
def test_the_process_ends_well_with_everything_alive(request: pytest.FixtureRequest, name: str) -> None:
    request.getfixturevalue(name.replace("-", "_"))
    program = f"""exec({OPEN!r})
cuda = open_cuda(sys.argv[1])
kept = [cuda.create_stream(), cuda.allocate(64), cuda.create_event(), cuda.pinned((4,), 'uint8')]"""
    done = on_the_host_driver(program, name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_pycudas_own_context_is_the_one_that_is_used(pycuda: None) -> None:
    program = f"""exec({OPEN!r})
import pycuda.driver as driver
driver.init()
context = driver.Device(0).retain_primary_context()
context.push()
cuda = open_cuda('pycuda')
print(cuda._context == context)
context.detach()"""
    done = on_the_host_driver(program)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_pycudas_primary_context_is_not_taken_in_a_thread_that_will_end(pycuda: None) -> None:
    program = f"""exec({OPEN!r})
from concurrent.futures import ThreadPoolExecutor
try: ThreadPoolExecutor(1).submit(open_cuda, 'pycuda').result()
except RtsegError as error: print(error)"""
    done = on_the_host_driver(program)
    assert "got a thread that is not the main one" in done.stdout and done.returncode == 0


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_a_known_failure_comes_with_its_name_its_code_and_what_to_try(known: object) -> None:
    for error in (failure("launch", known.code, known.name), failure_by_text("launch", f"cuX failed: {known.text}")):
        assert isinstance(error, RunnerError)
        assert (error.doing, error.name, error.code) == ("launch", known.name, known.code)
        assert str(error) == f"CUDA cannot launch; got {known.name} ({known.code}). Try: {known.hint}"


def test_an_unknown_failure_keeps_cudas_words() -> None:
    assert str(failure_by_text("x", "cuX failed: something new")) == "CUDA cannot x; got cuX failed: something new"
    assert str(failure("x", 4711, "CUDA_ERROR_NEW")) == "CUDA cannot x; got CUDA_ERROR_NEW (4711)"


def test_the_oldest_driver_is_enough_and_one_before_it_is_not() -> None:
    require_driver(OLDEST_DRIVER)
    with pytest.raises(CudaError, match=r"driver for CUDA 11\.3; expected one for CUDA 11\.4"):
        require_driver((11, 3))


@pytest.mark.parametrize("device", [-1, 2])
def test_a_device_outside_the_count_is_refused(device: int) -> None:
    require_device(1, 2)
    with pytest.raises(CudaError, match=f"open device {device}; got 2 devices; expected a number from 0 to 1"):
        require_device(device, 2)


def test_every_argument_of_a_kernel_keeps_its_type() -> None:
    import numpy as np

    given = (np.int32(4), np.float16(0.5), np.uint64(256), np.bool_(True))
    assert [value.dtype for value in values_of(given)] == [value.dtype for value in given]


def test_an_implementation_has_to_offer_everything() -> None:
    with pytest.raises(TypeError, match="abstract"):
        type("Incomplete", (CudaDriver,), {})()
