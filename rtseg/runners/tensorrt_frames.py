"""Whole frames on the GPU: upload, front kernel, engine, tail kernel and download, captured as one CUDA graph."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Callable, Union

import numpy as np

from rtseg.cuda import ends
from rtseg.cuda.arrays import DeviceView, device_pointer
from rtseg.cuda.end_kernels import EndKernels
from rtseg.cuda.protocol import CudaDriver, DeviceMemory, Graph, Pointer, Stream, address
from rtseg.errors import RunnerError
from rtseg.images.geometry import resize_labels
from rtseg.images.preprocess import require_image, resized_image
from rtseg.runners.protocol import Frames, FrameStep, Pixels
from rtseg.runners.tensorrt_context import Lane, LanePool, allocated
from rtseg.runners.tensorrt_steps import EngineStep, LaneStep, OpeningThread
from rtseg.runners.tensorrt_tensors import ALIGNMENT
from rtseg.specs import ImageSpec, OutputSpec

Size = tuple[int, int]
"""Height and width."""

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Ends:
    """The two contracts, and the kernels that keep them; none where the graph has both ends in itself."""

    image: ImageSpec
    output: OutputSpec
    kernels: EndKernels | None

    def in_graph(self, size: Size) -> bool:
        """Return whether a graph without kernels takes images of that size as they are."""
        return size == (self.image.height, self.image.width) and self.image.colour_order == "RGB"

    def work(self, lane: Lane, size: Size, image: Pointer, labels: Pointer) -> Callable[[], None]:
        """Return what takes an image on the device through the lane, and puts its labels there too."""
        if self.kernels is None:
            lane.place(lane.source, address(image))
            lane.place(lane.result, address(labels))
            return lane.execute
        tensor, logits = lane.source.spec, lane.result.spec
        classes, height, width = logits.shape[1:]
        shape = (classes, height, width)
        multiple = lane.result.channel_multiple
        front = ends.front(address(image), size, lane.input.handle, self.image, dtype=tensor.dtype)
        tail = ends.tail(
            *(lane.output.handle, shape, address(labels), size),
            align_corners=self.output.align_corners,
            dtype=logits.dtype,
            strides=ends.channels_last(shape, multiple) if multiple else None,
        )
        before = self.kernels.bound(front, lane.stream)
        after = self.kernels.bound(tail, lane.stream)

        def work() -> None:
            before()
            lane.execute()
            after()

        return work


class DeviceFrameStep(LaneStep, FrameStep):
    """A frame whose image and labels lie in page-locked memory of the host."""

    def __init__(self, lane: Lane, opening: OpeningThread, frame_ends: Ends, image: Pixels) -> None:
        """Bind a copy of the image."""
        driver, stream, size = lane.driver, lane.stream, image.shape[:2]
        height, width = size
        given, made = driver.pinned((height, width, 3), np.uint8), driver.pinned((height, width), np.uint8)
        self.image, self.labels = given, made
        given[...] = image
        if frame_ends.kernels is None:
            on_device, labels = lane.input, lane.output
        else:
            on_device = allocated(driver, given.nbytes, "the image")
            labels = allocated(driver, made.nbytes, "the label map")
        self._memory = (on_device, labels)
        inner = frame_ends.work(lane, (height, width), on_device, labels)

        def work() -> None:
            driver.copy_to_device(on_device, given, stream)
            inner()
            driver.copy_to_host(made, labels, stream)

        super().__init__(lane, work, opening)


class ResidentFrameStep(LaneStep):
    """A frame whose image and labels stay on the device: whoever gave them writes the one and reads the other.

    What writes the image has to be done before each launch, and what reads the labels comes after it: put both into
    `stream`, or let the streams wait for each other. image and labels are the objects that were bound.
    """

    def __init__(
        self, lane: Lane, opening: OpeningThread, frame_ends: Ends, size: Size, image: object, labels: object
    ) -> None:
        """Bind arrays of the device, and run the frame once. Raises CudaError for arrays that do not fit."""
        height, width = size
        if labels is None:
            labels = DeviceLabels(allocated(lane.driver, height * width, "the label map"), size)
        self.image, self.labels = image, labels
        self._views = (
            _view(lane, image, (height, width, 3), writable=False),
            _view(lane, labels, (height, width), writable=True),
        )
        given, made = (view.pointer for view in self._views)
        if frame_ends.kernels is None:
            _require_aligned(given)
            _require_aligned(made)
        super().__init__(lane, frame_ends.work(lane, size, given, made), opening)


class DeviceLabels:
    """A label map on the device, for libraries that know __cuda_array_interface__: torch.as_tensor(labels), CuPy."""

    def __init__(self, memory: DeviceMemory, size: Size) -> None:
        self.memory = memory
        self.shape = size

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return {"shape": self.shape, "typestr": "|u1", "data": (self.memory.handle, False), "version": 3}


class HostResizedStep(FrameStep):
    """A frame of a graph that labels images of its own size, for an image of another: the host resizes both."""

    def __init__(self, lane: Lane, opening: OpeningThread, image_spec: ImageSpec, image: Pixels) -> None:
        """Bind a copy of the image."""
        self.image = np.array(image, order="C")
        self.labels = np.empty(image.shape[:2], np.uint8)
        self._spec = image_spec
        self._step = EngineStep(lane, opening, resized_image(self.image, image_spec)[None])

    @property
    def stream(self) -> Stream:
        """Where the engine's part is put."""
        return self._step.stream

    @property
    def graph(self) -> Graph | None:
        """The engine's part."""
        return self._step.graph

    def __call__(self) -> None:
        """Take the image through the frame once."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Resize the image, put the engine's part into the stream, and return."""
        self._step.input[0] = resized_image(self.image, self._spec)
        self._step.launch()

    def wait(self) -> None:
        """Wait for the engine's part and resize its labels."""
        self._step.wait()
        self.labels[...] = resize_labels(self._step.output[0], *self.labels.shape)

    def close(self) -> None:
        """Free the context and the buffers on the GPU now."""
        self._step.close()


