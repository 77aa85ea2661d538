"""Whole frames on the GPU, of images of any size, in the host's memory or on the device."""

from __future__ import annotations

import itertools
from typing import Callable

from rtseg.cuda.ends import Size
from rtseg.cuda.protocol import CudaDriver
from rtseg.errors import RunnerError
from rtseg.images.palette import require_opacity
from rtseg.images.preprocess import require_image
from rtseg.runners.protocol import Frames, Pixels
from rtseg.runners.tensorrt_context import Lane, LanePool
from rtseg.runners.tensorrt_ends import Ends
from rtseg.runners.tensorrt_frame_steps import DeviceFrameStep, HostFrameStep, HostResizedStep
from rtseg.runners.tensorrt_resident_steps import ResidentFrameStep
from rtseg.runners.tensorrt_steps import OpeningThread
from rtseg.specs import ImageSpec

_NUMBERS = itertools.count()


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

    def bind(self, image: Pixels, *, overlay: float | None = None) -> HostFrameStep:
        """Return a step, in a lane of its own, for frames of that image's size; the image is copied into it.

        With overlay, the opacity of the class colours from 0 to 1, each run lays them over the image too, in the same
        CUDA graph. Pixels are those of rtseg.images.palette.overlay where rtseg.cuda.ends.overlay promises it.

        Raises ImageError, and SpecError for an opacity out of range.
        """
        require_image(image)
        if overlay is not None:
            require_opacity(overlay)
        with self._driver.active():
            return self._step(self._make_lane(), image, overlay)

    def bind_device(
        self, image: object, labels: object = None, *, overlay: float | None = None, size: Size | None = None
    ) -> ResidentFrameStep:
        """Return a step, in a lane of its own, from an image to a label map that both are on the device: no copies.

        image is uint8 RGB (height, width, 3), labels uint8 (height, width), both contiguous: tensors of torch, CuPy or
        JAX, whatever has __dlpack__ or __cuda_array_interface__, rtseg.cuda's memory, or pointers as numbers. The step
        holds on to them. Without labels, it makes them: a DeviceArray, as its overlay is, which it makes for an opacity
        from 0 to 1. size is (height, width), by default the image's own, the graph's where it is a bare pointer.

        Raises CudaError for arrays that do not fit, SpecError for an opacity out of range, and RunnerError for a graph
        that gives labels itself, unless the image has its size and the arrays begin at multiples of 256.
        """
        if overlay is not None:
            require_opacity(overlay)
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
            return ResidentFrameStep(self._make_lane(), self._opening, self._ends, size, image, labels, overlay)

    @property
    def _image(self) -> ImageSpec:
        return self._ends.image

    def _step(self, lane: Lane, image: Pixels, opacity: float | None = None) -> HostFrameStep:
        height, width, _ = image.shape
        if self._ends.kernels is None and not self._ends.in_graph((height, width)):
            return HostResizedStep(lane, self._opening, self._ends, image, opacity)
        return DeviceFrameStep(lane, self._opening, self._ends, image, opacity)
