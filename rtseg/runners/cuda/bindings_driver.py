"""CUDA through NVIDIA's own package, cuda.bindings of cuda-python."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import threading
import weakref
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any, Callable

import numpy as np
from numpy.typing import DTypeLike

from rtseg.errors import CudaError, first_line
from rtseg.runners.cuda.bindings_package import bindings, version_pair
from rtseg.runners.cuda.checked_calls import CheckedCalls
from rtseg.runners.cuda.compiler import compile_kernel
from rtseg.runners.cuda.failures import failure, missing_function, no_driver, require_device, require_driver
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

_CAPTURING = threading.RLock()
"""Held while work is captured: all threads share one garbage collector."""

_TAKING, _LEAVING = "take the device's context", "leave the device's context"


class BindingsDriver(CudaDriver):
    """cuda-python 12 and 13. Captures graphs; compiles with NVRTC or, if that is not installed, with nvcc."""

    name = "cuda-python"
    captures = True

    def __init__(self, device: int = 0) -> None:
        """Open the device and make its primary context current in the calling thread. Raises as open_cuda does."""
        self._driver, _ = bindings()
        self.version = installed_version()
        self._cu = CheckedCalls(self._driver, _failed, missing_function)
        _initialise(self._driver)
        self.device = self._describe(device)
        self._primary = _PrimaryContext(self._cu, self._cu.cuDeviceGet("open the device", device))
        self._cu.cuCtxSetCurrent(_TAKING, self._primary.context)

    def _describe(self, ordinal: int) -> DeviceInfo:
        driver, asking = self._driver, "ask the device what it is"
        version = version_pair(self._cu.cuDriverGetVersion(asking))
        require_driver(version)
        require_device(ordinal, self._cu.cuDeviceGetCount(asking))
        handle = self._cu.cuDeviceGet(asking, ordinal)
        known = driver.CUdevice_attribute
        major, minor, multiprocessors = (
            self._cu.cuDeviceGetAttribute(asking, attribute, handle)
            for attribute in (
                known.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                known.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
                known.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
            )
        )
        return DeviceInfo(
            ordinal=ordinal,
            name=self._cu.cuDeviceGetName(asking, 256, handle).partition(b"\0")[0].decode(errors="replace"),
            compute_capability=(major, minor),
            memory=self._cu.cuDeviceTotalMem(asking, handle),
            multiprocessors=multiprocessors,
            driver=version,
        )

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make the primary context current in the calling thread, and restore the thread's previous one at the end."""
        self._cu.cuCtxPushCurrent(_TAKING, self._primary.context)
        try:
            yield
        finally:
            self._cu.cuCtxPopCurrent(_LEAVING)

    def memory(self) -> tuple[int, int]:
        """Return the free and the total bytes of the device."""
        free, total = self._cu.cuMemGetInfo("ask for the free memory")
        return free, total

    def allocate(self, size: int) -> DeviceMemory:
        """Return that many bytes on the device, uninitialised, aligned to 256."""
        pointer = self._cu.cuMemAlloc(f"allocate {size} bytes on the device", max(size, 1))
        return DeviceMemory(int(pointer), size, pointer, self._freeing(self._cu.cuMemFree, pointer))

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an uninitialised array in page-locked host memory, freed with its last view."""
        kind = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        pointer = self._cu.cuMemHostAlloc(f"allocate {size} bytes of page-locked memory", max(size, 1), 0)
        block = _PinnedBlock(int(pointer), shape, kind)
        weakref.finalize(block, self._freeing(self._cu.cuMemFreeHost, pointer))
        return np.asarray(block)

    def create_stream(self) -> Stream:
        """Return a stream that does not wait for the default one."""
        flags = int(self._driver.CUstream_flags.CU_STREAM_NON_BLOCKING)
        native = self._cu.cuStreamCreate("create a stream", flags)
        return Stream(int(native), native, self._freeing(self._cu.cuStreamDestroy, native))

    def create_event(self, *, timing: bool = False, blocking: bool = False) -> Event:
        """Return an event. timing lets elapsed_ms read it; blocking lets synchronize_event sleep instead of spin."""
        known = self._driver.CUevent_flags
        flags = (0 if timing else int(known.CU_EVENT_DISABLE_TIMING)) | (
            int(known.CU_EVENT_BLOCKING_SYNC) if blocking else 0
        )
        native = self._cu.cuEventCreate("create an event", flags)
        return Event(int(native), native, self._freeing(self._cu.cuEventDestroy, native))

    def synchronize(self, stream: Stream) -> None:
        """Wait until everything in the stream is done."""
        self._cu.cuStreamSynchronize("finish a stream's work", stream.native)

    def record(self, event: Event, stream: Stream) -> None:
        """Put the event after the work that is in the stream now."""
        self._cu.cuEventRecord("record an event", event.native, stream.native)

    def synchronize_event(self, event: Event) -> None:
        """Wait until the event's work is done."""
        self._cu.cuEventSynchronize("finish the work before an event", event.native)

    def elapsed_ms(self, start: Event, end: Event) -> float:
        """Return the milliseconds between two events that were made with timing and are done."""
        return float(self._cu.cuEventElapsedTime("read the time between two events", start.native, end.native))

    def wait(self, stream: Stream, event: Event) -> None:
        """Make later work in the stream wait for the event."""
        self._cu.cuStreamWaitEvent("let a stream wait for an event", stream.native, event.native, 0)

    def wait_for_producer(self, stream: Stream, producer: int) -> None:
        """Make later work in the stream wait for the current work of another library's stream, given by its handle."""
        event = self.create_event()
        self._cu.cuEventRecord("record an event in another library's stream", event.native, producer)
        self.wait(stream, event)  # CUDA frees an event only when its work is done

    def copy_to_device(self, target: Pointer, source: Array, stream: Stream) -> None:
        """Copy a C-contiguous array to the device."""
        doing = "copy an array to the device"
        require_room(source, target, doing)
        self._cu.cuMemcpyHtoDAsync(doing, address(target), source.ctypes.data, source.nbytes, stream.native)

    def copy_to_host(self, target: Array, source: Pointer, stream: Stream) -> None:
        """Fill a C-contiguous array from the device."""
        doing = "copy an array from the device"
        require_room(target, source, doing)
        if not target.flags.writeable:
            raise CudaError(doing, name="a read-only array", expected="a writable one")
        self._cu.cuMemcpyDtoHAsync(doing, target.ctypes.data, address(source), target.nbytes, stream.native)

    def copy_on_device(self, target: Pointer, source: Pointer, size: int, stream: Stream) -> None:
        """Copy that many bytes within the device."""
        doing = "copy on the device"
        require_size(size, target, doing)
        require_size(size, source, doing)
        self._cu.cuMemcpyDtoDAsync(doing, address(target), address(source), size, stream.native)

    def fill(self, target: Pointer, value: int, size: int, stream: Stream) -> None:
        """Set that many bytes to value, 0 to 255."""
        doing = "fill device memory"
        require_size(size, target, doing)
        self._cu.cuMemsetD8Async(doing, address(target), value, size, stream.native)

    def compile(self, source: str, *, name: str = "kernel.cu", options: Sequence[str] = ()) -> bytes:
        """Return machine code of the CUDA C++ source for this device, from NVRTC, else from the toolkit's nvcc."""
        return compile_kernel(source, self.device.architecture, name=name, options=options)

    def load_module(self, image: bytes) -> Module:
        """Load machine code that compile returned."""
        native = self._cu.cuModuleLoadData(f"load {len(image)} bytes of device code", image)
        return Module(int(native), native, self._freeing(self._cu.cuModuleUnload, native))

    def kernel(self, module: Module, name: str) -> Kernel:
        """Return a function of the module, declared extern "C" there."""
        native = self._cu.cuModuleGetFunction(f"find the kernel {name}", module.native, name.encode())
        return Kernel(int(native), native, module)

    def launch(
        self, kernel: Kernel, grid: Grid, block: Grid, arguments: Sequence[Argument], stream: Stream, shared: int = 0
    ) -> None:
        """Put a kernel into the stream. shared is its dynamic shared memory in bytes."""
        parameters = _Parameters(arguments)
        self._cu.cuLaunchKernel(
            "launch a kernel", kernel.native, *grid, *block, shared, stream.native, parameters.address, 0
        )

    def capture(self, stream: Stream, work: Callable[[], object]) -> Graph:
        """Call work and return the graph of what it put into the stream, without running it."""
        mode = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        with without_collection():
            self._cu.cuStreamBeginCapture("begin to capture a graph", stream.native, mode)
            try:
                work()
            except BaseException:
                self._abandon_capture(stream)
                raise
            recorded = self._cu.cuStreamEndCapture("capture a graph", stream.native)
        try:
            native = self._cu.cuGraphInstantiate("make a captured graph ready", recorded, 0)
        finally:
            self._cu.cuGraphDestroy("free a captured graph", recorded)
        graph = Graph(int(native), native, self._freeing(self._cu.cuGraphExecDestroy, native))
        # Otherwise the first launch would do this, and take longer than the others.
        self._cu.cuGraphUpload("put a graph on the device", native, stream.native)
        return graph

    def _abandon_capture(self, stream: Stream) -> None:
        """End a capture whose work failed; the caller should see the work's own exception."""
        try:
            recorded = self._cu.cuStreamEndCapture("end a capture", stream.native)
        except CudaError:
            return  # the failure invalidated the capture, and ending it freed everything
        self._cu.cuGraphDestroy("free a captured graph", recorded)

    def launch_graph(self, graph: Graph, stream: Stream) -> None:
        """Put the graph's work into the stream."""
        self._cu.cuGraphLaunch("launch a graph", graph.native, stream.native)

    def _freeing(self, free: Callable[..., object], native: Any) -> Callable[[], None]:
        return functools.partial(self._primary.free, free, native)


