"""The interface of every CUDA driver here: memory, streams, events, kernels and graphs of one device.

The calls are CUDA's own, each checked: anything but success raises CudaError. Objects free themselves with their last
reference, or earlier with close(). Calls with a stream return at once; their arguments must stay alive until the stream
has been synchronised.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Callable, Union

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rtseg.errors import CudaError

Array = NDArray[Any]
Grid = tuple[int, int, int]


class Handle:
    """A CUDA object. handle is the number by which other libraries know it, native the package's own object."""

    def __init__(self, handle: int, native: Any, free: Callable[[], object] | None = None) -> None:
        self.handle = handle
        self.native = native
        self._free = weakref.finalize(self, free) if free is not None else None

    def close(self) -> None:
        """Free it now. Closing twice does nothing."""
        if self._free is not None:
            self._free()
        self.native = None


class Stream(Handle):
    """A queue of work. It does not wait for the default stream."""


class Event(Handle):
    """A mark in a stream."""


class Graph(Handle):
    """Work that was captured once and is launched as a whole. Its addresses are fixed."""


class Module(Handle):
    """Loaded machine code."""


class Kernel(Handle):
    """A function of a module; it keeps the module alive."""

    def __init__(self, handle: int, native: Any, module: Module) -> None:
        super().__init__(handle, native)
        self.module = module


class DeviceMemory(Handle):
    """Bytes on the device, uninitialised. handle is the pointer."""

    def __init__(self, handle: int, size: int, native: Any, free: Callable[[], object] | None = None) -> None:
        super().__init__(handle, native, free)
        self.size = size


Pointer = Union[int, DeviceMemory]
"""A place on the device: memory, or a pointer as a plain number."""

Argument = Union["np.generic[Any]", DeviceMemory]
"""A kernel's argument: a NumPy scalar of the parameter's type, such as np.int32(4), or np.uint64 for a pointer."""


@dataclass(frozen=True)
class DeviceInfo:
    """A GPU. memory is in bytes; driver is the newest CUDA version its driver supports, such as (13, 0)."""

    ordinal: int
    name: str
    compute_capability: tuple[int, int]
    memory: int
    multiprocessors: int
    driver: tuple[int, int]

    @property
    def architecture(self) -> str:
        """The GPU's architecture in compilers, such as sm_90."""
        return "sm_{}{}".format(*self.compute_capability)


