"""CUDA through PyCUDA, for programs that already have a PyCUDA context."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, Callable

import numpy as np
from numpy.typing import DTypeLike

from rtseg.errors import CudaError, MissingDependencyError, first_line
from rtseg.runners.cuda.failures import errors_of, failure_by_text, no_driver, require_device, require_driver
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

_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING, which PyCUDA does not define."""


class PycudaDriver(CudaDriver):
    """PyCUDA 2022 and newer. It cannot capture graphs, and compiles with nvcc.

    The driver uses the thread's current PyCUDA context if it belongs to the device; else it retains the primary
    context, as pycuda.autoprimaryctx does. pycuda.autoinit is not imported.

    PyCUDA frees objects only in their context: a thread must drop its objects inside active().
    """

    name = "pycuda"
    captures = False

    def __init__(self, device: int = 0) -> None:
        """Open the device and make the context current in the calling thread. Raises as open_cuda does."""
        self._pycuda = _package()
        self.version = str(importlib.import_module("pycuda").VERSION_TEXT)
        with self._checked("be used here"):
            self._pycuda.init()
            self.device = self._describe(device)
        with self._checked("take the device's context"):
            self._context = self._current_or_primary()

    def _describe(self, ordinal: int) -> DeviceInfo:
        number = self._pycuda.get_driver_version()
        version = (number // 1000, number % 1000 // 10)
        require_driver(version)
        require_device(ordinal, self._pycuda.Device.count())
        self._device = self._pycuda.Device(ordinal)
        return DeviceInfo(
            ordinal=ordinal,
            name=self._device.name(),
            compute_capability=self._device.compute_capability(),
            memory=self._device.total_memory(),
            multiprocessors=self._device.get_attribute(self._pycuda.device_attribute.MULTIPROCESSOR_COUNT),
            driver=version,
        )

    def _current_or_primary(self) -> Any:
        context = self._pycuda.Context.get_current()
        if context is not None and self._pycuda.Context.get_device() == self._device:
            return context
        if threading.current_thread() is not threading.main_thread():
            # The context would stay on the thread's stack of contexts, and PyCUDA aborts the process when such a thread
            # ends.
            raise CudaError(
                "take the device's primary context",
                name="a thread that is not the main one",
                expected="the main thread, or one that is in a PyCUDA context",
                hint="call open_cuda in the main thread, and use `with cuda.active()` in the others",
            )
        context = self._device.retain_primary_context()
        context.push()
        # PyCUDA aborts a process that ends inside a context, and releases a primary context only on request.
        atexit.register(context.detach)
        return context

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make the context current in the calling thread, and restore the thread's previous one at the end."""
        pushed = self._pycuda.Context.get_current() != self._context
        if pushed:
            with self._checked("take the device's context"):
                self._context.push()
        try:
            yield
        finally:
            if pushed:
                self._context.pop()

    def memory(self) -> tuple[int, int]:
        """Return the free and the total bytes of the device."""
        with self._checked("ask for the free memory"):
            free, total = self._pycuda.mem_get_info()
        return free, total

    def allocate(self, size: int) -> DeviceMemory:
        """Return that many bytes on the device, uninitialised, aligned to 256."""
        with self._checked(f"allocate {size} bytes on the device"):
            native = self._pycuda.mem_alloc(max(size, 1))
        return DeviceMemory(int(native), size, native)

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an uninitialised array in page-locked host memory, freed with its last view."""
        with self._checked(f"allocate an array of {shape} in page-locked memory"):
            array: Array = self._pycuda.pagelocked_empty(shape, np.dtype(dtype))
        return array

    def create_stream(self) -> Stream:
        """Return a stream that does not wait for the default one."""
        with self._checked("create a stream"):
            native = self._pycuda.Stream(_NON_BLOCKING)
        return Stream(native.handle, native)

    def create_event(self, *, timing: bool = False, blocking: bool = False) -> Event:
        """Return an event. timing lets elapsed_ms read it; blocking lets synchronize_event sleep instead of spin.

        PyCUDA does not give an event's handle: it is 0.
        """
        known = self._pycuda.event_flags
        flags = (0 if timing else int(known.DISABLE_TIMING)) | (int(known.BLOCKING_SYNC) if blocking else 0)
        with self._checked("create an event"):
            return Event(0, self._pycuda.Event(flags))

    def synchronize(self, stream: Stream) -> None:
        """Wait until everything in the stream is done."""
        with self._checked("finish a stream's work"):
            stream.native.synchronize()

    def record(self, event: Event, stream: Stream) -> None:
        """Put the event after the work that is in the stream now."""
        with self._checked("record an event"):
            event.native.record(stream.native)

    def synchronize_event(self, event: Event) -> None:
        """Wait until the event's work is done."""
        with self._checked("finish the work before an event"):
            event.native.synchronize()

    def elapsed_ms(self, start: Event, end: Event) -> float:
        """Return the milliseconds between two events that were made with timing and are done."""
        with self._checked("read the time between two events"):
            return float(end.native.time_since(start.native))

    def wait(self, stream: Stream, event: Event) -> None:
        """Make later work in the stream wait for the event."""
        with self._checked("let a stream wait for an event"):
            stream.native.wait_for_event(event.native)

    def wait_for_producer(self, stream: Stream, producer: int) -> None:
        """Block until all work of the context is done: PyCUDA accepts no handle of another library's stream."""
        with self._checked("finish the context's work"):
            self._pycuda.Context.synchronize()

    def copy_to_device(self, target: Pointer, source: Array, stream: Stream) -> None:
        """Copy a C-contiguous array to the device."""
        doing = "copy an array to the device"
        require_room(source, target, doing)
        with self._checked(doing):
            self._pycuda.memcpy_htod_async(address(target), source, stream.native)

    def copy_to_host(self, target: Array, source: Pointer, stream: Stream) -> None:
        """Fill a C-contiguous array from the device."""
        doing = "copy an array from the device"
        require_room(target, source, doing)
        if not target.flags.writeable:
            raise CudaError(doing, name="a read-only array", expected="a writable one")
        with self._checked(doing):
            self._pycuda.memcpy_dtoh_async(target, address(source), stream.native)

    def copy_on_device(self, target: Pointer, source: Pointer, size: int, stream: Stream) -> None:
        """Copy that many bytes within the device."""
        doing = "copy on the device"
        require_size(size, target, doing)
        require_size(size, source, doing)
        with self._checked(doing):
            self._pycuda.memcpy_dtod_async(address(target), address(source), size, stream.native)

    def fill(self, target: Pointer, value: int, size: int, stream: Stream) -> None:
        """Set that many bytes to value, 0 to 255."""
        doing = "fill device memory"
        require_size(size, target, doing)
        with self._checked(doing):
            self._pycuda.memset_d8_async(address(target), value, size, stream.native)

    def compile(self, source: str, *, name: str = "kernel.cu", options: Sequence[str] = ()) -> bytes:
        """Return the cubin (machine code) that nvcc, which must be on the PATH, makes of CUDA C++ for this device.

        options are passed to nvcc; name only appears in messages. Raises CudaError if the source does not compile or
        nvcc cannot be started.
        """
        compiler = importlib.import_module("pycuda.compiler")
        doing = f"compile {name} for {self.device.architecture}"
        try:
            # no_extern_c: the sources themselves declare extern "C".
            architecture = self.device.architecture
            code: bytes = compiler.compile(source, options=list(options), no_extern_c=True, arch=architecture)
        except self._pycuda.CompileError as error:
            raise CudaError(doing, name=errors_of(error.stderr or error.msg)) from error
        except OSError as error:
            hint = "put the CUDA toolkit's bin folder on the PATH"
            raise CudaError(doing, name=first_line(error), expected="nvcc", hint=hint) from error
        return code

    def load_module(self, image: bytes) -> Module:
        """Load machine code that compile returned."""
        with self._checked(f"load {len(image)} bytes of device code"):
            return Module(0, self._pycuda.module_from_buffer(image))

    def kernel(self, module: Module, name: str) -> Kernel:
        """Return a function of the module, declared extern "C" there."""
        with self._checked(f"find the kernel {name}"):
            return Kernel(0, module.native.get_function(name), module)

    def launch(
        self, kernel: Kernel, grid: Grid, block: Grid, arguments: Sequence[Argument], stream: Stream, shared: int = 0
    ) -> None:
        """Put a kernel into the stream. shared is its dynamic shared memory in bytes."""
        parameters = packed(values_of(arguments))
        with self._checked("launch a kernel"):
            kernel.native._launch_kernel(grid, block, parameters, shared, stream.native)

    def capture(self, stream: Stream, work: Callable[[], object]) -> Graph:
        """Raise CudaError: PyCUDA has no CUDA graphs."""
        raise self._no_graphs()

    def launch_graph(self, graph: Graph, stream: Stream) -> None:
        """Raise CudaError: PyCUDA has no CUDA graphs."""
        raise self._no_graphs()

    def _no_graphs(self) -> CudaError:
        return CudaError(
            "capture a graph",
            name=f"PyCUDA {self.version}, which has no CUDA graphs",
            expected="cuda-python",
            hint="use --cuda cuda-python, or launch the work itself each time",
        )

    @contextlib.contextmanager
    def _checked(self, doing: str) -> Iterator[None]:
        """Turn PyCUDA's exceptions into CudaError. PyCUDA checks every return code and keeps only CUDA's text."""
        try:
            yield
        except self._pycuda.Error as error:
            raise failure_by_text(doing, first_line(error)) from error


def packed(values: Sequence[np.generic[Any]]) -> bytes:
    """Return a kernel's arguments in their memory layout: each at the next multiple of its own size."""
    buffer = bytearray()
    for value in values:
        buffer += bytes(-len(buffer) % value.itemsize)
        buffer += value.tobytes()
    return bytes(buffer)


def _package() -> ModuleType:
    try:
        return importlib.import_module("pycuda.driver")
    except ModuleNotFoundError as error:
        raise MissingDependencyError("pycuda", extra="pycuda", purpose="driving CUDA through PyCUDA") from error
    except ImportError as error:  # its compiled part links to the driver's library
        reason = first_line(error)
        if "libcuda" in reason:
            raise no_driver(reason) from error
        hint = "run pip install --force-reinstall --no-cache-dir pycuda"
        raise CudaError("import PyCUDA", name=reason, hint=hint) from error