class _PrimaryContext:
    """A reference to a device's primary context, released when no driver and no object made by one is left."""

    def __init__(self, calls: CheckedCalls, device: Any) -> None:
        self._calls = calls
        self.context = calls.cuDevicePrimaryCtxRetain("take the device's primary context", device)
        weakref.finalize(self, _unless_lost, calls.cuDevicePrimaryCtxRelease, "give the context back", device)

    def free(self, function: Callable[..., object], native: Any) -> None:
        """Free a resource in the thread that drops it last, which may have no context, or another device's."""
        _unless_lost(self._free, function, native)

    def _free(self, function: Callable[..., object], native: Any) -> None:
        self._calls.cuCtxPushCurrent(_TAKING, self.context)
        try:
            function("free unused resources", native)
        finally:
            self._calls.cuCtxPopCurrent(_LEAVING)


def _unless_lost(function: Callable[..., object], *arguments: Any) -> None:
    """Call the function. After an illegal address every CUDA call fails, and there is nothing left to free."""
    try:
        function(*arguments)
    except CudaError:
        return


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Keep Python's garbage collector from freeing CUDA resources in this thread, which would break a capture."""
    with _CAPTURING:
        enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if enabled:
                gc.enable()


class _PinnedBlock:
    """Page-locked memory with NumPy's array interface."""

    def __init__(self, pointer: int, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": kind.str, "data": (pointer, False)}


class _Parameters:
    """A kernel's arguments in memory: CUDA reads an array of pointers, one to each value, and copies the values."""

    def __init__(self, arguments: Sequence[Argument]) -> None:
        values = values_of(arguments)
        self._values = (ctypes.c_uint64 * max(len(values), 1))()
        start = ctypes.addressof(self._values)
        self._pointers = (ctypes.c_void_p * max(len(values), 1))()
        for index, value in enumerate(values):
            ctypes.memmove(start + 8 * index, value.tobytes(), value.itemsize)
            self._pointers[index] = start + 8 * index
        self.address = ctypes.addressof(self._pointers)


def _failed(doing: str, code: Any) -> CudaError:
    return failure(doing, int(code), code.name)


def _initialise(driver: Any) -> None:
    try:
        code = driver.cuInit(0)[0]
    except RuntimeError as error:
        raise no_driver(first_line(error)) from error
    if code:
        raise _failed("be used here", code)


def installed_version() -> str:
    """Return the version of cuda-python, empty if its metadata is missing."""
    for name in ("cuda-bindings", "cuda-python"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""
