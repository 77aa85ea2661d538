"""Whole frames on the GPU, for images of any size in host memory or on the device."""

from __future__ import annotations

import itertools
from typing import Callable

import numpy as np

from rtseg.errors import RunnerError
from rtseg.frame.palette import require_opacity
from rtseg.frame.preprocess import require_image
from rtseg.frame.protocol import Frames, Pixels
from rtseg.runners.cuda.ends import Size
from rtseg.runners.cuda.protocol import CudaDriver
from rtseg.runners.tensorrt.ends import FrameEnds
from rtseg.runners.tensorrt.frame_steps import BoundFrameStep, DeviceFrameStep, HostResizedStep
from rtseg.runners.tensorrt.lanes import Lane, LanePool
from rtseg.runners.tensorrt.resident_steps import ResidentFrameStep
from rtseg.runners.tensorrt.steps import OpeningThread
from rtseg.specs import ImageSpec

_NUMBERS = itertools.count()


class DeviceFrames(Frames):
    """Frames for images of any size on the runner's GPU. Labels equal those of the host implementation.

    A graph that gives labels itself accepts only images of its own size; for others the host resizes, to the nearest.
    """

    def __init__(
        self,
        driver: CudaDriver,
        lanes: LanePool,
        make_lane: Callable[[], Lane],
        opening: OpeningThread,
        frame_ends: FrameEnds,
    ) -> None:
        self._driver = driver
        self._lanes = lanes
        self._make_lane = make_lane
        self._opening = opening
        self._ends = frame_ends
        self._number = next(_NUMBERS)

    def __call__(self, image: Pixels, *, out: Pixels | None = None) -> Pixels:
        """Return the label map, uint8 (height, width), of a uint8 RGB (height, width, 3) image. Raises ImageError.

        out, of the result's type and shape, is filled and returned instead of a new array.
        """
        require_image(image)
        labels, _ = self._frame(image, None, out)
        return labels

    def with_overlay(self, image: Pixels, opacity: float) -> tuple[Pixels, Pixels]:
        """Return the label map of an image, and the image with the class colours blended over it, both new arrays.

        The device computes both in one CUDA graph, as a step of bind does. opacity is from 0 to 1. Raises ImageError
        and SpecError.
        """
        require_image(image)
        require_opacity(opacity)
        labels, laid = self._frame(image, opacity)
        assert laid is not None  # an opacity was given
        return labels, laid

    def bind(self, image: Pixels, *, overlay: float | None = None) -> BoundFrameStep:
        """Return a step, in its own lane, for frames of that image's size; the image is copied into it.

        With overlay, the opacity of the class colours from 0 to 1, each run also blends them over the image, in the
        same CUDA graph. Pixels equal those of rtseg.frame.palette.overlay, as far as rtseg.runners.cuda.ends.overlay
        promises.

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
        """Return a step, in its own lane, from an image to a label map, both on the device: no copies.

        image is uint8 RGB (height, width, 3), labels uint8 (height, width), both contiguous: tensors of torch, CuPy or
        JAX, any object with __dlpack__ or __cuda_array_interface__, memory of a CudaDriver, or pointers as numbers. The
        step keeps references to them. Without labels, the step allocates a DeviceArray for them. overlay is the
        opacity, from 0 to 1, of an overlay in another DeviceArray. size is (height, width), by default the image's own;
        for a bare pointer, the graph's.

        Raises CudaError for arrays that do not fit, SpecError for an opacity out of range, and RunnerError for a graph
        that gives labels itself, unless the image has the graph's size and the arrays begin at multiples of 256.
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
                "the graph gives labels itself, so the device cannot resize for it",
                got=f"an image of {size[0]}x{size[1]}",
                expected=f"{self._image.resolution}, RGB",
                hint="export it with --interface logits",
            )
        with self._driver.active():
            return ResidentFrameStep(self._make_lane(), self._opening, self._ends, size, image, labels, overlay)

    @property
    def _image(self) -> ImageSpec:
        return self._ends.image

    def _frame(self, image: Pixels, opacity: float | None, out: Pixels | None = None) -> tuple[Pixels, Pixels | None]:
        """Return copies of the labels and the overlay of a borrowed lane's step; the lane keeps one step for each size.

        The labels are copied into out, if given.
        """
        with self._driver.active(), self._lanes.lent() as lane:
            step = lane.kept((self._number, image.shape, opacity), lambda: self._step(lane, image, opacity))
            step.image[...] = image
            step()
            labels = np.empty_like(step.labels) if out is None else out
            labels[...] = step.labels
            return labels, None if step.overlay is None else step.overlay.copy()

    def _step(self, lane: Lane, image: Pixels, opacity: float | None = None) -> BoundFrameStep:
        height, width, _ = image.shape
        if self._ends.kernels is None and not self._ends.in_graph((height, width)):
            return HostResizedStep(lane, self._opening, self._ends, image, opacity)
        return DeviceFrameStep(lane, self._opening, self._ends, image, opacity)
