"""Take arrays of any library that are already on the device, without copies."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from rtseg.errors import CudaError, first_line
from rtseg.runners.cuda import dlpack
from rtseg.runners.cuda.protocol import DeviceMemory

_DOING = "take this array"
_TO_CUDA = 'put it on the device: tensor.to("cuda"), or pass a NumPy array where one is accepted'


@dataclass(frozen=True)
class DeviceView:
    """Device memory with another owner. owner keeps the memory alive as long as the view exists.

    producer is the handle of the stream that may still be writing it: CudaDriver.wait_for_producer waits for it. None
    means that there is nothing to wait for, or that the caller has done so.
    """

    pointer: int
    producer: int | None
    owner: object


def device_pointer(
    array: object,
    *,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    writable: bool = False,
    device: int = 0,
    stream: int | None = None,
) -> DeviceView:
    """Return the place on the device of an array of exactly that shape and dtype, in C order.

    array is one of: a pointer as a number, which cannot be checked; DeviceMemory, whose size is checked; an object with
    `__dlpack__` (torch, CuPy, JAX); one with `__cuda_array_interface__` version 2 or 3 (Numba, PyCUDA, CuPy). DLPack is
    preferred if an object has both: its producer receives the handle of the stream in which the array will be used, and
    orders its unfinished work before it.

    Raises CudaError for an array that is not on this device, has another dtype or shape, is not C-contiguous, or is
    read-only although writable is True.
    """
    wanted = _Wanted(shape, np.dtype(dtype), writable, device)
    if isinstance(array, DeviceMemory):
        return _from_memory(array, wanted)
    if isinstance(array, (int, np.integer)) and not isinstance(array, bool):
        return DeviceView(_require_pointer(operator.index(array), wanted), None, None)
    if hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__"):
        return _from_dlpack(array, wanted, stream)
    interface = getattr(array, "__cuda_array_interface__", None)
    if isinstance(interface, Mapping):
        return _from_interface(array, interface, wanted)
    raise CudaError(
        _DOING,
        name=type(array).__name__,
        expected="a pointer, or an object with __dlpack__ or __cuda_array_interface__",
        hint=_TO_CUDA,
    )


@dataclass(frozen=True)
class _Wanted:
    """The requirements on an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    writable: bool
    device: int

    @property
    def size(self) -> int:
        """In bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """In bytes, in C order."""
        lengths = (np.prod(self.shape[axis + 1 :], dtype=np.int64) for axis in range(len(self.shape)))
        return tuple(int(length) * self.dtype.itemsize for length in lengths)

    def require(self, dtype: str, shape: tuple[int, ...], strides: tuple[int, ...] | None, read_only: bool) -> None:
        """Raise CudaError for an array that does not meet them. strides is in bytes; None is C order."""
        if dtype != self.dtype.name or shape != self.shape:
            raise CudaError(_DOING, name=f"{dtype} {shape}", expected=f"{self.dtype.name} {self.shape}")
        # The stride of an axis of one element is never used, so producers may write anything there.
        if strides is not None and any(
            length > 1 and got != wanted for length, got, wanted in zip(shape, strides, self.strides)
        ):
            raise CudaError(
                _DOING,
                name=f"strides of {strides} bytes",
                expected=f"{self.strides}: C-contiguous",
                hint="pass tensor.contiguous(), or its library's ascontiguousarray(array)",
            )
        if read_only and self.writable:
            raise CudaError(_DOING, name="a read-only array", expected="a writable one")


def _from_memory(memory: DeviceMemory, wanted: _Wanted) -> DeviceView:
    if memory.size < wanted.size:
        expected = f"at least {wanted.size}, for {wanted.dtype.name} {wanted.shape}"
        raise CudaError(_DOING, name=f"device memory of {memory.size} bytes", expected=expected)
    return DeviceView(_require_pointer(memory.handle, wanted), None, memory)


def _from_dlpack(array: Any, wanted: _Wanted, stream: int | None) -> DeviceView:
    # Check the device first: making a capsule may already cost work, and on other devices the library's own error
    # appears.
    kind, ordinal = (int(number) for number in array.__dlpack_device__())
    if kind not in (dlpack.CUDA, dlpack.CUDA_MANAGED):
        name = f"{type(array).__name__} in {dlpack.DEVICES.get(kind, f'DLPack device type {kind}')}"
        raise CudaError(_DOING, name=name, expected=f"one on CUDA device {wanted.device}", hint=_TO_CUDA)
    if kind == dlpack.CUDA and ordinal != wanted.device:
        raise CudaError(_DOING, name=f"one on CUDA device {ordinal}", expected=f"one on CUDA device {wanted.device}")
    try:
        capsule = _capsule(array, stream)
        tensor = dlpack.read_capsule(capsule)
    except (BufferError, RuntimeError, ValueError) as error:
        hint = "pass tensor.detach() if it needs gradients"
        raise CudaError(_DOING, name=first_line(error), expected="a DLPack capsule", hint=hint) from error
    size = wanted.dtype.itemsize
    strides = None if tensor.strides is None else tuple(stride * size for stride in tensor.strides)
    wanted.require(tensor.dtype, tensor.shape, strides, tensor.read_only)
    return DeviceView(_require_pointer(tensor.pointer, wanted), None, capsule)


def _capsule(array: Any, stream: int | None) -> Any:
    try:
        return array.__dlpack__(stream=stream, max_version=dlpack.MAX_VERSION)
    except TypeError:  # a producer from before DLPack 1.0
        return array.__dlpack__(stream=stream)


def _from_interface(array: object, interface: Mapping[str, Any], wanted: _Wanted) -> DeviceView:
    version = interface.get("version")
    if version not in (2, 3):
        raise CudaError(_DOING, name=f"__cuda_array_interface__ version {version}", expected="2 or 3")
    if interface.get("mask") is not None:
        raise CudaError(_DOING, name="a masked array", expected="one without a mask")
    dtype = np.dtype(interface["typestr"])
    strides = interface.get("strides")
    pointer, read_only = interface["data"]
    name = dtype.name if dtype.isnative else f"byte-swapped {dtype.name}"
    wanted.require(name, tuple(interface["shape"]), None if strides is None else tuple(strides), read_only)
    return DeviceView(_require_pointer(pointer, wanted), interface.get("stream"), array)


def _require_pointer(pointer: int, wanted: _Wanted) -> int:
    alignment = wanted.dtype.itemsize
    if pointer <= 0 or pointer % alignment:
        expected = f"one that is a multiple of {alignment}, for {wanted.dtype.name}"
        raise CudaError(_DOING, name=f"the pointer {pointer:#x}", expected=expected)
    return pointer
