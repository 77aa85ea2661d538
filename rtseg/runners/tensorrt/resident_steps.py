"""Frames between arrays that are already on the device: front kernel, engine and tail kernel, without copies."""

from __future__ import annotations

import numpy as np

from rtseg.errors import RunnerError
from rtseg.runners.cuda.arrays import DeviceView, device_pointer
from rtseg.runners.cuda.ends import Size
from rtseg.runners.cuda.protocol import DeviceMemory
from rtseg.runners.tensorrt.ends import FrameEnds, Overlay
from rtseg.runners.tensorrt.lanes import Lane, allocated
from rtseg.runners.tensorrt.steps import LaneStep, OpeningThread, Work, in_order
from rtseg.runners.tensorrt.tensors import ALIGNMENT


class ResidentFrameStep(LaneStep):
    """A frame whose image and labels stay on the device: the caller writes the image and reads the labels.

    The image must be written before each launch, and the labels read after it: put both into `stream`, or make the
    streams wait for each other. image and labels are the bound objects; overlay is a DeviceArray, uint8 RGB (height,
    width, 3), if requested.
    """

    def __init__(
        self,
        lane: Lane,
        opening: OpeningThread,
        frame_ends: FrameEnds,
        size: Size,
        image: object,
        labels: object = None,
        opacity: float | None = None,
    ) -> None:
        """Bind arrays of the device, and run the frame once. Raises CudaError for arrays that do not fit.

        opacity is the overlay's; None is a frame without one.
        """
        height, width = size
        if labels is None:
            labels = DeviceArray(allocated(lane.driver, height * width, "the label map"), size)
        self.image, self.labels = image, labels
        self.overlay: DeviceArray | None = None
        self._views = (
            _view(lane, image, (height, width, 3), writable=False),
            _view(lane, labels, (height, width), writable=True),
        )
        given, made = (view.pointer for view in self._views)
        if frame_ends.kernels is None:
            _require_aligned(given)
            _require_aligned(made)
        calls: list[Work] = [frame_ends.work(lane, size, given, made)]
        if opacity is not None:
            laid = Overlay(lane, frame_ends, size, given, made, opacity)
            self.overlay = DeviceArray(laid.memory, (height, width, 3))
            calls.append(laid)
        super().__init__(lane, in_order(*calls), opening)


class DeviceArray:
    """A uint8 array on the device, in C order, for libraries that support __cuda_array_interface__.

    torch.as_tensor(array, device="cuda") and cupy.asarray(array) use it without a copy. memory is freed with it.
    """

    def __init__(self, memory: DeviceMemory, shape: tuple[int, ...]) -> None:
        self.memory = memory
        self.shape = shape

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return {"shape": self.shape, "typestr": "|u1", "data": (self.memory.handle, False), "version": 3}


def _view(lane: Lane, array: object, shape: tuple[int, ...], *, writable: bool) -> DeviceView:
    """Return a view of the array; the lane's stream then waits for any work that may still be writing it."""
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
            "TensorRT reads and writes only at aligned addresses",
            got=f"the pointer {pointer:#x}",
            expected=f"a multiple of {ALIGNMENT}",
            hint="pass a separate tensor, not a part of another: tensor.clone()",
        )
