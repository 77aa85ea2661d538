"""Frames between arrays on the host: upload, front kernel, engine, tail kernel and download as one CUDA graph."""

from __future__ import annotations

import functools
from typing import Union

import numpy as np

from rtseg.frame.host_frames import HostFrameStep
from rtseg.frame.protocol import FrameStep, Pixels
from rtseg.runners.cuda.protocol import Graph, Stream
from rtseg.runners.tensorrt.ends import FrameEnds, Overlay
from rtseg.runners.tensorrt.lanes import Lane, allocated
from rtseg.runners.tensorrt.steps import EngineStep, LaneStep, OpeningThread, Work, in_order


class DeviceFrameStep(LaneStep, FrameStep):
    """A frame whose image, labels and overlay are in page-locked host memory."""

    def __init__(
        self, lane: Lane, opening: OpeningThread, frame_ends: FrameEnds, image: Pixels, opacity: float | None = None
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


class HostResizedStep(HostFrameStep):
    """A frame for an image of another size than the graph that gives labels: the host resizes both.

    The host also makes the overlay, because the resized labels are there.
    """

    def __init__(
        self, lane: Lane, opening: OpeningThread, frame_ends: FrameEnds, image: Pixels, opacity: float | None = None
    ) -> None:
        """Bind a copy of the image. opacity is the overlay's; None is a frame without one."""
        self._engine = EngineStep(lane, opening, frame_ends.host.graph_input(image))
        super().__init__(self._engine, frame_ends.host, image, opacity)
        self.wait()  # so that labels and overlay match the image from the start, as in other steps

    @property
    def stream(self) -> Stream:
        """The stream of the engine's part."""
        return self._engine.stream

    @property
    def graph(self) -> Graph | None:
        """The CUDA graph of the engine's part."""
        return self._engine.graph

    def launch(self) -> None:
        """Resize the image, put the engine's part into the stream, and return."""
        self.write_input()
        self._engine.launch()

    def wait(self) -> None:
        """Wait for the engine's part, resize its labels, and blend their colours over the image."""
        self._engine.wait()
        self.read_output()

    def close(self) -> None:
        """Free the context and the buffers on the GPU now."""
        self._engine.close()


BoundFrameStep = Union[DeviceFrameStep, HostResizedStep]
"""The result of DeviceFrames.bind."""
