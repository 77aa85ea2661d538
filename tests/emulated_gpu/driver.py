"""CUDA's rules without CUDA: device memory is the host's, a stream is a queue that runs when it is waited for."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Callable

import numpy as np
from numpy.typing import DTypeLike

from rtseg.errors import CudaError
from rtseg.runners.cuda import ends
from rtseg.runners.cuda.bindings_driver import without_collection
from rtseg.runners.cuda.failures import failure
from rtseg.runners.cuda.protocol import (
    Argument,
    Array,
    CudaDriver,
    DeviceInfo,
    DeviceMemory,
    Event,
    Graph,
    Grid,
    Kernel,
    Module,
    Pointer,
    Stream,
    address,
    require_room,
    require_size,
    values_of,
)
from tests.native.kernels_on_cpu import KernelsOnCpu

H200 = DeviceInfo(0, "NVIDIA H200", (9, 0), 64 << 20, 132, (13, 0))
"""With less memory than the real one, so that it can be used up."""

RTX_4090 = DeviceInfo(0, "NVIDIA GeForce RTX 4090", (8, 9), 64 << 20, 128, (13, 0))
"""With less memory too."""

CODE = b"machine code of the emulation:"
FRESH, FREED = 0xCD, 0xDD

Work = Callable[[], None]


class Queue:
    """A stream: what is in it, and what is being captured instead of put there."""

    def __init__(self) -> None:
        self.work: deque[Work] = deque()
        self.captured: list[Work] | None = None
        self.spoiled = False


class Mark:
    """An event: the queue whose work it stands behind, and when that was done."""

    def __init__(self) -> None:
        self.queue: Queue | None = None
        self.done_at: float | None = None


class EmulatedDriver(CudaDriver):
    """A device whose work runs late, when someone waits for it, or at once if `eager`: both are what CUDA may do.

    counts tells how often each thing was done. What CUDA answers with an error is one here, with its number; an address
    that is not in living memory spoils the whole context, as it does there, and so does code that was unloaded.
    """

    name = "emulated"
    version = "1"

    def __init__(
        self, kernels: KernelsOnCpu, *, captures: bool = True, eager: bool = False, device: DeviceInfo = H200
    ) -> None:
        self.captures = captures
        self.device = device
        self.counts: Counter[str] = Counter()
        self._kernels = kernels
        self._eager = eager
        self._lost = False
        self._lock = threading.RLock()
        self._numbers = itertools.count(0x1000)
        self._blocks: dict[int, Array] = {}
        self._pinned: list[weakref.ref[Array]] = []
        self._queues: weakref.WeakValueDictionary[int, Queue] = weakref.WeakValueDictionary()
        self._thread = threading.local()
        self._thread.depth = 1

    # What the other parts of the emulation use

    @property
    def used(self) -> int:
        """The bytes on the device that are not free."""
        return sum(block.nbytes for block in list(self._blocks.values()))

    def bytes_at(self, pointer: int, size: int) -> Array:
        """Return living device memory. Raises CudaError for any other address."""
        found = self._living(pointer, size)
        if found is None:
            self._lost = True
            raise failure("finish a stream's work", 700, "CUDA_ERROR_ILLEGAL_ADDRESS")
        return found

    def holds(self, pointer: int, size: int) -> bool:
        """Return whether so many bytes of living device memory are there."""
        return self._living(pointer, size) is not None

    def _living(self, pointer: int, size: int) -> Array | None:
        with self._lock:
            for start, block in self._blocks.items():
                if start <= pointer and pointer + size <= start + block.nbytes:
                    return block[pointer - start : pointer - start + size]
        return None

    def put(self, handle: int, work: Work) -> None:
        """Put something into the stream of that handle, as a library would that was given the handle."""
        queue = self._queues[handle]
        if queue.captured is not None:
            queue.captured.append(work)
            return
        queue.work.append(work)
        if self._eager:
            self._finish(queue)

    def is_capturing(self, handle: int) -> bool:
        """Return whether what is put into that stream is captured."""
        return self._queues[handle].captured is not None

    # The device

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        self.counts["active"] += 1
        self._thread.depth = getattr(self._thread, "depth", 0) + 1
        try:
            yield
        finally:
            self._thread.depth -= 1

    def memory(self) -> tuple[int, int]:
        self._require("ask for the free memory")
        return self.device.memory - self.used, self.device.memory

    def allocate(self, size: int) -> DeviceMemory:
        doing = f"allocate {size} bytes on the device"
        self._require(doing, captured=False)
        with self._lock:
            if self.used + size > self.device.memory:
                raise failure(doing, 2, "CUDA_ERROR_OUT_OF_MEMORY")
            self.counts["allocate"] += 1
            room = np.full(max(size, 1) + 256, FRESH, np.uint8)
            offset = -room.ctypes.data % 256
            block = room[offset : offset + max(size, 1)]
            self._blocks[block.ctypes.data] = block
        return DeviceMemory(block.ctypes.data, size, block, functools.partial(self._release, block.ctypes.data))

    def _release(self, start: int) -> None:
        queue = getattr(self._thread, "capturing", None)
        if queue is not None:
            queue.spoiled = True
        with self._lock:
            self._blocks.pop(start)[...] = FREED

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        self._require("allocate page-locked memory", captured=False)
        self.counts["pinned"] += 1
        array = np.empty(shape, dtype)
        array.reshape(-1).view(np.uint8)[...] = FRESH
        self._pinned.append(weakref.ref(array))
        return array

    # Streams and events

    def create_stream(self) -> Stream:
        self._require("create a stream", captured=False)
        self.counts["stream"] += 1
        queue, handle = Queue(), next(self._numbers)
        self._queues[handle] = queue
        return Stream(handle, queue)

    def create_event(self, *, timing: bool = False, blocking: bool = False) -> Event:
        self._require("create an event")
        return Event(next(self._numbers), Mark())

    def synchronize(self, stream: Stream) -> None:
        self._require("finish a stream's work", captured=False)
        self.counts["synchronize"] += 1
        self._finish(stream.native)

    def record(self, event: Event, stream: Stream) -> None:
        mark: Mark = event.native
        mark.queue, mark.done_at = stream.native, None

        def reach() -> None:
            mark.done_at = time.perf_counter()

        self._put(stream, "record an event", reach)

    def synchronize_event(self, event: Event) -> None:
        self._require("finish the work before an event", captured=False)
        self._reach(event.native)

    def elapsed_ms(self, start: Event, end: Event) -> float:
        self._require("read the time between two events")
        return 1000 * (end.native.done_at - start.native.done_at) + 1e-3

    def wait(self, stream: Stream, event: Event) -> None:
        self._put(stream, "let a stream wait for an event", functools.partial(self._reach, event.native))

    def wait_for_producer(self, stream: Stream, producer: int) -> None:
        self.counts["wait_for_producer"] += 1
        other = self._queues[producer]
        self._put(stream, "let a stream wait for another", functools.partial(self._finish, other))

    # Copies

    def copy_to_device(self, target: Pointer, source: Array, stream: Stream) -> None:
        doing = "copy an array to the device"
        require_room(source, target, doing)
        self._require_pinned_in_capture(source, stream, doing)
        pointer, size = address(target), source.nbytes
        self._put(
            stream, doing, lambda: ctypes.memmove(self.bytes_at(pointer, size).ctypes.data, source.ctypes.data, size)
        )

    def copy_to_host(self, target: Array, source: Pointer, stream: Stream) -> None:
        doing = "copy an array from the device"
        require_room(target, source, doing)
        self._require_pinned_in_capture(target, stream, doing)
        pointer, size = address(source), target.nbytes
        self._put(
            stream, doing, lambda: ctypes.memmove(target.ctypes.data, self.bytes_at(pointer, size).ctypes.data, size)
        )

    def copy_on_device(self, target: Pointer, source: Pointer, size: int, stream: Stream) -> None:
        doing = "copy on the device"
        require_size(size, target, doing)
        require_size(size, source, doing)
        to, start = address(target), address(source)
        self._put(stream, doing, lambda: np.copyto(self.bytes_at(to, size), self.bytes_at(start, size)))

    def fill(self, target: Pointer, value: int, size: int, stream: Stream) -> None:
        doing = "fill device memory"
        require_size(size, target, doing)
        pointer = address(target)
        self._put(stream, doing, lambda: self.bytes_at(pointer, size).fill(value))

    def _require_pinned_in_capture(self, array: Array, stream: Stream, doing: str) -> None:
        if stream.native.captured is None:
            return
        start, end = array.ctypes.data, array.ctypes.data + array.nbytes
        for known in (array for array in (reference() for reference in self._pinned) if array is not None):
            if known.ctypes.data <= start and end <= known.ctypes.data + known.nbytes:
                return
        raise CudaError(doing, name="memory that may be gone at the next launch", expected="page-locked memory")

    # Kernels

    def compile(self, source: str, *, name: str = "kernel.cu", options: Sequence[str] = ()) -> bytes:
        self._require(f"compile {name}", captured=False)
        assert (source, name, tuple(options)) == (ends.source(), ends.NAME, ends.OPTIONS)
        self.counts["compile"] += 1
        return CODE + self.device.architecture.encode()

    def load_module(self, image: bytes) -> Module:
        doing = f"load {len(image)} bytes of device code"
        self._require(doing, captured=False)
        if image != CODE + self.device.architecture.encode():
            raise failure(doing, 200, "CUDA_ERROR_INVALID_IMAGE")
        return Module(next(self._numbers), image)

    def kernel(self, module: Module, name: str) -> Kernel:
        self._require(f"find the kernel {name}")
        if name not in ends.KERNELS:
            raise failure(f"find the kernel {name}", 500, "CUDA_ERROR_NOT_FOUND")
        return Kernel(next(self._numbers), name, module)

    def launch(
        self, kernel: Kernel, grid: Grid, block: Grid, arguments: Sequence[Argument], stream: Stream, shared: int = 0
    ) -> None:
        values = values_of(arguments)
        assert not shared and kernel.native in ends.KERNELS
        module = weakref.ref(kernel.module)

        def run() -> None:
            if module() is None:
                self._lost = True
                raise failure("finish a stream's work", 700, "CUDA_ERROR_ILLEGAL_ADDRESS")
            for value in values:
                if isinstance(value, np.uint64):  # only pointers are
                    self.bytes_at(int(value), 1)
            told = self._kernels.failure_of(kernel.native, grid, block, values)
            if told is not None:
                self._lost = True
                raise CudaError("finish a stream's work", name=f"CUDA_ERROR_LAUNCH_FAILED: {told}", code=719)

        self.counts[f"launch {kernel.native}"] += 1
        self._put(stream, "launch a kernel", run)

    # Graphs

    def capture(self, stream: Stream, work: Callable[[], object]) -> Graph:
        doing = "capture a graph"
        if not self.captures:
            raise CudaError(doing, name="PyCUDA, which has no CUDA graphs", expected="cuda-python")
        self._require(doing, captured=False)
        queue: Queue = stream.native
        with without_collection():
            queue.captured, queue.spoiled = [], False
            self._thread.capturing = queue
            try:
                work()
            finally:
                captured, queue.captured = queue.captured, None
                self._thread.capturing = None
        if queue.spoiled:
            raise failure(doing, 901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED")
        self.counts["capture"] += 1
        return Graph(next(self._numbers), tuple(captured))

    def launch_graph(self, graph: Graph, stream: Stream) -> None:
        if graph.native is None:
            raise failure("launch a graph", 400, "CUDA_ERROR_INVALID_HANDLE")
        self.counts["launch graph"] += 1
        for work in graph.native:
            self._put(stream, "launch a graph", work)

    # The rules

    def _require(self, doing: str, *, captured: bool = True) -> None:
        """Raise what CUDA answers: a lost context, a thread outside it, or what a capture does not allow."""
        if self._lost:
            raise failure(doing, 700, "CUDA_ERROR_ILLEGAL_ADDRESS")
        if getattr(self._thread, "depth", 0) < 1:
            raise failure(doing, 201, "CUDA_ERROR_INVALID_CONTEXT")
        queue = getattr(self._thread, "capturing", None)
        if queue is not None and not captured:
            queue.spoiled = True
            raise failure(doing, 900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED")

    def _put(self, stream: Stream, doing: str, work: Callable[[], object]) -> None:
        self._require(doing)
        if stream.native is None:
            raise failure(doing, 400, "CUDA_ERROR_INVALID_HANDLE")
        self.put(stream.handle, work)  # type: ignore[arg-type]

    def _reach(self, mark: Mark) -> None:
        if mark.queue is not None and mark.done_at is None:
            self._finish(mark.queue)

    def _finish(self, queue: Queue | None) -> None:
        if queue is None:
            raise failure("finish a stream's work", 400, "CUDA_ERROR_INVALID_HANDLE")
        while queue.work:
            queue.work.popleft()()
