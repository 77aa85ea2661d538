"""Read DLPack capsules with ctypes, in the layout of dlpack.h, versions before 1.0 and 1.x."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13
"""DLDeviceType. Managed memory has one address on the device and the host."""

DEVICES = {CPU: "host memory", CUDA: "CUDA", CUDA_HOST: "page-locked host memory", CUDA_MANAGED: "CUDA (managed)"}

MAX_VERSION = (1, 1)
"""The requested version; other minor versions have the same layout."""

_KINDS = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}
_READ_ONLY = 1


class _DLDevice(ctypes.Structure):
    _fields_ = (("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32))


class _DLDataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _DLDevice),
        ("ndim", ctypes.c_int32),
        ("dtype", _DLDataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Version(ctypes.Structure):
    _fields_ = (("major", ctypes.c_uint32), ("minor", ctypes.c_uint32))


class _DLManagedTensor(ctypes.Structure):
    _fields_ = (("dl_tensor", _DLTensor), ("manager_ctx", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class _DLManagedTensorVersioned(ctypes.Structure):
    _fields_ = (
        ("version", _Version),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("dl_tensor", _DLTensor),
    )


@dataclass(frozen=True)
class DLPackTensor:
    """The description in a capsule. strides counts elements, None for C order; dtype is a name such as float16."""

    pointer: int
    device_type: int
    device_id: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    read_only: bool


def read_capsule(capsule: Any) -> DLPackTensor:
    """Return the description in a capsule, which stays the owner: the memory lives as long as the capsule.

    Raises ValueError for anything but a DLPack capsule, for a consumed one, and for a later major version.
    """
    if _is_valid(capsule, b"dltensor_versioned"):
        pointer = _get_pointer(capsule, b"dltensor_versioned")
        # Check the version first: a later major version may have any layout after it.
        version = _Version.from_address(pointer)
        if version.major != MAX_VERSION[0]:
            raise ValueError(f"DLPack version {version.major}.{version.minor}")
        versioned = _DLManagedTensorVersioned.from_address(pointer)
        return _described(versioned.dl_tensor, bool(versioned.flags & _READ_ONLY))
    if _is_valid(capsule, b"dltensor"):
        return _described(_DLManagedTensor.from_address(_get_pointer(capsule, b"dltensor")).dl_tensor, False)
    raise ValueError("no DLPack capsule, or one that was consumed before")


def _described(tensor: _DLTensor, read_only: bool) -> DLPackTensor:
    kind, lanes = _KINDS.get(tensor.dtype.code, f"code {tensor.dtype.code}, "), tensor.dtype.lanes
    bits = "" if kind == "bool" else str(tensor.dtype.bits)
    return DLPackTensor(
        pointer=(tensor.data or 0) + tensor.byte_offset,
        device_type=tensor.device.device_type,
        device_id=tensor.device.device_id,
        dtype=f"{kind}{bits}" + (f"x{lanes}" if lanes != 1 else ""),
        shape=tuple(tensor.shape[: tensor.ndim]),
        strides=tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None,
        read_only=read_only,
    )


_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, [ctypes.py_object, ctypes.c_char_p]
_get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_get_pointer.restype, _get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
