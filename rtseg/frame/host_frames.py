"""Whole frames with preprocessing and postprocessing on the host, for any runner."""

from __future__ import annotations

import dataclasses
import functools
from typing import Callable

import numpy as np

from rtseg.errors import RunnerError
from rtseg.frame.host_ends import HostEnds
from rtseg.frame.palette import overlay as laid_over
from rtseg.frame.palette import require_opacity
from rtseg.frame.preprocess import require_image
from rtseg.frame.protocol import Frames, FrameStep, Pixels, ResidentStep, Runner, Step


class HostFrames(Frames):
    """Frames of images of any size with an open runner; the host does preprocessing and postprocessing."""

    def __init__(self, runner: Runner, ends: HostEnds) -> None:
        self._runner = runner
        self._ends = ends

    def __call__(self, image: Pixels, *, out: Pixels | None = None) -> Pixels:
        """Return the label map, uint8 (height, width), of a uint8 RGB (height, width, 3) image. Raises ImageError.

        If out, of the result's type and shape and C-contiguous, is given, it is filled and returned instead of a new
        array.
        """
        result = self._runner.infer(self._ends.graph_input(image, self._runner.input.dtype))
        return self._ends.labels(result, height=image.shape[0], width=image.shape[1], out=out)

    def with_overlay(self, image: Pixels, opacity: float) -> tuple[Pixels, Pixels]:
        """Return the label map of an image, and the image with the class colours blended over it, both new arrays.

        opacity is from 0 to 1. Raises ImageError and SpecError.
        """
        require_image(image)
        require_opacity(opacity)
        labels = self(image)
        return labels, laid_over(image, labels, self._ends.output.classes, opacity=opacity)

    def bind(self, image: Pixels, *, overlay: float | None = None) -> FrameStep:
        """Return a step for frames of that image's size; the image is copied into it.

        With overlay, an opacity from 0 to 1, the step also makes an overlay. Raises ImageError for an array that is not
        a uint8 image, and SpecError for another opacity.
        """
        require_image(image)
        if overlay is not None:
            require_opacity(overlay)
        graph = self._runner.bind(self._ends.graph_input(image, self._runner.input.dtype))
        step = HostFrameStep(graph, self._ends, image, overlay)
        step()  # so that labels and overlay match the image from the start
        return step

    def bind_device(
        self,
        image: object,
        labels: object = None,
        *,
        overlay: float | None = None,
        size: tuple[int, int] | None = None,
    ) -> ResidentStep:
        """Raise RunnerError: these frames begin and end in host memory."""
        raise RunnerError(
            "arrays on a device can be bound only if the runner does the whole frame there",
            got=f"the runner {self._runner.backend}, whose frames begin and end on the host",
            expected="an engine, with tensorrt, tensorrt-pycuda or tensorrt-rtx",
            hint="run rtseg build, then call rtseg.load on the engine",
        )


class HostFrameStep(FrameStep):
    """A frame on preallocated buffers: preprocessing and postprocessing on the host, around a bound step of the graph.

    Calling it runs write_input, the graph's step and read_output; afterwards labels and overlay match the image.
    """

    def __init__(self, graph: Step, ends: HostEnds, image: Pixels, opacity: float | None = None) -> None:
        """Bind a copy of the image, of any size. opacity is the overlay's; None makes no overlay."""
        self.image = np.array(image, order="C")
        self.labels = np.empty(image.shape[:2], np.uint8)
        self._graph = graph
        self._ends = dataclasses.replace(ends)  # own workspaces, which keep memory of the right size after one call
        self._lay_over: Callable[[], object] | None = None
        if opacity is not None:
            made = self.overlay = np.empty_like(self.image)
            classes = ends.output.classes
            self._lay_over = functools.partial(laid_over, self.image, self.labels, classes, opacity=opacity, out=made)

    def __call__(self) -> None:
        """Take the image through preprocessing, graph and postprocessing once, and make the overlay if there is one."""
        self.write_input()
        self._graph()
        self.read_output()

    def write_input(self) -> None:
        """Preprocess the image into the graph's input, in place."""
        self._ends.graph_input(self.image, out=self._graph.input)

    def read_output(self) -> None:
        """Turn the graph's output into labels, and into the overlay if there is one, in place."""
        height, width = self.labels.shape
        self._ends.labels(self._graph.output, height=height, width=width, out=self.labels)
        if self._lay_over is not None:
            self._lay_over()