class CudaDriver(ABC):
    """CUDA on one device, in the context that torch and TensorRT use there: the primary one.

    The context stays current in the opening thread; any other thread must make its calls inside active(). Copies,
    launches and synchronisation may run in several threads at once, each on its own stream.
    """

    name: str
    version: str
    """Version of the package."""
    captures: bool
    """Whether the driver can capture graphs."""
    device: DeviceInfo

    @abstractmethod
    def active(self) -> AbstractContextManager[None]:
        """Make the context current in the calling thread for a with statement; afterwards restore the previous one."""

    @abstractmethod
    def memory(self) -> tuple[int, int]:
        """Return the free and the total bytes of the device."""

    @abstractmethod
    def allocate(self, size: int) -> DeviceMemory:
        """Return that many bytes on the device, uninitialised, aligned to 256."""

    @abstractmethod
    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an uninitialised array in page-locked host memory, freed with its last view."""

    @abstractmethod
    def create_stream(self) -> Stream:
        """Return a stream that does not wait for the default one."""

    @abstractmethod
    def create_event(self, *, timing: bool = False, blocking: bool = False) -> Event:
        """Return an event. timing lets elapsed_ms read it; blocking lets synchronize_event sleep instead of spin."""

    @abstractmethod
    def synchronize(self, stream: Stream) -> None:
        """Wait until everything in the stream is done. Raises what the work raised."""

    @abstractmethod
    def record(self, event: Event, stream: Stream) -> None:
        """Put the event after the work that is in the stream now."""

    @abstractmethod
    def synchronize_event(self, event: Event) -> None:
        """Wait until the event's work is done."""

    @abstractmethod
    def elapsed_ms(self, start: Event, end: Event) -> float:
        """Return the milliseconds between two events that were made with timing and are done."""

    @abstractmethod
    def wait(self, stream: Stream, event: Event) -> None:
        """Make later work in the stream wait for the event."""

    @abstractmethod
    def wait_for_producer(self, stream: Stream, producer: int) -> None:
        """Make later work in the stream wait for the current work of another library's stream, given by its handle."""

    @abstractmethod
    def copy_to_device(self, target: Pointer, source: Array, stream: Stream) -> None:
        """Copy a C-contiguous array to the device. CUDA stages memory that is not page-locked."""

    @abstractmethod
    def copy_to_host(self, target: Array, source: Pointer, stream: Stream) -> None:
        """Fill a C-contiguous array from the device."""

    @abstractmethod
    def copy_on_device(self, target: Pointer, source: Pointer, size: int, stream: Stream) -> None:
        """Copy that many bytes within the device."""

    @abstractmethod
    def fill(self, target: Pointer, value: int, size: int, stream: Stream) -> None:
        """Set that many bytes to value, 0 to 255."""

    @abstractmethod
    def compile(self, source: str, *, name: str = "kernel.cu", options: Sequence[str] = ()) -> bytes:
        """Return machine code of the CUDA C++ source for this device. Raises CudaError with the compiler's errors."""

    @abstractmethod
    def load_module(self, image: bytes) -> Module:
        """Load machine code that compile returned."""

    @abstractmethod
    def kernel(self, module: Module, name: str) -> Kernel:
        """Return a function of the module, declared extern "C" there."""

    @abstractmethod
    def launch(
        self, kernel: Kernel, grid: Grid, block: Grid, arguments: Sequence[Argument], stream: Stream, shared: int = 0
    ) -> None:
        """Put a kernel into the stream. shared is its dynamic shared memory in bytes.

        The arguments are not checked against the kernel's parameters: CUDA does not know their types.
        """

    @abstractmethod
    def capture(self, stream: Stream, work: Callable[[], object]) -> Graph:
        """Call work and return the graph of what it put into the stream, without running it. Raises what work raises.

        Other threads may use CUDA meanwhile. work itself must not wait for the device, nor allocate or drop memory.
        Raises CudaError if captures is False.
        """

    @abstractmethod
    def launch_graph(self, graph: Graph, stream: Stream) -> None:
        """Put the graph's work into the stream."""


def address(pointer: Pointer) -> int:
    """Return the pointer as a number."""
    return pointer.handle if isinstance(pointer, DeviceMemory) else pointer


def require_room(array: Array, pointer: Pointer, doing: str) -> None:
    """Raise CudaError for an array that is not C-contiguous, or if the memory is known to be too small for it."""
    if not array.flags.c_contiguous:
        raise CudaError(doing, name=f"strides {array.strides}", expected="a C-contiguous array")
    require_size(array.nbytes, pointer, doing)


def require_size(size: int, pointer: Pointer, doing: str) -> None:
    """Raise CudaError if the memory is known to be smaller than size."""
    if isinstance(pointer, DeviceMemory) and not 0 <= size <= pointer.size:
        raise CudaError(doing, name=f"{size} bytes", expected=f"at most the {pointer.size} of the device memory")


def values_of(arguments: Sequence[Argument]) -> list[np.generic[Any]]:
    """Return a kernel's arguments as NumPy scalars. Raises CudaError for an argument of unknown type."""
    values: list[np.generic[Any]] = []
    for position, argument in enumerate(arguments):
        if isinstance(argument, DeviceMemory):
            values.append(np.uint64(argument.handle))
        elif isinstance(argument, np.generic) and argument.dtype.kind in "biuf" and argument.itemsize <= 8:
            values.append(argument)
        else:
            raise CudaError(
                f"pass argument {position} to a kernel",
                name=f"{type(argument).__name__} {argument!r}",
                expected="a NumPy scalar of the parameter's type, or device memory",
                hint="pass np.int32(...), np.float32(...), or np.uint64(...) for a pointer",
            )
    return values
