"""Lanes: execution contexts of an engine with their streams and buffers, and the pool that lends them to threads."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Callable, TypeVar, cast

from rtseg.errors import CudaError, RunnerError
from rtseg.runners.cuda.protocol import CudaDriver, DeviceMemory, Stream
from rtseg.runners.tensorrt.deserialize import OpenEngine
from rtseg.runners.tensorrt.messages import runner_error
from rtseg.runners.tensorrt.tensors import EngineTensor

if TYPE_CHECKING:
    import tensorrt as trt

KEPT_STEPS = 4
"""Number of steps that a lane keeps for reuse. Each holds the buffers for one image size."""

OUT_OF_MEMORY = 2
"""CUDA's number of this error."""

Kept = TypeVar("Kept")


class Lane:
    """One execution context, its stream, and the engine's input and output on the GPU, all made once.

    Lanes share the engine and its weights. One thread may use a lane at a time.
    """

    def __init__(self, opened: OpenEngine, driver: CudaDriver, source: EngineTensor, result: EngineTensor) -> None:
        """Make the lane; the GPU's context must be current. Raises RunnerError, also if memory runs out."""
        # If a lane is dropped without close(), its attributes are freed in this order: the context before what it uses.
        self._context: trt.IExecutionContext | None = None
        self._opened = opened
        self.driver = driver
        self.source, self.result = source, result
        self.stream: Stream = driver.create_stream()
        self.input: DeviceMemory = allocated(driver, source.size, "the engine's input")
        self.output: DeviceMemory = allocated(driver, result.size, "the engine's output")
        self._scratch: list[DeviceMemory] = []
        self._context = self._new_context()
        self._kept: OrderedDict[Hashable, object] = OrderedDict()
        for tensor, memory in ((source, self.input), (result, self.output)):
            self.place(tensor, memory.handle)
        self._require_packed(source)
        self._require_packed(result)
        driver.fill(self.input, 0, source.size, self.stream)  # so that the first run has finite input
        driver.synchronize(self.stream)

    def place(self, tensor: EngineTensor, pointer: int) -> None:
        """Make the context read or write the tensor at that address from now on; earlier captures do not change."""
        name = tensor.spec.name
        if not self._live().set_tensor_address(name, pointer):
            raise self._refusal(f"{self._opened.product_words} does not take the address {pointer:#x} for {name}")

    def execute(self) -> None:
        """Put one run of the engine into the stream. Raises RunnerError with the product's message if it refuses."""
        if not self._live().execute_async_v3(self.stream.handle):
            raise self._refusal(f"{self._opened.product_words} could not run the engine")

    def run(self) -> None:
        """Run the engine once, on the current content of its input."""
        self.execute()
        self.driver.synchronize(self.stream)

    def why_not_captured(self) -> str:
        """Return why a run cannot be captured in a CUDA graph; empty if it can."""
        context = self._live()
        if hasattr(context, "is_stream_capturable") and not context.is_stream_capturable(self.stream.handle):
            return f"{self._opened.product_words} says that this engine allocates memory while it runs"
        return ""

    def kept(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Return the object made for the key; make it if there is none, and drop the least recently used one."""
        found = self._kept.pop(key, None)
        if found is None:
            while len(self._kept) >= KEPT_STEPS:
                self._kept.popitem(last=False)
            found = make()
        self._kept[key] = found
        return cast("Kept", found)

    def close(self) -> None:
        """Free everything but the engine, once the stream is empty. The GPU's context must be current."""
        with contextlib.suppress(CudaError):  # its work failed, or the whole context is lost
            self.driver.synchronize(self.stream)
        self._kept.clear()
        self._context = None
        for memory in (self.input, self.output, *self._scratch):
            memory.close()
        self.stream.close()

    def _new_context(self) -> trt.IExecutionContext:
        opened = self._opened

        def allocate(size: int) -> int:
            self._scratch.append(allocated(self.driver, size, "the engine's scratch memory"))
            return self._scratch[-1].handle

        context = opened.new_context(allocate)
        if context is None:
            needed, free = _mib(opened.scratch_bytes), _mib(self.driver.memory()[0])
            what = (
                f"{opened.product_words} cannot make an execution context, which takes {needed} where {free} are free"
            )
            raise runner_error(
                what, opened.record.errors, hint="use fewer contexts, or a GPU on which nothing else runs"
            )
        return context

    def _live(self) -> trt.IExecutionContext:
        if self._context is None:
            raise RunnerError("the execution context was closed", hint="open it first: with runner: ...")
        return self._context

    def _refusal(self, what: str) -> RunnerError:
        error = runner_error(what, self._opened.record.errors, hint=self._opened.rebuild)
        self._opened.record.clear()
        return error

    def _require_packed(self, tensor: EngineTensor) -> None:
        """Raise RunnerError for a linear tensor with gaps between rows; undocumented, but DLA could need them."""
        if tensor.channel_multiple:
            return
        strides = tuple(int(stride) for stride in self._live().get_tensor_strides(tensor.spec.name))
        shape, packed = tensor.spec.shape, 1
        for length, stride in zip(reversed(shape), reversed(strides)):
            if length > 1 and stride != packed:
                got = f"strides of {strides} elements for {shape}"
                raise RunnerError(f"the engine's tensor {tensor.spec.name} is not packed", got=got)
            packed *= length


class LanePool:
    """The lanes that threads borrow: at most `size`, made on first use."""

    def __init__(self, make: Callable[[], Lane], size: int) -> None:
        self._make = make
        self._size = size
        self._made = 0
        self._free: list[Lane] = []
        self._changed = threading.Condition()
        self._closed = False

    @contextlib.contextmanager
    def lent(self) -> Iterator[Lane]:
        """Lend a lane for a with statement; wait for one if all are in use. Raises RunnerError once closed."""
        lane = self._taken()
        try:
            yield lane
        finally:
            self._brought_back(lane)

    def close(self) -> None:
        """Free the lanes in the pool now, and each borrowed lane as soon as its thread returns it."""
        with self._changed:
            self._closed = True
            here, self._free = self._free, []
            self._make = _refuse  # drops the reference to the engine
            self._changed.notify_all()
        for lane in here:
            lane.close()

    def _taken(self) -> Lane:
        with self._changed:
            while not (self._closed or self._free or self._made < self._size):
                self._changed.wait()
            if self._free:
                return self._free.pop()
            make = self._make
            self._made += 1
        try:
            return make()
        except BaseException:
            with self._changed:
                self._made -= 1
                self._changed.notify()
            raise

    def _brought_back(self, lane: Lane) -> None:
        with self._changed:
            if not self._closed:
                self._free.append(lane)
                self._changed.notify()
                return
        lane.close()


def _refuse() -> Lane:
    raise RunnerError("the runner is not open", hint="open it first: with runner: ...")


def allocated(driver: CudaDriver, size: int, purpose: str) -> DeviceMemory:
    """Return that many bytes on the device. Raises RunnerError, with the free memory, if there is not enough."""
    try:
        return driver.allocate(size)
    except CudaError as error:
        if error.code != OUT_OF_MEMORY:
            raise
        raise RunnerError(
            f"not enough GPU memory for {purpose}",
            got=f"{_mib(driver.memory()[0])} free",
            expected=_mib(size),
            hint="use fewer contexts or a smaller resolution, or end other programs on the GPU (nvidia-smi lists them)",
        ) from error


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
