"""What holds for every implementation of CUDA, on an NVIDIA GPU, or on libcuda.so.1 of tests/cuda/host_driver.c."""

from __future__ import annotations

import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rtseg.errors import CudaError
from rtseg.runners.cuda import CudaDriver, DeviceMemory, Kernel, Stream

HOST = "Host "
"""How the host driver's devices are called. It knows one kernel, `scale`, and takes any ELF file for its module."""

SOURCE = """
extern "C" __global__ void scale(float *data, int count, float factor) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) data[i] *= factor;
}
"""
COUNT = 1000
EVENT_RESOLUTION_MS = 0.005
"""Of three differences between two events each, about half a microsecond, and what float32 makes of them."""
GRID, BLOCK = (4, 1, 1), (256, 1, 1)

ASTRAY = f"""
import numpy as np
from rtseg.runners.cuda import open_cuda
from rtseg.errors import CudaError
cuda = open_cuda()
stream, memory = cuda.create_stream(), cuda.allocate(64)
kernel = cuda.kernel(cuda.load_module(cuda.compile({SOURCE!r})), "scale")
cuda.launch(kernel, (1, 1, 1), (32, 1, 1), (np.uint64(256), np.int32(32), np.float32(2)), stream)
try: cuda.synchronize(stream)
except CudaError as error: print(error)
"""


@pytest.fixture(scope="module")
def kernel(cuda: CudaDriver) -> Kernel:
    image = b"\x7fELF" + bytes(60) if cuda.device.name.startswith(HOST) else cuda.compile(SOURCE, name="scale.cu")
    return cuda.kernel(cuda.load_module(image), "scale")


@pytest.fixture
def values(cuda: CudaDriver) -> np.ndarray:
    array = cuda.pinned((COUNT,), np.float32)
    array[:] = np.arange(COUNT)
    return array


@pytest.fixture
def memory(cuda: CudaDriver, values: np.ndarray) -> DeviceMemory:
    return cuda.allocate(values.nbytes)


def test_the_device_says_what_it_is(cuda: CudaDriver) -> None:
    device = cuda.device
    assert device.name and device.multiprocessors > 0 and device.driver >= (11, 4)
    assert device.architecture == f"sm_{device.compute_capability[0]}{device.compute_capability[1]}"
    free, total = cuda.memory()
    assert 0 < free <= total <= device.memory


def test_what_is_copied_there_comes_back(
    cuda: CudaDriver, stream: Stream, values: np.ndarray, memory: DeviceMemory
) -> None:
    back = np.zeros_like(values)
    cuda.copy_to_device(memory, values, stream)
    cuda.copy_to_host(back, memory, stream)
    cuda.synchronize(stream)
    assert np.array_equal(back, values)


def test_a_pointer_may_be_a_number_inside_the_memory(
    cuda: CudaDriver, stream: Stream, values: np.ndarray, memory: DeviceMemory
) -> None:
    back = np.zeros(COUNT - 10, np.float32)
    cuda.copy_to_device(memory, values, stream)
    cuda.copy_to_host(back, memory.handle + 40, stream)
    cuda.synchronize(stream)
    assert np.array_equal(back, values[10:])


def test_memory_is_aligned_for_everything(cuda: CudaDriver) -> None:
    assert all(cuda.allocate(size).handle % 256 == 0 for size in (1, 3, 1000))


def test_memory_is_filled_and_copied_on_the_device(cuda: CudaDriver, stream: Stream) -> None:
    first, second, back = cuda.allocate(64), cuda.allocate(64), np.zeros(64, np.uint8)
    cuda.fill(first, 7, 64, stream)
    cuda.fill(second, 9, 64, stream)
    cuda.copy_on_device(second, first, 16, stream)
    cuda.copy_to_host(back, second, stream)
    cuda.synchronize(stream)
    assert back.tolist() == [7] * 16 + [9] * 48


