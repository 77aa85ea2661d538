"""Arrays of other libraries: what is taken without a copy, and what is refused. Nothing here touches a device."""

from __future__ import annotations

import ctypes
import gc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rtseg.errors import CudaError
from rtseg.runners.cuda import DeviceMemory, device_pointer
from rtseg.runners.cuda.dlpack import CPU, CUDA, CUDA_HOST, CUDA_MANAGED, read_capsule

ADDRESS = 0x7F00_0000_0100
SHAPE = (1, 2, 4, 6)

HEADER = (("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32))
TENSOR = (
    *HEADER,
    ("ndim", ctypes.c_int32),
    ("code", ctypes.c_uint8),
    ("bits", ctypes.c_uint8),
    ("lanes", ctypes.c_uint16),
    ("shape", ctypes.c_void_p),
    ("strides", ctypes.c_void_p),
    ("byte_offset", ctypes.c_uint64),
)
DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
CODES = {"i": 0, "u": 1, "f": 2, "b": 6}


class Unversioned(ctypes.Structure):
    _fields_ = (*TENSOR, ("context", ctypes.c_void_p), ("deleter", DELETER))


class Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", DELETER),
        ("flags", ctypes.c_uint64),
        *TENSOR,
    )


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype, new_capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class Producer:
    """An array of another library, by the protocol of DLPack; version None is from before 1.0."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...] = SHAPE,
        strides: tuple[int, ...] | None = None,
        dtype: str = "float32",
        device: tuple[int, int] = (CUDA, 0),
        version: tuple[int, int] | None = (1, 0),
        read_only: bool = False,
        pointer: int = ADDRESS,
        byte_offset: int = 0,
    ) -> None:
        self.device, self.version, self.streams = device, version, []
        kind = np.dtype(dtype)
        self._axes = (
            [(ctypes.c_int64 * len(shape))(*axes) for axes in (shape, strides or ())]
            if strides
            else [(ctypes.c_int64 * len(shape))(*shape)]
        )
        self.managed: Any = Unversioned() if version is None else Versioned()
        if version is not None:
            self.managed.major, self.managed.minor, self.managed.flags = *version, int(read_only)
        self.managed.data, self.managed.byte_offset = pointer, byte_offset
        self.managed.device_type, self.managed.device_id = device
        self.managed.ndim, self.managed.code = len(shape), CODES[kind.kind]
        self.managed.bits, self.managed.lanes = kind.itemsize * 8, 1
        self.managed.shape = ctypes.addressof(self._axes[0])
        self.managed.strides = ctypes.addressof(self._axes[1]) if strides else None

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: int | None = None, **newer: object) -> object:
        if self.version is None and newer:
            raise TypeError("__dlpack__() got an unexpected keyword argument 'max_version'")
        self.streams.append(stream)
        name = b"dltensor" if self.version is None else b"dltensor_versioned"
        return new_capsule(ctypes.addressof(self.managed), name, None)


class Interface:
    """An array of another library, by __cuda_array_interface__."""

    def __init__(self, **changes: object) -> None:
        interface = {"shape": SHAPE, "typestr": "<f4", "data": (ADDRESS, False), "version": 3, **changes}
        self.__cuda_array_interface__ = {key: value for key, value in interface.items() if value != "left out"}


def refused(array: object, *, shape: tuple[int, ...] = SHAPE, dtype: str = "float32", **settings: Any) -> str:
    with pytest.raises(CudaError) as raised:
        device_pointer(array, shape=shape, dtype=dtype, **settings)
    return str(raised.value)


@pytest.mark.parametrize("version", [None, (1, 0), (1, 1), (1, 7)])
def test_a_dlpack_array_on_the_device_is_taken_where_it_lies(version: tuple[int, int] | None) -> None:
    view = device_pointer(Producer(version=version, byte_offset=64), shape=SHAPE, dtype="float32", writable=True)
    assert (view.pointer, view.producer) == (ADDRESS + 64, None)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8", "int32", "int64", "bool"])
@pytest.mark.parametrize("version", [None, (1, 0)])
def test_every_type_of_an_engine_is_known(dtype: str, version: tuple[int, int] | None) -> None:
    assert device_pointer(Producer(dtype=dtype, version=version), shape=SHAPE, dtype=dtype).pointer == ADDRESS


def test_the_producer_is_told_the_stream_in_which_its_array_will_be_used() -> None:
    producer = Producer()
    device_pointer(producer, shape=SHAPE, dtype="float32", stream=0xABC)
    assert producer.streams == [0xABC]


def test_the_view_keeps_the_capsule_unconsumed_so_that_its_producer_frees_it() -> None:
    producer = Producer()
    view = device_pointer(producer, shape=SHAPE, dtype="float32")
    assert read_capsule(view.owner).pointer == ADDRESS


def test_the_memory_of_a_real_producer_lives_as_long_as_its_capsule() -> None:
    array = np.arange(12.0)
    capsule = array.__dlpack__()
    pointer = array.ctypes.data
    del array
    gc.collect()
    tensor = read_capsule(capsule)
    assert (tensor.pointer, tensor.device_type, tensor.shape, tensor.dtype) == (pointer, CPU, (12,), "float64")
    assert list((ctypes.c_double * 12).from_address(tensor.pointer)) == list(range(12))


@pytest.mark.parametrize("settings", [{}, {"max_version": (1, 1)}])
def test_the_capsules_of_torch_and_numpy_are_read_alike(settings: dict[str, Any]) -> None:
    array = np.ones((3, 4, 5), np.float16)[:, 1:3]
    for tensor in (torch.from_numpy(array), array):
        found = read_capsule(tensor.__dlpack__(**settings))
        assert (found.pointer, found.shape, found.strides) == (array.ctypes.data, (3, 2, 5), (20, 5, 1))
        assert (found.dtype, found.device_type) == ("float16", CPU)


def test_a_capsule_that_was_consumed_is_refused() -> None:
    capsule = np.ones(3).__dlpack__()
    assert torch.from_dlpack(np.ones(3)).sum() == 3
    torch.utils.dlpack.from_dlpack(capsule)
    with pytest.raises(ValueError, match="consumed"):
        read_capsule(capsule)


def test_a_capsule_of_a_later_major_version_is_refused() -> None:
    assert "DLPack version 2.0" in refused(Producer(version=(2, 0)))


@pytest.mark.parametrize("array", [np.ones(SHAPE, np.float32), torch.ones(SHAPE)], ids=["numpy", "torch"])
def test_an_array_in_host_memory_is_refused(array: object) -> None:
    message = refused(array)
    assert f"got {type(array).__name__} in host memory; expected one on CUDA device 0" in message
    assert 'Try: put it on the device: tensor.to("cuda")' in message


def test_page_locked_host_memory_is_refused() -> None:
    assert "in page-locked host memory" in refused(Producer(device=(CUDA_HOST, 0)))


def test_an_array_of_another_kind_of_device_is_refused_by_its_number() -> None:
    assert "in DLPack device type 10;" in refused(Producer(device=(10, 0)))


def test_an_array_of_another_gpu_is_refused() -> None:
    assert "got one on CUDA device 1; expected one on CUDA device 0" in refused(Producer(device=(CUDA, 1)))
    assert device_pointer(Producer(device=(CUDA, 1)), shape=SHAPE, dtype="float32", device=1).pointer == ADDRESS


def test_managed_memory_is_taken_whatever_device_it_names() -> None:
    assert device_pointer(Producer(device=(CUDA_MANAGED, 3)), shape=SHAPE, dtype="float32").pointer == ADDRESS


def test_a_tensor_that_needs_gradients_is_refused_in_its_librarys_words() -> None:
    class OnDevice:
        """A real tensor's __dlpack__, which refuses before it looks at any device."""

        def __dlpack_device__(self) -> tuple[int, int]:
            return CUDA, 0

        def __dlpack__(self, **settings: object) -> object:
            return torch.ones(3, requires_grad=True).__dlpack__()

    assert "tensor.detach()" in refused(OnDevice())


@pytest.mark.parametrize("make", [Producer, lambda shape: Interface(shape=shape)], ids=["dlpack", "interface"])
def test_another_shape_is_refused(make: Any) -> None:
    assert "got float32 (2, 2, 4, 6); expected float32 (1, 2, 4, 6)" in refused(make(shape=(2, 2, 4, 6)))


@pytest.mark.parametrize("array", [Producer(dtype="float16"), Interface(typestr="<f2")], ids=["dlpack", "interface"])
def test_another_dtype_is_refused(array: object) -> None:
    assert "got float16 (1, 2, 4, 6); expected float32 (1, 2, 4, 6)" in refused(array)


@pytest.mark.parametrize(
    "array", [Producer(strides=(48, 1, 12, 2)), Interface(strides=(192, 4, 48, 8))], ids=["dlpack", "interface"]
)
def test_an_array_that_is_not_contiguous_is_refused(array: object) -> None:
    message = refused(array)
    assert (
        "got strides of (192, 4, 48, 8) bytes; expected (192, 96, 24, 4): C-contiguous. Try: pass tensor.cont"
        in message
    )


def test_a_stride_that_is_no_multiple_of_the_item_is_refused() -> None:
    assert "strides of (192, 96, 24, 5)" in refused(Interface(strides=(192, 96, 24, 5)))


@pytest.mark.parametrize(
    "array", [Producer(strides=(7, 24, 6, 1)), Interface(strides=(7, 96, 24, 4))], ids=["dlpack", "interface"]
)
def test_the_stride_of_an_axis_of_one_element_may_be_anything(array: object) -> None:
    assert device_pointer(array, shape=SHAPE, dtype="float32").pointer == ADDRESS


@pytest.mark.parametrize(
    "array", [Producer(read_only=True), Interface(data=(ADDRESS, True))], ids=["dlpack", "interface"]
)
def test_a_read_only_array_is_read_and_not_written(array: object) -> None:
    assert device_pointer(array, shape=SHAPE, dtype="float32").pointer == ADDRESS
    assert "got a read-only array" in refused(array, writable=True)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("strides", [None, "left out", (192, 96, 24, 4)])
def test_an_interface_is_taken_where_it_lies_and_kept_alive(version: int, strides: object) -> None:
    array = Interface(version=version, strides=strides)
    view = device_pointer(array, shape=SHAPE, dtype="float32", writable=True)
    assert (view.pointer, view.producer, view.owner) == (ADDRESS, None, array)


@pytest.mark.parametrize("stream", [1, 2, 0xABC])
def test_the_stream_of_an_interface_is_told_so_that_it_can_be_waited_for(stream: int) -> None:
    assert device_pointer(Interface(stream=stream), shape=SHAPE, dtype="float32").producer == stream


@pytest.mark.parametrize("version", [0, 1, 4, None])
def test_an_interface_of_another_version_is_refused(version: int | None) -> None:
    assert f"version {version}; expected 2 or 3" in refused(Interface(version=version))


def test_a_masked_array_is_refused() -> None:
    assert "a masked array" in refused(Interface(mask=Interface()))


def test_a_byte_swapped_array_is_refused() -> None:
    assert "got byte-swapped float32" in refused(Interface(typestr=">f4"))


@pytest.mark.parametrize("pointer", [0, -8, ADDRESS + 2])
@pytest.mark.parametrize("make", [lambda p: p, lambda p: Interface(data=(p, False))], ids=["number", "interface"])
def test_a_pointer_that_cannot_be_one_is_refused(make: Any, pointer: int) -> None:
    assert f"got the pointer {pointer:#x}; expected one that is a multiple of 4" in refused(make(pointer))


@pytest.mark.parametrize("pointer", [ADDRESS, np.uint64(ADDRESS)])
def test_a_number_is_taken_as_it_is(pointer: object) -> None:
    assert device_pointer(pointer, shape=SHAPE, dtype="float32").pointer == ADDRESS


def test_device_memory_has_to_be_large_enough() -> None:
    memory = DeviceMemory(ADDRESS, 192, None)
    assert device_pointer(memory, shape=SHAPE, dtype="float32").owner is memory
    assert "device memory of 192 bytes; expected at least 384" in refused(memory, shape=(2, *SHAPE[1:]))


@pytest.mark.parametrize("array", [None, "0x7f00", 1.5, True, [1, 2], object()])
def test_anything_else_is_refused_by_its_type(array: object) -> None:
    assert f"got {type(array).__name__}; expected a pointer, or an object with __dlpack__" in refused(array)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_an_array_is_taken_exactly_when_numpy_calls_it_contiguous(shape: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    array = np.zeros(shape, np.int16).transpose(order)
    interface = Interface(shape=array.shape, typestr="<i2", strides=array.strides)
    producer = Producer(shape=array.shape, dtype="int16", strides=tuple(s // 2 for s in array.strides))
    for source in (interface, producer):
        if array.flags.c_contiguous:
            assert device_pointer(source, shape=array.shape, dtype="int16").pointer == ADDRESS
        else:
            assert "C-contiguous" in refused(source, shape=array.shape, dtype="int16")
