"""The CUDA drivers in a process that torch works in: one context, no copies, and streams that wait for one another."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import numpy as np
import pytest

from rtseg.errors import CudaError
from rtseg.runners.cuda import DEFAULT, CudaDriver, Kernel, Stream, device_pointer, open_cuda

SCALE = """
extern "C" __global__ void scale(float *data, int count, float factor) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) data[i] *= factor;
}
"""
COUNT = 1 << 16
LATE = 50_000_000
"""Clock cycles, some tens of milliseconds, that torch's stream waits before it writes: whoever does not wait reads
what was there before."""


@pytest.fixture(scope="module")
def torch() -> Any:
    """PyTorch with its context made. What it warns of on being imported and started is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("torch", reason="torch is not installed")
        if not module.cuda.is_available():
            pytest.skip("this torch has no CUDA")
        module.zeros(1, device="cuda")
    return module


@pytest.fixture(scope="module")
def scale(cuda: CudaDriver) -> Kernel:
    return cuda.kernel(cuda.load_module(cuda.compile(SCALE, name="scale.cu")), "scale")


class Interface:
    """A tensor as libraries without DLPack show theirs: by __cuda_array_interface__, with the stream that writes it."""

    def __init__(self, tensor: Any, stream: int) -> None:
        self.tensor = tensor
        self.__cuda_array_interface__ = {**tensor.__cuda_array_interface__, "version": 3, "stream": stream}


def test_a_tensor_is_taken_where_it_lies(torch: Any, cuda: CudaDriver, stream: Stream) -> None:
    tensor = torch.zeros((2, 3, 4), dtype=torch.float16, device="cuda")
    for array in (tensor, Interface(tensor, 1)):
        view = device_pointer(array, shape=(2, 3, 4), dtype="float16", writable=True, stream=stream.handle)
        assert view.pointer == tensor.data_ptr()


def test_a_view_keeps_the_memory_of_a_tensor_that_is_gone(torch: Any, cuda: CudaDriver, stream: Stream) -> None:
    tensor = torch.full((COUNT,), 3.0, device="cuda")
    view = device_pointer(tensor, shape=(COUNT,), dtype="float32", stream=stream.handle)
    del tensor
    gc.collect()
    other = torch.full((COUNT,), 4.0, device="cuda")
    back = np.zeros(COUNT, np.float32)
    cuda.copy_to_host(back, view.pointer, stream)
    cuda.synchronize(stream)
    assert (back == 3).all() and other.data_ptr() != view.pointer


def test_a_kernel_writes_into_a_tensor_in_torchs_own_context(
    torch: Any, cuda: CudaDriver, stream: Stream, scale: Kernel
) -> None:
    tensor = torch.arange(COUNT, dtype=torch.float32, device="cuda")
    view = device_pointer(tensor, shape=(COUNT,), dtype="float32", writable=True, stream=stream.handle)
    arguments = (np.uint64(view.pointer), np.int32(COUNT), np.float32(2))
    cuda.launch(scale, (64, 1, 1), (256, 1, 1), arguments, stream)
    cuda.synchronize(stream)
    assert torch.equal(tensor, 2 * torch.arange(COUNT, dtype=torch.float32, device="cuda"))


@pytest.mark.parametrize("protocol", ["dlpack", "interface"])
def test_work_waits_for_the_stream_in_which_torch_still_writes(
    torch: Any, cuda: CudaDriver, stream: Stream, protocol: str
) -> None:
    if protocol == "dlpack" and cuda.name == "pycuda":
        pytest.skip("the ordering is torch's there, whatever drives CUDA here")
    tensor, producer = torch.zeros(COUNT, device="cuda"), torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(producer):
        torch.cuda._sleep(LATE)
        tensor.fill_(5)
        array = tensor if protocol == "dlpack" else Interface(tensor, producer.cuda_stream)
        view = device_pointer(array, shape=(COUNT,), dtype="float32", stream=stream.handle)
    if view.producer is not None:
        cuda.wait_for_producer(stream, view.producer)
    back = np.zeros(COUNT, np.float32)
    cuda.copy_to_host(back, view.pointer, stream)
    cuda.synchronize(stream)
    assert (back == 5).all()


def test_torch_waits_for_an_event_of_this_stream(torch: Any, cuda: CudaDriver, scale: Kernel) -> None:
    stream = cuda.create_stream()
    tensor = torch.ones(COUNT, device="cuda")
    torch.cuda.synchronize()
    arguments = (np.uint64(tensor.data_ptr()), np.int32(COUNT), np.float32(1.0001))
    for _ in range(200):
        cuda.launch(scale, (64, 1, 1), (256, 1, 1), arguments, stream)
    torch.cuda.current_stream().wait_stream(torch.cuda.ExternalStream(stream.handle))
    wanted = np.float32(1)
    for _ in range(200):
        wanted *= np.float32(1.0001)
    assert (tensor.clone().cpu().numpy() == wanted).all()


def test_a_tensor_that_is_elsewhere_or_otherwise_is_refused(torch: Any, cuda: CudaDriver) -> None:
    square = torch.zeros((4, 4), device="cuda")
    refusals = (
        (square.cpu(), "got Tensor in host memory; expected one on CUDA device 0"),
        (square[:2], r"got float32 \(2, 4\); expected float32 \(4, 4\)"),
        (square.half(), r"got float16 \(4, 4\)"),
        (square.t(), r"strides of \(4, 16\) bytes; expected \(16, 4\): C-contiguous"),
    )
    for array, told in refusals:
        with pytest.raises(CudaError, match=told):
            device_pointer(array, shape=(4, 4), dtype="float32")


def test_torch_goes_on_when_a_driver_has_been_dropped(torch: Any, cuda: CudaDriver) -> None:
    tensor = torch.arange(10, device="cuda")
    if cuda.name == DEFAULT:
        another = open_cuda(cuda.name)
        memory = another.allocate(1 << 20)
        del another, memory
        gc.collect()
    with cuda.active():
        assert int(tensor.sum()) == 45
    assert int((tensor * 2).sum()) == 90


def test_a_page_locked_array_is_what_torch_calls_pinned(torch: Any, cuda: CudaDriver) -> None:
    array = cuda.pinned((16, 16), np.float32)
    array[...] = 7
    tensor = torch.from_numpy(array)
    assert tensor.is_pinned() and bool((tensor.to("cuda", non_blocking=True) == 7).all())