def test_work_in_a_stream_is_done_in_the_order_it_was_given(cuda: CudaDriver, stream: Stream) -> None:
    turns, size = 50, 1 << 16
    memory, history = cuda.allocate(size), cuda.allocate(turns * size)
    for turn in range(turns):
        cuda.fill(memory, turn, size, stream)
        cuda.copy_on_device(history.handle + turn * size, memory, size, stream)
    back = np.empty((turns, size), np.uint8)
    cuda.copy_to_host(back, history, stream)
    cuda.synchronize(stream)
    assert np.array_equal(back, np.repeat(np.arange(turns, dtype=np.uint8)[:, None], size, axis=1))


def test_a_kernel_gets_the_arguments_it_is_given(
    cuda: CudaDriver, stream: Stream, kernel: Kernel, values: np.ndarray, memory: DeviceMemory
) -> None:
    back = np.zeros_like(values)
    cuda.copy_to_device(memory, values, stream)
    cuda.launch(kernel, GRID, BLOCK, (memory, np.int32(COUNT - 1), np.float32(0.5)), stream)
    cuda.copy_to_host(back, memory, stream)
    cuda.synchronize(stream)
    assert np.array_equal(back[:-1], values[:-1] / 2) and back[-1] == values[-1]


@pytest.mark.parametrize("argument", [4, 0.5, "x", None, np.complex64(1), np.zeros(2)])
def test_an_argument_without_a_type_is_refused(
    cuda: CudaDriver, stream: Stream, kernel: Kernel, argument: object
) -> None:
    with pytest.raises(CudaError, match=r"argument 1 to a kernel.*expected a NumPy scalar"):
        cuda.launch(kernel, (1, 1, 1), (1, 1, 1), (np.uint64(256), argument), stream)  # type: ignore[arg-type]


def test_work_that_was_captured_runs_at_each_launch_and_not_before(
    cuda: CudaDriver, stream: Stream, kernel: Kernel, values: np.ndarray, memory: DeviceMemory
) -> None:
    if not cuda.captures:
        pytest.skip("it captures no graphs")
    back = cuda.pinned(values.shape, values.dtype)
    back[:] = -1

    def work() -> None:
        cuda.copy_to_device(memory, values, stream)
        cuda.launch(kernel, GRID, BLOCK, (memory, np.int32(COUNT), np.float32(3)), stream)
        cuda.copy_to_host(back, memory, stream)

    graph = cuda.capture(stream, work)
    cuda.synchronize(stream)
    assert np.all(back == -1)
    for shift in (0, 5):
        values += shift
        cuda.launch_graph(graph, stream)
        cuda.synchronize(stream)
        assert np.array_equal(back, values * 3)


def test_a_graph_is_launched_as_often_as_one_likes_and_in_any_stream(
    cuda: CudaDriver, stream: Stream, kernel: Kernel, values: np.ndarray, memory: DeviceMemory
) -> None:
    if not cuda.captures:
        pytest.skip("it captures no graphs")
    other, event, back = cuda.create_stream(), cuda.create_event(), np.zeros_like(values)
    doubled = (memory, np.int32(COUNT), np.float32(2))
    graph = cuda.capture(stream, lambda: cuda.launch(kernel, GRID, BLOCK, doubled, stream))
    cuda.copy_to_device(memory, values, stream)
    for _ in range(5):
        cuda.launch_graph(graph, stream)
    cuda.record(event, stream)
    cuda.wait(other, event)
    for _ in range(3):
        cuda.launch_graph(graph, other)
    cuda.copy_to_host(back, memory, other)
    cuda.synchronize(other)
    assert np.array_equal(back, values * 2**8)


def test_other_threads_allocate_and_wait_while_one_captures(
    cuda: CudaDriver, stream: Stream, kernel: Kernel, values: np.ndarray, memory: DeviceMemory
) -> None:
    if not cuda.captures:
        pytest.skip("it captures no graphs")
    doubled = (memory, np.int32(COUNT), np.float32(2))
    with ThreadPoolExecutor(1) as pool:

        def work() -> None:
            cuda.launch(kernel, GRID, BLOCK, doubled, stream)
            assert np.array_equal(pool.submit(there_and_back, cuda, values).result(), values)
            cuda.launch(kernel, GRID, BLOCK, doubled, stream)

        graph = cuda.capture(stream, work)
    back = np.zeros_like(values)
    cuda.copy_to_device(memory, values, stream)
    cuda.launch_graph(graph, stream)
    cuda.copy_to_host(back, memory, stream)
    cuda.synchronize(stream)
    assert np.array_equal(back, values * 4)


