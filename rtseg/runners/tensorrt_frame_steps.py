"""Frames between arrays of the host: upload, front kernel, engine, tail kernel and download as one CUDA graph."""

from __future__ import annotations

import functools
from typing import Union

import numpy as np

from rtseg.cuda.protocol import Graph, Stream
from rtseg.images.geometry import resize_labels
from rtseg.images.palette import overlay
from rtseg.images.preprocess import resized_image
from rtseg.runners.protocol import FrameStep, Pixels
from rtseg.runners.tensorrt_context import Lane, allocated
from rtseg.runners.tensorrt_ends import Ends, Overlay
from rtseg.runners.tensorrt_steps import EngineStep, LaneStep, OpeningThread, Work, in_order


class DeviceFrameStep(LaneStep, FrameStep):
    """A frame whose image, labels and overlay lie in page-locked memory of the host."""

    def __init__(
        self, lane: Lane, opening: OpeningThread, frame_ends: Ends, image: Pixels, opacity: float | None = None
    ) -> None:
        """Bind a copy of the image. opacity is the overlay's; None is a frame without one."""
        driver, stream = lane.driver, lane.stream
        height, width, _ = image.shape
        given, made = driver.pinned((height, width, 3), np.uint8), driver.pinned((height, width), np.uint8)
        self.image, self.labels = given, made
        given[...] = image
        if frame_ends.kernels is None:
            on_device, labels = lane.input, lane.output
        else:
            on_device = allocated(driver, given.nbytes, "the image")
            labels = allocated(driver, made.nbytes, "the label map")
        calls: list[Work] = [
            functools.partial(driver.copy_to_device, on_device, given, stream),
            frame_ends.work(lane, (height, width), on_device, labels),
            functools.partial(driver.copy_to_host, made, labels, stream),
        ]
        if opacity is not None:
            laid = Overlay(lane, frame_ends, (height, width), on_device, labels, opacity)
            self.overlay = driver.pinned(given.shape, np.uint8)
            calls += [laid, functools.partial(driver.copy_to_host, self.overlay, laid.memory, stream)]
        super().__init__(lane, in_order(*calls), opening)


class HostResizedStep(FrameStep):
    """A frame of a graph that labels images of its own size, for an image of another: the host resizes both.

    So the host makes the overlay too, as the labels are there.
    """

    def __init__(
        self, lane: Lane, opening: OpeningThread, frame_ends: Ends, image: Pixels, opacity: float | None = None
    ) -> None:
        """Bind a copy of the image. opacity is the overlay's; None is a frame without one."""
        self.image = np.array(image, order="C")
        self.labels = np.empty(image.shape[:2], np.uint8)
        self._spec = frame_ends.image
        self._step = EngineStep(lane, opening, resized_image(self.image, self._spec)[None])
        self._lay_over: Work | None = None
        if opacity is not None:
            made = self.overlay = np.empty_like(self.image)
            classes = frame_ends.output.classes
            self._lay_over = functools.partial(overlay, self.image, self.labels, classes, opacity=opacity, out=made)
        self.wait()  # so that labels and overlay are those of the image from the start, as other steps' are

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
        """Wait for the engine's part, resize its labels, and lay their colours over the image."""
        self._step.wait()
        self.labels[...] = resize_labels(self._step.output[0], *self.labels.shape)
        if self._lay_over is not None:
            self._lay_over()

    def close(self) -> None:
        """Free the context and the buffers on the GPU now."""
        self._step.close()


HostFrameStep = Union[DeviceFrameStep, HostResizedStep]
"""What DeviceFrames.bind gives."""
