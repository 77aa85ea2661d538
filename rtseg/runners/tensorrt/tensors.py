"""An engine's input and output: shape, type and memory layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rtseg.errors import RunnerError
from rtseg.frame.protocol import Array, TensorSpec
from rtseg.runners.tensorrt.module import TensorRt

if TYPE_CHECKING:
    import tensorrt as trt

ALIGNMENT = 256
"""In bytes: TensorRT requires this alignment for the address of every input and output."""

_REBUILD = "use rtseg build, whose engines have one static input and one static output"


@dataclass(frozen=True)
class EngineTensor:
    """An input or output. channel_multiple is 0 for C order.

    Otherwise all channels of a pixel are adjacent, padded to a multiple of it: TensorRT's HWC, HWC8 and HWC16.
    """

    spec: TensorSpec
    channel_multiple: int = 0

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape in memory, in C order."""
        if not self.channel_multiple:
            return self.spec.shape
        batch, channels, height, width = self.spec.shape
        return batch, height, width, -(-channels // self.channel_multiple) * self.channel_multiple

    @property
    def size(self) -> int:
        """In bytes."""
        return int(np.prod(self.stored_shape, dtype=np.int64)) * np.dtype(self.spec.dtype).itemsize

    def view(self, stored: Array) -> Array:
        """Return the tensor in an array of stored_shape, as a view without a copy."""
        if not self.channel_multiple:
            return stored
        return stored[..., : self.spec.shape[1]].transpose(0, 3, 1, 2)


def engine_tensors(trt: TensorRt, engine: trt.ICudaEngine) -> tuple[EngineTensor, EngineTensor]:
    """Return the one input and the one output.

    Raises RunnerError for another number of them, and for unsupported shapes, types and formats.
    """
    inputs: list[str] = []
    outputs: list[str] = []
    for index in range(engine.num_io_tensors):
        name = str(engine.get_tensor_name(index))
        (inputs if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else outputs).append(name)
    if len(inputs) != 1 or len(outputs) != 1:
        got = f"{len(inputs)} and {len(outputs)}"
        raise RunnerError("the engine has another number of inputs and outputs", got=got, expected="1 and 1")
    source, result = _tensor(trt, engine, inputs[0]), _tensor(trt, engine, outputs[0])
    if source.channel_multiple:
        raise _refused(engine, inputs[0], str(engine.get_tensor_format_desc(inputs[0])), "a linear input")
    return source, result


def _tensor(trt: TensorRt, engine: trt.ICudaEngine, name: str) -> EngineTensor:
    shape = tuple(int(length) for length in engine.get_tensor_shape(name))
    if any(length < 1 for length in shape):
        raise _refused(engine, name, str(shape), "a static shape")
    return EngineTensor(
        TensorSpec(name, shape, _dtype(trt, engine, name)), _channel_multiple(trt, engine, name, len(shape))
    )


def _dtype(trt: TensorRt, engine: trt.ICudaEngine, name: str) -> str:
    kind = engine.get_tensor_dtype(name)
    if kind == trt.DataType.FLOAT:
        return "float32"
    if kind == trt.DataType.HALF:
        return "float16"
    if kind == trt.DataType.UINT8:
        return "uint8"
    raise _refused(engine, name, str(kind.name), "FLOAT, HALF or UINT8")


def _channel_multiple(trt: TensorRt, engine: trt.ICudaEngine, name: str, dimensions: int) -> int:
    form = engine.get_tensor_format(name)
    if form == trt.TensorFormat.LINEAR:
        return 0
    if dimensions == 4:
        if form == trt.TensorFormat.HWC:
            return 1
        if form == trt.TensorFormat.HWC8:
            return 8
        if form == trt.TensorFormat.HWC16:
            return 16
    raise _refused(engine, name, str(engine.get_tensor_format_desc(name)), "LINEAR, or HWC, HWC8 or HWC16 of an output")


def _refused(engine: trt.ICudaEngine, name: str, got: str, expected: str) -> RunnerError:
    return RunnerError(f"the engine's tensor {name} cannot be used", got=got, expected=expected, hint=_REBUILD)