def test_an_error_inside_a_capture_leaves_the_stream_usable(
    cuda: CudaDriver, stream: Stream, values: np.ndarray, memory: DeviceMemory
) -> None:
    if not cuda.captures:
        pytest.skip("it captures no graphs")

    def fails() -> None:
        cuda.copy_to_device(memory, values, stream)
        raise KeyError("the work's own")

    with pytest.raises(KeyError, match="the work's own"):
        cuda.capture(stream, fails)
    with pytest.raises(CudaError, match=r"STREAM_CAPTURE_UNSUPPORTED \(900\).*before the capture begins"):
        cuda.capture(stream, lambda: cuda.synchronize(stream))
    test_what_is_copied_there_comes_back(cuda, stream, values, memory)


def test_what_captures_no_graphs_says_so(cuda: CudaDriver, stream: Stream) -> None:
    if cuda.captures:
        pytest.skip("it captures graphs")
    with pytest.raises(CudaError, match=r"has no CUDA graphs; expected cuda-python"):
        cuda.capture(stream, lambda: None)


def test_events_tell_the_time_between_them(cuda: CudaDriver, stream: Stream) -> None:
    start, end = cuda.create_event(timing=True), cuda.create_event(timing=True, blocking=True)
    cuda.record(start, stream)
    cuda.fill(cuda.allocate(64), 0, 64, stream)
    cuda.record(end, stream)
    cuda.synchronize_event(end)
    assert 0 < cuda.elapsed_ms(start, end) < 10_000


def test_the_times_between_events_add_up(cuda: CudaDriver, stream: Stream) -> None:
    events, memory = [cuda.create_event(timing=True) for _ in range(3)], cuda.allocate(1 << 20)
    for event in events:
        cuda.record(event, stream)
        cuda.fill(memory, 0, memory.size, stream)
    cuda.synchronize(stream)
    first, second, third = events
    parts = cuda.elapsed_ms(first, second) + cuda.elapsed_ms(second, third)
    assert cuda.elapsed_ms(first, third) == pytest.approx(parts, abs=EVENT_RESOLUTION_MS)


def test_an_event_without_timing_tells_no_time(cuda: CudaDriver, stream: Stream) -> None:
    start, end = cuda.create_event(), cuda.create_event()
    cuda.record(start, stream)
    cuda.record(end, stream)
    cuda.synchronize(stream)
    with pytest.raises(CudaError, match="read the time between two events"):
        cuda.elapsed_ms(start, end)


def test_a_stream_waits_for_anothers_event_and_for_another_librarys_stream(
    cuda: CudaDriver, stream: Stream, values: np.ndarray, memory: DeviceMemory
) -> None:
    other, event, back = cuda.create_stream(), cuda.create_event(), np.zeros_like(values)
    cuda.copy_to_device(memory, values, other)
    cuda.record(event, other)
    cuda.wait(stream, event)
    cuda.wait_for_producer(stream, other.handle)
    cuda.copy_to_host(back, memory, stream)
    cuda.synchronize(stream)
    assert np.array_equal(back, values)


def test_a_page_locked_array_outlives_everything_else_through_its_views(cuda: CudaDriver) -> None:
    view = cuda.pinned((4, 4), np.uint8)[1:, 1:]
    view[:] = 3
    gc.collect()
    assert view.sum() == 27 and view.flags.writeable


def test_too_much_memory_is_refused_with_the_size(cuda: CudaDriver) -> None:
    with pytest.raises(CudaError, match=r"allocate 1125899906842624 bytes.*CUDA_ERROR_OUT_OF_MEMORY \(2\)") as raised:
        cuda.allocate(1 << 50)
    assert (raised.value.code, raised.value.name) == (2, "CUDA_ERROR_OUT_OF_MEMORY")