HostFrameStep = Union[DeviceFrameStep, HostResizedStep]
"""What bind gives."""


class DeviceFrames(Frames):
    """Frames of images of any size, on the runner's GPU. Labels are those that the host's ends give.

    A graph that gives labels itself takes only images of its own size; for others the host resizes, to the nearest.
    """

    def __init__(
        self,
        driver: CudaDriver,
        lanes: LanePool,
        make_lane: Callable[[], Lane],
        opening: OpeningThread,
        frame_ends: Ends,
    ) -> None:
        self._driver = driver
        self._lanes = lanes
        self._make_lane = make_lane
        self._opening = opening
        self._ends = frame_ends
        self._number = next(_NUMBERS)

    def __call__(self, image: Pixels) -> Pixels:
        """Return the label map, uint8 (height, width), of a uint8 RGB (height, width, 3) image."""
        require_image(image)
        with self._driver.active(), self._lanes.lent() as lane:
            step = lane.kept((self._number, image.shape), lambda: self._step(lane, image))
            step.image[...] = image
            step()
            return step.labels.copy()

    def bind(self, image: Pixels) -> HostFrameStep:
        """Return a step, in a lane of its own, for frames of that image's size; the image is copied into it."""
        require_image(image)
        with self._driver.active():
            return self._step(self._make_lane(), image)

    def bind_device(self, image: object, labels: object = None, *, size: Size | None = None) -> ResidentFrameStep:
        """Return a step, in a lane of its own, from an image to a label map that both are on the device: no copies.

        image is uint8 RGB (height, width, 3), labels uint8 (height, width), both contiguous: tensors of torch, CuPy or
        JAX, whatever has __dlpack__ or __cuda_array_interface__, rtseg.cuda's memory, or pointers as numbers. The step
        holds on to them. Without labels, it makes them: DeviceLabels. size is (height, width), by default the image's
        own, the graph's where it is a bare pointer.

        Raises CudaError for arrays that do not fit, and RunnerError for a graph that gives labels itself, unless the
        image has its size and the arrays begin at multiples of 256.
        """
        known = getattr(image, "shape", None)
        if size is None:
            size = (
                tuple(known[:2]) if known is not None and len(known) == 3 else (self._image.height, self._image.width)
            )
        if self._ends.kernels is None and not self._ends.in_graph(size):
            raise RunnerError(
                "this graph gives labels itself, so the device cannot resize for it",
                got=f"an image of {size[0]}x{size[1]}",
                expected=f"{self._image.resolution}, RGB",
                hint="rtseg export --interface logits",
            )
        with self._driver.active():
            return ResidentFrameStep(self._make_lane(), self._opening, self._ends, size, image, labels)

    @property
    def _image(self) -> ImageSpec:
        return self._ends.image

    def _step(self, lane: Lane, image: Pixels) -> HostFrameStep:
        height, width, _ = image.shape
        if self._ends.kernels is None and not self._ends.in_graph((height, width)):
            return HostResizedStep(lane, self._opening, self._image, image)
        return DeviceFrameStep(lane, self._opening, self._ends, image)


def _view(lane: Lane, array: object, shape: tuple[int, ...], *, writable: bool) -> DeviceView:
    """Return where the array lies; the lane's stream then waits for whoever may still be writing it."""
    driver = lane.driver
    view = device_pointer(
        array,
        shape=shape,
        dtype=np.uint8,
        writable=writable,
        device=driver.device.ordinal,
        stream=lane.stream.handle,
    )
    if view.producer is not None:
        driver.wait_for_producer(lane.stream, view.producer)
    return view


def _require_aligned(pointer: int) -> None:
    if pointer % ALIGNMENT:
        raise RunnerError(
            "TensorRT reads and writes only where a block of memory begins",
            got=f"the pointer {pointer:#x}",
            expected=f"a multiple of {ALIGNMENT}",
            hint="a tensor of its own, not a part of another: tensor.clone()",
        )