def test_memory_that_was_dropped_can_be_had_again(cuda: CudaDriver) -> None:
    free, _ = cuda.memory()
    for _ in range(4):
        assert cuda.allocate(free // 2).handle


def test_what_is_no_device_code_is_refused(cuda: CudaDriver) -> None:
    with pytest.raises(CudaError, match="load 8 bytes of device code"):
        cuda.load_module(b"nothing\0")


def test_a_kernel_that_is_not_in_the_module_is_refused_by_its_name(cuda: CudaDriver, kernel: Kernel) -> None:
    with pytest.raises(CudaError, match="find the kernel absent"):
        cuda.kernel(kernel.module, "absent")


def test_a_copy_that_does_not_fit_is_refused_before_it_happens(cuda: CudaDriver, stream: Stream) -> None:
    memory, array = cuda.allocate(16), np.zeros(5, np.float32)
    with pytest.raises(CudaError, match="got 20 bytes; expected at most the 16"):
        cuda.copy_to_device(memory, array, stream)
    with pytest.raises(CudaError, match="got 20 bytes; expected at most the 16"):
        cuda.copy_to_host(array, memory, stream)
    with pytest.raises(CudaError, match="got 17 bytes; expected at most the 16"):
        cuda.fill(memory, 0, 17, stream)


def test_an_array_that_is_not_contiguous_or_not_writable_is_refused(cuda: CudaDriver, stream: Stream) -> None:
    memory, array = cuda.allocate(64), np.zeros((4, 4), np.float32)
    with pytest.raises(CudaError, match="C-contiguous"):
        cuda.copy_to_device(memory, array.T[1:], stream)
    array.flags.writeable = False
    with pytest.raises(CudaError, match="read-only"):
        cuda.copy_to_host(array, memory, stream)


def there_and_back(cuda: CudaDriver, values: np.ndarray) -> np.ndarray:
    """Return the values by way of the device, as a thread does it that is in no context."""
    with cuda.active():
        stream, memory, back = cuda.create_stream(), cuda.allocate(values.nbytes), np.zeros_like(values)
        cuda.copy_to_device(memory, values, stream)
        cuda.copy_to_host(back, memory, stream)
        cuda.synchronize(stream)
        del stream, memory  # PyCUDA frees where the context is
        return back


def test_another_thread_works_inside_the_context(cuda: CudaDriver, values: np.ndarray) -> None:
    with ThreadPoolExecutor(3) as pool:
        given = [values * factor for factor in range(6)]
        for array, back in zip(given, pool.map(there_and_back, [cuda] * 6, given)):
            assert np.array_equal(back, array)


def test_another_thread_outside_the_context_is_told_what_to_do(cuda: CudaDriver) -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(CudaError, match=r"201\).*with cuda\.active\(\)"):
        pool.submit(cuda.allocate, 16).result()


def test_closing_twice_does_nothing(cuda: CudaDriver) -> None:
    for made in (cuda.create_stream(), cuda.create_event(), cuda.allocate(16)):
        made.close()
        made.close()


def test_the_source_is_compiled_for_the_device_and_its_errors_are_told(cuda: CudaDriver) -> None:
    if cuda.device.name.startswith(HOST):
        pytest.skip("the host driver's device runs no compiled code")
    with pytest.raises(CudaError, match=r"compile broken\.cu for sm_\d+.*error: .*absent"):
        cuda.compile("__global__ void broken() { absent(); }", name="broken.cu")


def test_a_kernel_that_goes_astray_is_told_and_the_process_ends_well(cuda: CudaDriver) -> None:
    if cuda.device.name.startswith(HOST) or not cuda.captures:
        pytest.skip("a real address and cuda-python are needed to lose a context and free in silence")
    done = subprocess.run([sys.executable, "-c", ASTRAY], capture_output=True, text=True, timeout=120)
    assert "CUDA_ERROR_ILLEGAL_ADDRESS (700). Try: start a new process" in done.stdout, done.stdout + done.stderr
    assert (done.returncode, done.stderr) == (0, "")
